// SPDX-License-Identifier: Apache-2.0
//
// A kernel's page allocator, as far as anybody can see it from outside: pages it
// shares with others, and pages its balloon gives back.

import { must } from "../engine/cells.ts";
import type { Host } from "../engine/host.ts";
import { fail } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import { domainCell, pagingModeTranslate } from "../hypervisor/domain.ts";
import { ownedFrames } from "../hypervisor/frames.ts";
import { mfnToGfn } from "../hypervisor/memory-op.ts";
import { isPod, p2m } from "../hypervisor/p2m.ts";
import { pagesInUseCell } from "../hypervisor/pages-in-use.ts";
import { getGfn } from "../hypervisor/pod-populate.ts";
import { NO_FRAME, runsOf } from "../hypervisor/runs.ts";

/** A page of a guest's: the frame number it uses for it, and the machine's. */
export interface GuestPage {
  gfn: number;
  mfn: number;
}

/**
 * Takes a page out of the guest's memory: the topmost that is not in use, as
 * kernels are loaded from the bottom. ENOMEM where there is none left, which
 * whoever takes a domain's memory away from outside can bring about.
 */
export function allocPage(host: Host, domid: number): GuestPage | Failure {
  const [page] = topmost(host, domid, 1);
  if (page === undefined) return fail("ENOMEM");
  host.edit(pagesInUseCell, domid).mfns.push(page.mfn);
  return page;
}

/** Guest frames of a translated domain that are no memory of its kernel's: what its builder put below 4 GiB. */
const HOLE_FIRST = 0xf0000;
const HOLE_LAST = 0xfffff;

/** Stretches of memory a domain has, by guest frame number, the topmost first; what is on demand has no `mfn`. */
function memoryOf(host: Host, domid: number): { gfn: number; mfn: number; count: number }[] {
  const found: { gfn: number; mfn: number; count: number }[] = [];
  if (pagingModeTranslate(must(host, domainCell, domid))) {
    for (const { start, count, value, tag } of runsOf(host, p2m(domid)))
      if ((tag === "ram" || isPod(tag)) && (start < HOLE_FIRST || start > HOLE_LAST))
        found.push({ gfn: start, mfn: value, count });
  } else {
    for (const { start, count, value } of runsOf(host, ownedFrames(domid)))
      found.push({ gfn: value, mfn: start, count });
  }
  return found.toSorted((a, b) => b.gfn - a.gfn);
}

/**
 * The topmost pages that are not in use. The kernel touches each, whether it takes
 * it for itself or clears it for the balloon (xen_scrub_pages): what is on demand is
 * populated.
 */
function topmost(host: Host, domid: number, count: number): GuestPage[] {
  const { mfns } = must(host, pagesInUseCell, domid);
  const d = must(host, domainCell, domid);
  const found: GuestPage[] = [];
  for (const { gfn, mfn, count: size } of memoryOf(host, domid)) {
    for (let at = size - 1; at >= 0 && found.length < count; at--) {
      const touched = mfn === NO_FRAME ? getGfn(host, d, gfn + at, domid) : mfn + at;
      if (touched === NO_FRAME || mfns.includes(touched)) continue;
      found.push({ mfn: touched, gfn: pagingModeTranslate(d) ? gfn + at : touched });
    }
  }
  return found;
}

/** Gives a page back to the allocator. */
export function freePage(host: Host, domid: number, mfn: number): void {
  const pages = host.edit(pagesInUseCell, domid);
  pages.mfns = pages.mfns.filter((other) => other !== mfn);
}

/** Up to `count` pages the balloon may give back, each with the frame number to ask for again. */
export function pagesForBalloon(host: Host, domid: number, count: number): (GuestPage & { pfn: number })[] {
  const translated = pagingModeTranslate(must(host, domainCell, domid));
  return topmost(host, domid, count).map((page) => ({
    ...page,
    pfn: translated ? page.gfn : Math.max(mfnToGfn(host, page.mfn), 0),
  }));
}
