// SPDX-License-Identifier: Apache-2.0
//
// Whose a machine frame is. Plain memory is known by runs only; a page of its
// own (page.ts) exists where a frame is more than allocated.

import { must } from "../engine/cells.ts";
import type { Cells } from "../engine/cells.ts";
import { fail } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { domainCell, domainPagesCell, domainTotPages } from "./domain.ts";
import { getDomain, putDomain } from "./free.ts";
import { freeHeapPages, heapCell, unclaimedPages } from "./heap.ts";
import { writeM2p } from "./m2p.ts";
import { runFind, runInsert, runMap, runRemove } from "./runs.ts";
import type { RunMap } from "./runs.ts";

/** Frames of domains' memory; the tag is the owner. Xen heap pages are not in it. */
const owners = runMap("owner");

/** A domain's frames, each with its m2p entry (guest frame number) or NO_FRAME. */
export function ownedFrames(domid: number): RunMap {
  return runMap(`owned/${domid}`);
}

/** The domain a frame of plain memory belongs to, or null. */
export function frameOwner(cells: Cells, mfn: number): number | null {
  const run = runFind(cells, owners, mfn);
  return run === undefined ? null : (run.tag as number);
}

/** How many frames from one on are plain memory of that domain. */
export function ownedFrom(cells: Cells, domid: number, mfn: number): number {
  const run = runFind(cells, owners, mfn);
  return run === undefined || run.tag !== domid ? 0 : run.start + run.count - mfn;
}

/** Adjusts `tot_pages` and takes what is allocated off the domain's claim (domain_adjust_tot_pages). */
function adjustTotPages(cells: Cells, domid: number, pages: number): number {
  const counts = cells.edit(domainPagesCell, domid);
  counts.totPages += pages;
  if (counts.outstandingPages > 0) {
    const left = Math.max(counts.outstandingPages - pages, 0);
    cells.edit(heapCell, 0).outstandingClaims -= counts.outstandingPages - left;
    counts.outstandingPages = left;
  }
  return counts.totPages;
}

/**
 * Makes free frames a domain's (assign_pages). The first page a domain gets
 * takes a reference on it.
 *
 * @returns EINVAL for a dying domain, EPERM where it has more than its maximum already, E2BIG where these are too many
 */
export function assignPages(host: Host, domid: number, mfn: number, count: number, gfn: number): 0 | Failure {
  if (must(host, domainCell, domid).isDying !== "alive") return fail("EINVAL");
  const counts = must(host, domainPagesCell, domid);
  const { maxPages } = counts;
  const totPages = domainTotPages(counts);
  if (totPages > maxPages) return fail("EPERM");
  if (count > maxPages - totPages) return fail("E2BIG");
  if (adjustTotPages(host, domid, count) === count)
    getDomain(host, domid, { holder: "xen", kind: "pages", op: "assign_pages" });
  runInsert(host, owners, { start: mfn, count, value: -1, tag: domid });
  runInsert(host, ownedFrames(domid), { start: mfn, count, value: gfn, tag: 0 });
  writeM2p(host, mfn, count, gfn);
  return 0;
}

/** Takes a domain's frames back, scrubs and frees them; its last one drops a reference on it (free_domheap_pages). */
export function freeOwnedFrames(host: Host, domid: number, mfn: number, count: number): void {
  runRemove(host, owners, mfn, count);
  runRemove(host, ownedFrames(domid), mfn, count);
  host.memory.discard(mfn, count);
  freeHeapPages(host, mfn, count);
  if (adjustTotPages(host, domid, -count) === 0) putDomain(host, domid, "xen", "pages");
}

/** The same for a page the hypervisor had allocated in the domain's name. */
export function freeExtraFrame(host: Host, domid: number, mfn: number): void {
  const counts = host.edit(domainPagesCell, domid);
  counts.extraPages = counts.extraPages.filter((other) => other !== mfn);
  host.memory.discard(mfn, 1);
  freeHeapPages(host, mfn, 1);
  if (adjustTotPages(host, domid, -1) === 0) putDomain(host, domid, "xen", "pages");
}

/** Changes frames' m2p entries; NO_FRAME takes them away (set_gpfn_from_mfn). */
export function setM2p(host: Host, domid: number, mfn: number, count: number, gfn: number): void {
  runRemove(host, ownedFrames(domid), mfn, count);
  runInsert(host, ownedFrames(domid), { start: mfn, count, value: gfn, tag: 0 });
  writeM2p(host, mfn, count, gfn);
}

/**
 * Promises a domain that it can have that many pages in all, without allocating
 * them; 0 takes the promise back (domain_set_outstanding_pages).
 *
 * @returns EINVAL where there is a claim already or the number is not above what it has or beyond its
 *   maximum, ENOMEM where the host has not enough
 */
export function setOutstandingPages(cells: Cells, domid: number, pages: number): 0 | Failure {
  const { totPages, maxPages, outstandingPages } = must(cells, domainPagesCell, domid);
  if (pages !== 0 && (outstandingPages !== 0 || pages <= totPages || pages > maxPages)) return fail("EINVAL");
  if (pages !== 0 && pages - totPages > unclaimedPages(cells)) return fail("ENOMEM");
  const claim = pages === 0 ? 0 : pages - totPages;
  if (claim === outstandingPages) return 0;
  cells.edit(heapCell, 0).outstandingClaims += claim - outstandingPages;
  cells.edit(domainPagesCell, domid).outstandingPages = claim;
  return 0;
}
