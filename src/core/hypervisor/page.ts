// SPDX-License-Identifier: Apache-2.0
//
// struct page_info of frames that are more than allocated: somebody maps them,
// they are page tables, or the hypervisor shares them with a domain. Other pages
// of a domain have count 1, no type and no cell; of many that a process maps in
// one call, mapped-run.ts keeps what they have in common.

import { cellType, must } from "../engine/cells.ts";
import type { Cells, DeepReadonly } from "../engine/cells.ts";
import { assert } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { bitmap, clearBit, findNextBit, setBit } from "./bitmap.ts";
import { domainCell, domainPagesCell } from "./domain.ts";
import { allocationGone, forgotten } from "./forgotten-puts.ts";
import { frameOwner, freeExtraFrame, freeOwnedFrames } from "./frames.ts";
import { getDomain, putDomain } from "./free.ts";
import { credit, debit } from "./ledger.ts";
import type { Holder, LedgerEntry } from "./ledger.ts";
import { versionOf } from "./machine.ts";
import { mappedRunAt, mappedRunFrom, takeOutOfRun } from "./mapped-run.ts";
import type { MappedRun } from "./mapped-run.ts";
import { noteMapping } from "./mapping-cells.ts";
import { dropEntries, entriesOf, forgetEntries, isTable, takeEntries } from "./page-table.ts";
import type { Budget, Progress } from "./page-table.ts";
import type { PageReferenceKind } from "./reference-kinds.ts";

/** What a page may be used as while its type count is not 0 (PGT_*). The index is the field in `taf`. */
export const pageTypes = ["none", "l1", "l2", "l3", "l4", "segdesc", "shared", "writable"] as const;
export type PageType = (typeof pageTypes)[number];

/** A page; its cell's identifier is the machine frame number. */
export interface Page {
  owner: number;
  /** PGC_allocated: its domain has not given it up; one of `count`. */
  allocated: boolean;
  xenheap: boolean;
  /** PGC_extra: the hypervisor allocated it for its own use of the domain; not among what the domain was given. */
  extra: boolean;
  count: number;
  type: PageType;
  typeCount: number;
  pinned: boolean;
  validated: boolean;
  /** PGT_partial: its entries are being taken apart, and that was interrupted. */
  partial: boolean;
  /** Who holds the references beside the allocation. */
  refs: LedgerEntry[];
}

export const pageCell = cellType<Page>("page", { provenance: ["refs"] });

/** Frames that have a page cell. */
const pages = bitmap("pages", 6);

/** The first frame at `from` or after it that is more than allocated, or -1. */
export function nextPage(cells: Cells, from: number): number {
  const page = findNextBit(cells, pages, from);
  const mapped = mappedRunFrom(cells, from);
  if (mapped === undefined) return page;
  const first = Math.max(from, mapped.run.first);
  return page < 0 ? first : Math.min(page, first);
}

/** A frame's page, as it is or as a plain one would be; undefined for a frame that is no domain's. */
export function pageOf(cells: Cells, mfn: number): DeepReadonly<Page> | undefined {
  const page = cells.get(pageCell, mfn);
  if (page !== undefined) return page;
  const mapped = mappedRunAt(cells, mfn);
  if (mapped !== undefined) return pageOfRun(mapped.run);
  const owner = frameOwner(cells, mfn);
  return owner === null ? undefined : plainPage(owner);
}

/** A page that is allocated and nothing else. */
function plainPage(owner: number): Page {
  return {
    owner,
    allocated: true,
    xenheap: false,
    extra: false,
    count: 1,
    type: "none",
    typeCount: 0,
    pinned: false,
    validated: false,
    partial: false,
    refs: [],
  };
}

/** What a frame of a run is: its domain's, and held once. */
function pageOfRun({ owner, mapper, process, typed, op, step, at }: DeepReadonly<MappedRun>): Page {
  return {
    ...plainPage(owner),
    count: 2,
    type: typed ? "writable" : "none",
    typeCount: typed ? 1 : 0,
    validated: typed,
    refs: [
      {
        holder: `d${mapper}/${process}`,
        kind: "foreign map",
        count: 1,
        typed: typed ? 1 : 0,
        op,
        step,
        at,
      },
    ],
  };
}

/** Gives a frame cells of its own, where it is in a run. */
export function isolate(host: Host, mfn: number): void {
  const found = mappedRunAt(host, mfn);
  if (found === undefined) return;
  const page = pageOfRun(found.run);
  const { mapper, process, readonly } = found.run;
  takeOutOfRun(host, found, mfn, 1);
  addPage(host, mfn, page);
  noteMapping(host, mapper, { process, kind: "foreign map", readonly }, mfn);
}

