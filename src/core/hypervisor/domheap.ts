// SPDX-License-Identifier: Apache-2.0
//
// Memory for a domain, from the machine's free frames (xen/common/page_alloc.c,
// alloc_domheap_pages).

import { must } from "../engine/cells.ts";
import type { Cells } from "../engine/cells.ts";
import { isFailure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { domainPagesCell } from "./domain.ts";
import { assignPages } from "./frames.ts";
import { allocHeapPages, freeHeapPages, unclaimedPages } from "./heap.ts";
import { NO_FRAME } from "./runs.ts";

/**
 * Gives a domain 2^order frames and returns the first; NO_FRAME where it may
 * not have so many, or the host has no such block.
 *
 * @param gfn what the first frame is to be in the m2p table, or NO_FRAME
 * @param limit the first machine frame that may not be among them
 */
export function allocDomheapPages(
  host: Host,
  domid: number,
  order: number,
  gfn: number,
  limit = Infinity,
): number {
  const mfn = claimedOrFree(host, domid, order) ? allocHeapPages(host, order, limit) : NO_FRAME;
  if (mfn === NO_FRAME) return NO_FRAME;
  const count = 2 ** order;
  if (!isFailure(assignPages(host, domid, mfn, count, gfn))) return mfn;
  freeHeapPages(host, mfn, count);
  return NO_FRAME;
}

/** Whether the host has those pages beside what others have claimed (alloc_heap_pages). */
function claimedOrFree(cells: Cells, domid: number, order: number): boolean {
  const { outstandingPages } = must(cells, domainPagesCell, domid);
  return unclaimedPages(cells) + outstandingPages >= 2 ** order;
}
