// SPDX-License-Identifier: Apache-2.0
//
// Page tables of PV domains, as far as they refer to each other: a table that is
// in use as one holds the tables below it (xen/arch/x86/mm.c, validate_page,
// devalidate_page). What an L1 maps of its domain's own memory is counted nowhere
// here; what it maps of others is in mapping.ts.

import { cellType } from "../engine/cells.ts";
import type { Cells, DeepReadonly } from "../engine/cells.ts";
import { assert, fail } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { credit } from "./ledger.ts";
import {
  devalidatePage,
  getPageAndType,
  pageCell,
  pageOf,
  putPageAndType,
  putPageAndTypePreemptible,
} from "./page.ts";
import type { PageHolder, PageType } from "./page.ts";

/** Entries of a table (L4_PAGETABLE_ENTRIES and the like). */
const ENTRIES = 512;

/** An entry that is present, of a table that has tables below it. */
interface Entry {
  index: number;
  mfn: number;
  /** Taken while the table is in use as one: it may refer to a table of its own level (a linear page table). */
  linear: boolean;
  /** Whether it holds what it refers to; "partial" while that is being taken apart on its account. */
  held: "no" | "yes" | "partial";
}

/** A table's present entries, in order of index. Identifier: its machine frame. A frame without any has no cell. */
export const pageTableCell = cellType<{ entries: Entry[] }>("page-table");

/** Which type the tables below one of that type have; L1s have none. */
const levelBelow: { readonly [type in PageType]?: PageType } = { l4: "l3", l3: "l2", l2: "l1" };

/** Whether that is the type of a page table. */
export function isTable(type: PageType): boolean {
  return type === "l1" || type in levelBelow;
}

/** The entries of a frame that was written as a table. */
export function entriesOf(cells: Cells, mfn: number): DeepReadonly<Entry[]> {
  return cells.get(pageTableCell, mfn)?.entries ?? [];
}

/** A frame is free: what was written into it means nothing any more. */
export function forgetEntries(host: Host, mfn: number): void {
  if (host.get(pageTableCell, mfn) !== undefined) host.drop(pageTableCell, mfn);
}

function holderOf(mfn: number, op: string): PageHolder {
  return { holder: `table ${mfn.toString(16)}`, kind: "page table", op };
}

/**
 * Takes what an entry of a table of that type refers to: the table below, or one of the same level that is in use as
 * such already, which is then not looked into (get_page_from_l4e, get_l4_linear_pagetable).
 */
function takeEntry(host: Host, domid: number, table: number, type: PageType, entry: Entry): boolean {
  const wanted = levelBelow[type];
  if (wanted === undefined) return false;
  const found = pageOf(host, entry.mfn);
  entry.linear = found?.owner === domid && found.type === type && found.validated;
  if (entry.linear) {
    const page = host.edit(pageCell, entry.mfn);
    page.count++;
    page.typeCount++;
    credit(host, page.refs, holderOf(table, "get_linear_pagetable"), 1, 1);
  } else if (!getPageAndType(host, entry.mfn, domid, wanted, holderOf(table, `get_page_from_${type}e`))) {
    return false;
  }
  entry.held = "yes";
  return true;
}

/** A frame becomes a page table: its entries take what they refer to, all or none (validate_page). */
export function takeEntries(host: Host, domid: number, mfn: number, type: PageType): boolean {
  if (!isTable(type) || entriesOf(host, mfn).length === 0) return true;
  const { entries } = host.edit(pageTableCell, mfn);
  for (const entry of entries) {
    if (takeEntry(host, domid, mfn, type, entry)) continue;
    dropEntries(host, mfn, { left: Infinity });
    return false;
  }
  return true;
}

/** How many entries may still be let go of before the work is interrupted. */
export interface Budget {
  left: number;
}

/** Whether work is through, or has to be called again. */
export type Progress = "done" | "ERESTART";

/**
 * A frame is no page table any more: its entries let go of what they refer to, as many as the budget has, the tables
 * below with theirs (devalidate_page).
 */
export function dropEntries(host: Host, mfn: number, budget: Budget): Progress {
  for (const [at, { mfn: below, held }] of entriesOf(host, mfn).entries()) {
    if (held === "no") continue;
    if (budget.left <= 0) return "ERESTART";
    budget.left--;
    setHeld(host, mfn, at, "no");
    const put =
      held === "partial"
        ? devalidatePage(host, below, budget)
        : putPageAndTypePreemptible(host, below, holderOf(mfn, "").holder, "page table", budget);
    if (put === "done") continue;
    setHeld(host, mfn, at, "partial");
    return "ERESTART";
  }
  return "done";
}

function setHeld(host: Host, table: number, at: number, held: Entry["held"]): void {
  const entry = host.edit(pageTableCell, table).entries[at];
  assert(entry !== undefined, "an entry stays where it is");
  entry.held = held;
}

function putEntry(host: Host, table: number, { mfn }: Entry): void {
  putPageAndType(host, mfn, holderOf(table, "").holder, "page table");
}

/**
 * Writes an entry of a PV domain's page table, 0 for none (mod_l4_entry and the like). In a frame that is in use as a
 * table it takes what it refers to and lets go of what was there; else it is bytes until the frame becomes one.
 *
 * @returns EINVAL where the frame is no domain's of that number, is an L1, or the entry cannot refer to that
 */
export function writeEntry(
  host: Host,
  domid: number,
  table: number,
  index: number,
  mfn: number,
): 0 | Failure {
  const page = pageOf(host, table);
  if (page?.owner !== domid || page.type === "l1" || index < 0 || index >= ENTRIES) return fail("EINVAL");
  const made: Entry = { index, mfn, linear: false, held: "no" };
  if (mfn !== 0 && page.validated && isTable(page.type) && !takeEntry(host, domid, table, page.type, made))
    return fail("EINVAL");
  const old = setEntry(host, table, made);
  if (old?.held === "yes") putEntry(host, table, old);
  return 0;
}

/** Puts an entry in its place; gives the one that was there. */
function setEntry(host: Host, table: number, made: Entry): Entry | undefined {
  if (host.get(pageTableCell, table) === undefined) {
    if (made.mfn !== 0) host.add(pageTableCell, table, { entries: [made] });
    return undefined;
  }
  const { entries } = host.edit(pageTableCell, table);
  const at = entries.findIndex((entry) => entry.index >= made.index);
  const found = at < 0 ? undefined : entries[at];
  const old = found?.index === made.index ? { ...found } : undefined;
  const kept = made.mfn === 0 ? [] : [made];
  entries.splice(at < 0 ? entries.length : at, old === undefined ? 0 : 1, ...kept);
  if (entries.length === 0) host.drop(pageTableCell, table);
  return old;
}