function editPage(host: Host, mfn: number): Page {
  isolate(host, mfn);
  if (host.get(pageCell, mfn) !== undefined) return host.edit(pageCell, mfn);
  const owner = frameOwner(host, mfn);
  assert(owner !== null, `frame ${mfn} is no domain's`);
  return addPage(host, mfn, plainPage(owner));
}

/** Gives a frame without a cell one. */
function addPage(host: Host, mfn: number, page: Page): Page {
  setBit(host, pages, mfn);
  return host.add(pageCell, mfn, page);
}

function ownerOf(host: Host, mfn: number): number {
  return must(host, pageCell, mfn).owner;
}

function dropPage(host: Host, mfn: number): void {
  host.drop(pageCell, mfn);
  clearBit(host, pages, mfn);
}

/** Who takes a reference on a page. */
export type PageHolder = Holder<PageReferenceKind>;

/** Takes a reference on a page of that domain; false where it is another's, or nobody's (get_page). */
export function getPage(host: Host, mfn: number, domid: number, holder: PageHolder): boolean {
  if (pageOf(host, mfn)?.owner !== domid) return false;
  const page = editPage(host, mfn);
  page.count++;
  credit(host, page.refs, holder, 1, 0);
  return true;
}

/** Takes a reference and a type reference; false also where it is in use as another type (get_page_and_type). */
export function getPageAndType(
  host: Host,
  mfn: number,
  domid: number,
  type: PageType,
  holder: PageHolder,
): boolean {
  const found = pageOf(host, mfn);
  if (found?.owner !== domid || (found.typeCount > 0 && found.type !== type)) return false;
  // One that is half taken apart is no page table any more, and not yet anything else.
  if (found.partial) return false;
  const page = editPage(host, mfn);
  page.count++;
  page.typeCount++;
  page.type = type;
  credit(host, page.refs, holder, 1, 1);
  if (page.validated) return true;
  if (takeEntries(host, domid, mfn, type)) {
    page.validated = true;
    return true;
  }
  debit(page.refs, holder.holder, holder.kind, 1, 1);
  putType(host, mfn, page);
  drop(host, mfn, page);
  return false;
}

/** Drops a reference; a page without any is freed (put_page). */
export function putPage(host: Host, mfn: number, holder: string, kind: PageReferenceKind): void {
  if (forgotten(host, ownerOf(host, mfn), { mfn, holder, kind, typed: false })) return;
  const page = host.edit(pageCell, mfn);
  debit(page.refs, holder, kind, 1, 0);
  drop(host, mfn, page);
}

/** Drops a reference and a type reference (put_page_and_type). */
export function putPageAndType(host: Host, mfn: number, holder: string, kind: PageReferenceKind): void {
  if (forgotten(host, ownerOf(host, mfn), { mfn, holder, kind, typed: true })) return;
  const page = host.edit(pageCell, mfn);
  debit(page.refs, holder, kind, 1, 1);
  putType(host, mfn, page);
  drop(host, mfn, page);
}

/** Drops a type reference; with the last one a page table lets go of what it refers to (_put_page_type). */
function putType(host: Host, mfn: number, page: Page): void {
  page.typeCount--;
  if (page.typeCount > 0) return;
  const wasTable = page.validated && isTable(page.type);
  page.type = "none";
  page.validated = false;
  if (wasTable) dropEntries(host, mfn, { left: Infinity });
}

/**
 * The same, a part of a page table's entries a call: ERESTART where some are left. The page is then partial, and what
 * was begun holds it in place of the one who let go (put_page_and_type_preemptible).
 */
export function putPageAndTypePreemptible(
  host: Host,
  mfn: number,
  holder: string,
  kind: PageReferenceKind,
  budget: Budget,
): Progress {
  const { owner, typeCount, type } = must(host, pageCell, mfn);
  if (typeCount > 1 || !isTable(type) || entriesOf(host, mfn).length === 0) {
    putPageAndType(host, mfn, holder, kind);
    return "done";
  }
  if (forgotten(host, owner, { mfn, holder, kind, typed: true })) return "done";
  const page = host.edit(pageCell, mfn);
  debit(page.refs, holder, kind, 1, 1);
  beginPartial(host, page);
  return devalidatePage(host, mfn, budget);
}

function beginPartial(host: Host, page: Page): void {
  page.validated = false;
  page.partial = true;
  credit(host, page.refs, { holder: `d${page.owner}`, kind: "partial", op: "devalidate_page" }, 1, 1);
}

/**
 * Goes on with a page table that is partial, or takes one apart that is still valid after its domain let go of it: one
 * that refers to itself, in whatever way (relinquish_memory). Nothing for other pages.
 */
