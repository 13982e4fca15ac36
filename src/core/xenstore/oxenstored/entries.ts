// SPDX-License-Identifier: Apache-2.0
//
// How many nodes each domain owns by oxenstored's count (quota.ml), which is not
// always how many there are: what others owned below the nodes of a dead domain
// is not taken off.

import { type Cells, cellType, must } from "../../engine/cells.ts";
import { fail, type Failure } from "../../engine/errno.ts";
import { settingsOf } from "../quota.ts";
import { nodeType, storedSubtree } from "../tree.ts";
import { ownerText } from "./perms.ts";

/** Nodes by owner, as text; an owner of none is left out. Its identifier: 0 for the store, or a transaction's key. */
interface Entries {
  current: Map<string, number>;
  /** Those the transaction began with. */
  before: Map<string, number>;
}
const entriesType = cellType<Entries>("oxenstored-entries");
const STORE = 0;

/** The count of a view. That of the store begins, when it is first asked for, with what is there, but for the root. */
function entriesIn(cells: Cells, view: string | null): Entries {
  if (view !== null) return cells.edit(entriesType, view);
  if (cells.get(entriesType, STORE) !== undefined) return cells.edit(entriesType, STORE);
  const current = new Map<string, number>();
  for (const path of storedSubtree(cells, "/"))
    if (path !== "/") add(current, ownerText(must(cells, nodeType, path).perms), 1);
  return cells.add(entriesType, STORE, { current, before: new Map() });
}

/** A transaction counts on its own. */
export function copyEntries(cells: Cells, transaction: string): void {
  const { current } = entriesIn(cells, null);
  cells.add(entriesType, transaction, { current: new Map(current), before: new Map(current) });
}

/** A transaction is over. */
export function dropEntries(cells: Cells, transaction: string): void {
  cells.drop(entriesType, transaction);
}

/** How many nodes a domain is said to own. */
export function entriesOf(cells: Cells, view: string | null, owner: string): number {
  return entriesIn(cells, view).current.get(owner) ?? 0;
}

/** A domain owns so many nodes more. */
export function countEntry(cells: Cells, view: string | null, owner: string, by: number): void {
  add(entriesIn(cells, view).current, owner, by);
}

function add(entries: Map<string, number>, owner: string, by: number): void {
  const count = (entries.get(owner) ?? 0) + by;
  if (count === 0) entries.delete(owner);
  else entries.set(owner, count);
}

/** A domain is gone, and its count with it (advisory 483). To be called before its nodes go. */
export function forgetEntries(cells: Cells, domid: number): void {
  entriesIn(cells, null).current.delete(String(domid));
}

/** Whether a value is too long (E2BIG), or an owner has as many nodes as it may (EQUOTA); null for any owner. */
export function checkEntry(
  cells: Cells,
  view: string | null,
  owner: string | null,
  valueBytes: number,
): Failure | undefined {
  const { "node-size": size, nodes } = settingsOf(cells).limits;
  if (size !== 0 && valueBytes > size) return fail("E2BIG");
  // Negative numbers are large ones here, and no domains.
  if (owner === null || owner === "0" || owner.length > 18 || nodes === 0) return undefined;
  return entriesOf(cells, view, owner) >= nodes ? fail("ENOSPC") : undefined;
}

/** A transaction's tree becomes the store's, and its count with it. */
export function takeEntries(cells: Cells, transaction: string): void {
  entriesIn(cells, null).current = new Map(must(cells, entriesType, transaction).current);
}

/** What a transaction has changed is added; who owns nothing in it any more keeps its count (merge). */
export function mergeEntries(cells: Cells, transaction: string): void {
  const { current, before } = must(cells, entriesType, transaction);
  const store = entriesIn(cells, null).current;
  for (const [owner, count] of current) {
    const by = count - (before.get(owner) ?? 0);
    if (by !== 0) add(store, owner, by);
  }
}
