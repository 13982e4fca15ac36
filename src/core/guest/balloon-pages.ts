// SPDX-License-Identifier: Apache-2.0
//
// One batch of pages out of a guest's memory or back into it (Linux
// drivers/xen/balloon.c, decrease_reservation, increase_reservation).

import { isFailure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { decreaseReservation, populatePhysmap } from "../hypervisor/memory-op.ts";
import { pagesForBalloon } from "../drivers/pages.ts";

/** What the balloon counts, in pages of 4 KiB (struct balloon_stats), by domid. */
export interface Balloon {
  currentPages: number;
  targetPages: number;
  /** What the target counts more than the guest's own pages (`target_diff`): 0 for PV. */
  targetDiff: number;
  /** Frames that were given back, to be populated again, the last one first. */
  ballooned: number[];
  /** Whether the watch has fired once (`watch_fired`). */
  watchFired: boolean;
}

/** Pages moved with one hypercall: what fits into a page of frame numbers. */
const FRAMES_PER_CALL = 512;

/** Gives up to `pages` pages back to Xen; true where that failed. */
export function balloonOut(host: Host, domid: number, balloon: Balloon, pages: number): boolean {
  const chosen = pagesForBalloon(host, domid, Math.min(pages, FRAMES_PER_CALL));
  const gmfns = chosen.map(({ gfn }) => gfn);
  const result = decreaseReservation(host, { domid, process: "kernel" }, { domid, gmfns });
  const done = isFailure(result) ? 0 : result.done;
  balloon.ballooned.push(...chosen.slice(0, done).map(({ pfn }) => pfn));
  balloon.currentPages -= done;
  return done === 0;
}

/** Asks Xen for up to `pages` pages that were given back; true where it refused. */
export function balloonIn(host: Host, domid: number, balloon: Balloon, pages: number): boolean {
  const gpfns = balloon.ballooned.slice(-Math.min(pages, FRAMES_PER_CALL)).toReversed();
  const result = populatePhysmap(host, { domid, process: "kernel" }, { domid, gpfns, order: 0 });
  const done = isFailure(result) ? 0 : result.done;
  balloon.ballooned.length -= done;
  balloon.currentPages += done;
  return done === 0;
}