export function devalidatePage(host: Host, mfn: number, budget: Budget): Progress {
  const found = must(host, pageCell, mfn);
  if (!isTable(found.type) || (!found.validated && !found.partial)) return "done";
  if (!found.partial) {
    const page = host.edit(pageCell, mfn);
    // The work holds the page, and counts as a use of it, until it is through.
    page.count++;
    page.typeCount++;
    beginPartial(host, page);
  }
  if (dropEntries(host, mfn, budget) === "ERESTART") return "ERESTART";
  const page = host.edit(pageCell, mfn);
  page.partial = false;
  putPageAndType(host, mfn, `d${page.owner}`, "partial");
  return "done";
}

/** Gives the page up for its domain: it is freed as soon as nobody else holds it (put_page_alloc_ref). */
export function putPageAllocRef(host: Host, mfn: number): void {
  const found = pageOf(host, mfn);
  if (found?.allocated !== true) return;
  if (forgotten(host, found.owner, { mfn, holder: "xen", kind: "allocated", typed: false })) return;
  allocationGone(host, found.owner, mfn);
  const page = editPage(host, mfn);
  page.allocated = false;
  drop(host, mfn, page);
}

/** Marks a page as pinned or no longer so; the references are taken and dropped by the caller. */
export function setPinned(host: Host, mfn: number, pinned: boolean): void {
  host.edit(pageCell, mfn).pinned = pinned;
}

function drop(host: Host, mfn: number, page: Page): void {
  page.count--;
  assert(page.count >= 0, `page ${mfn} has a negative count`);
  if (page.count === 0) return freeDomheapPage(host, mfn, page);
  if (page.allocated && page.count === 1 && !page.xenheap && page.typeCount === 0 && !page.pinned)
    dropPage(host, mfn);
}

/**
 * The last reference is gone (free_domheap_page). A Xen heap page only leaves
 * its domain; the hypervisor frees the frame with the domain's structure.
 */
function freeDomheapPage(host: Host, mfn: number, { owner, xenheap, extra, typeCount }: Page): void {
  dropPage(host, mfn);
  forgetEntries(host, mfn);
  if (!xenheap) {
    assert(typeCount === 0, `page ${mfn} is freed with a type`);
    return extra ? freeExtraFrame(host, owner, mfn) : freeOwnedFrames(host, owner, mfn, 1);
  }
  const counts = host.edit(domainPagesCell, owner);
  counts.xenheapPages--;
  counts.xenpages = counts.xenpages.filter((other) => other !== mfn);
  if (counts.xenheapPages === 0) putDomain(host, owner, "xen", "xenheap pages");
}

/** Makes a frame that was just allocated a page of the domain's that is none of its memory. */
export function addExtraPage(host: Host, domid: number, mfn: number): void {
  addPage(host, mfn, { ...plainPage(domid), extra: true });
}

/**
 * Lets a domain map one of the hypervisor's own frames: shared_info, a grant
 * frame. It counts as allocated to it and is pinned as writable
 * (share_xen_page_with_guest).
 */
export function shareXenPage(host: Host, domid: number, mfn: number, op: string): void {
  const dying = must(host, domainCell, domid).isDying !== "alive";
  assert(!dying, `a frame is shared with the dying d${domid}`);
  const page: Page = { ...plainPage(domid), xenheap: true, type: "writable", typeCount: 1, validated: true };
  credit(host, page.refs, { holder: "xen", kind: "shared", op }, 0, 1);
  addPage(host, mfn, page);
  const counts = host.edit(domainPagesCell, domid);
  counts.xenpages.push(mfn);
  if (counts.xenheapPages++ === 0) getDomain(host, domid, { holder: "xen", kind: "xenheap pages", op });
}

/** Forgets the frames shared with a domain that was never finished; its references go with it. */
export function discardXenPages(host: Host, domid: number): void {
  for (const mfn of must(host, domainPagesCell, domid).xenpages) dropPage(host, mfn);
}

/** `count_info` as debug keys print it: allocated, Xen heap, extra (each version has its bit), the count. */
export function countInfo(cells: Cells, page: DeepReadonly<Page>): bigint {
  const flags = (page.allocated ? 1n << 63n : 0n) | (page.xenheap ? 1n << 62n : 0n);
  const extra = page.extra ? 1n << BigInt(versionOf(cells).pgcExtraBit) : 0n;
  return flags | extra | BigInt(page.count);
}

/** `type_info` as debug keys print it. */
export function typeInfo(page: DeepReadonly<Page>): bigint {
  const flags = (page.pinned ? 1n << 59n : 0n) | (page.validated ? 1n << 58n : 0n);
  const partial = page.partial ? 1n << 56n : 0n;
  return (BigInt(pageTypes.indexOf(page.type)) << 61n) | flags | partial | BigInt(page.typeCount);
}
