// SPDX-License-Identifier: Apache-2.0
//
// A kernel's page allocator, as far as anybody can see it from outside: pages it
// shares with others, and pages its balloon gives back.

import { cellType, must } from "../engine/cells.ts";
import type { Host } from "../engine/host.ts";
import { fail } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import { domainCell, pagingModeTranslate } from "../hypervisor/domain.ts";
import { ownedFrames } from "../hypervisor/frames.ts";
import { mfnToGfn } from "../hypervisor/memory-op.ts";
import { runsOf } from "../hypervisor/runs.ts";

/** A page of a guest's: the frame number it uses for it, and the machine's. */
export interface GuestPage {
  gfn: number;
  mfn: number;
}

/** Machine frames in use, by domid: the allocator hands out none of them. */
export const pagesInUseCell = cellType<{ mfns: number[] }>("pages-in-use");

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

function topmost(host: Host, domid: number, count: number): GuestPage[] {
  const { mfns } = must(host, pagesInUseCell, domid);
  const translated = pagingModeTranslate(must(host, domainCell, domid));
  const found: GuestPage[] = [];
  const runs = [...runsOf(host, ownedFrames(domid))].toSorted((a, b) => b.value - a.value);
  for (const { start, count: size, value } of runs) {
    if (translated && value >= HOLE_FIRST && value <= HOLE_LAST) continue;
    for (let at = size - 1; at >= 0 && found.length < count; at--) {
      if (!mfns.includes(start + at))
        found.push({ mfn: start + at, gfn: translated ? value + at : start + at });
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
  return topmost(host, domid, count).map((page) => ({ ...page, pfn: Math.max(mfnToGfn(host, page.mfn), 0) }));
}
