// SPDX-License-Identifier: Apache-2.0
//
// Guest frames that are memory only from the moment somebody touches them
// (xen/arch/x86/mm/p2m-pod.c, guest_physmap_mark_populate_on_demand,
// p2m_pod_demand_populate).

import { must } from "../engine/cells.ts";
import type { DeepReadonly } from "../engine/cells.ts";
import { fail, isFailure } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { printk } from "./console-ring.ts";
import {
  domainCell,
  domainPagesCell,
  domainTotPages,
  hapEnabled,
  logDirtyCell,
  pagingModeTranslate,
} from "./domain.ts";
import type { Domain } from "./domain.ts";
import { setM2p } from "./frames.ts";
import {
  isPod,
  p2m,
  p2mReaches,
  physmapAdd,
  physmapAddPod,
  splinterPod,
  SUPERPAGE_ORDER,
  SUPERPAGE_PAGES,
} from "./p2m.ts";
import { podCacheGet } from "./pod-cache.ts";
import { editPod, podCell, podCounts, RECENT_MAX } from "./pod-cell.ts";
import { podEagerReclaim, podEmergencySweep } from "./pod-reclaim.ts";
import { NO_FRAME, runFind, runFrom } from "./runs.ts";
import { domainCrash } from "./shutdown.ts";

/** Aligned blocks that 2^order frames from one on consist of, all of one size: their order (find_first_set_bit). */
export function chunkOrder(gfn: number, order: number): number {
  let chunk = 0;
  while (chunk < order && gfn % 2 ** (chunk + 1) === 0) chunk++;
  return chunk;
}

/**
 * Makes 2^order guest frames of a translated domain such that are populated on
 * demand: EINVAL for PV, or beyond what the p2m reaches, which ends the domain
 * where it is more than one frame; EBUSY where one is in use.
 *
 * @param by the domain that asks
 */
export function markPopulateOnDemand(
  host: Host,
  d: DeepReadonly<Domain>,
  gfn: number,
  order: number,
  by: number,
): 0 | Failure {
  if (!pagingModeTranslate(d)) return fail("EINVAL");
  const chunk = chunkOrder(gfn, order);
  for (let done = 0; done < 2 ** order; done += 2 ** chunk) {
    const marked = markChunk(host, d, gfn + done, chunk, by);
    if (isFailure(marked)) return marked;
  }
  return 0;
}

function markChunk(host: Host, d: DeepReadonly<Domain>, gfn: number, order: number, by: number): 0 | Failure {
  const count = 2 ** order;
  for (let run = runFrom(host, p2m(d.domid), gfn); run !== undefined && run.start < gfn + count;) {
    if (!isPod(run.tag)) return fail("EBUSY");
    run = runFrom(host, p2m(d.domid), run.start + run.count);
  }
  if (!p2mReaches(gfn, count)) {
    if (order === 0) return fail("EINVAL");
    const shown = `d${d.domid}: marking GFN 0x${gfn.toString(16)} (order ${order})`;
    printk(host, `${shown} as PoD failed: -22`);
    domainCrash(host, d.domid, by);
    return fail("EINVAL");
  }
  // Only the processor's own tables have entries of 2 MiB (p2m_set_entry).
  physmapAddPod(host, d.domid, gfn, count, order >= SUPERPAGE_ORDER && hapEnabled(host, d.domid));
  return 0;
}

/**
 * The machine frame behind a guest frame that somebody is about to use: one that
 * is populated on demand is populated (get_gfn with P2M_ALLOC). NO_FRAME where
 * there is none, or no memory for it: that is the domain's end.
 *
 * @param by the domain that touches it
 */
export function getGfn(host: Host, d: DeepReadonly<Domain>, gfn: number, by: number): number {
  if (!pagingModeTranslate(d)) return gfn;
  for (;;) {
    const run = runFind(host, p2m(d.domid), gfn);
    if (run === undefined) return NO_FRAME;
    if (!isPod(run.tag)) return run.value === NO_FRAME ? NO_FRAME : run.value + (gfn - run.start);
    if (!demandPopulate(host, d, gfn, run.tag === "pod_2m", by)) return NO_FRAME;
  }
}

/** Populates a frame, and with it the entry it is in; false where that cannot be. */
function demandPopulate(
  host: Host,
  d: DeepReadonly<Domain>,
  gfn: number,
  superpage: boolean,
  by: number,
): boolean {
  const { domid } = d;
  if (must(host, domainCell, domid).isDying !== "alive") return false;
  if (podCounts(host, domid).cached === 0 && isExhausted(host, domid)) return outOfMemory(host, domid, by);
  const { entries, cached } = podCounts(host, domid);
  if (entries > cached) podEagerReclaim(host, d);
  if (podCounts(host, domid).cached === 0) podEmergencySweep(host, d);
  if (podCounts(host, domid).cached === 0) return outOfMemory(host, domid, by);
  const pod = editPod(host, domid);
  pod.maxGuest = Math.max(pod.maxGuest, gfn);
  const count = superpage ? SUPERPAGE_PAGES : 1;
  const first = gfn - (gfn % count);
  const mfn = podCacheGet(host, domid, superpage);
  if (mfn === NO_FRAME) {
    // There are only single frames left: so are the entries from here on.
    splinterPod(host, domid, first);
    return true;
  }
  physmapAdd(host, domid, first, mfn, count, "ram");
  setM2p(host, domid, mfn, count, first);
  markDirty(host, domid, mfn, count);
  pod.recent[pod.recentAt] = { gfn: first, superpage };
  pod.recentAt = (pod.recentAt + 1) % RECENT_MAX;
  return true;
}

/** What is populated counts as written while somebody watches that (paging_mark_pfn_dirty). */
function markDirty(host: Host, domid: number, mfn: number, count: number): void {
  if (host.get(logDirtyCell, domid) === undefined) return;
  for (let at = mfn; at < mfn + count; at++) host.memory.write(at, 0, new Uint8Array(1));
}

/**
 * Whether a crashed domain has been swept in vain: nothing in it runs that could have
 * cleared a page since. Xen sweeps for each page of a batch that somebody maps.
 */
function isExhausted(host: Host, domid: number): boolean {
  return must(host, podCell, domid).exhausted && must(host, domainCell, domid).shutdown !== "none";
}

function outOfMemory(host: Host, domid: number, by: number): false {
  const tot = domainTotPages(must(host, domainPagesCell, domid));
  const { entries } = podCounts(host, domid);
  const shown = `(tot=${tot} ents=${entries} dom${by})`;
  printk(host, `p2m_pod_demand_populate: Dom${domid} out of PoD memory! ${shown}`);
  editPod(host, domid).exhausted = true;
  domainCrash(host, domid, by);
  return false;
}
