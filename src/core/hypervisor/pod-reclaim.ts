// SPDX-License-Identifier: Apache-2.0
//
// Getting memory back for the cache: pages a guest has populated and that hold
// nothing but zeros become entries again (xen/arch/x86/mm/p2m-pod.c,
// p2m_pod_zero_check, p2m_pod_zero_check_superpage, pod_eager_reclaim,
// p2m_pod_emergency_sweep).

import { must } from "../engine/cells.ts";
import type { DeepReadonly } from "../engine/cells.ts";
import type { Host } from "../engine/host.ts";
import { hapEnabled } from "./domain.ts";
import type { Domain } from "./domain.ts";
import { setM2p } from "./frames.ts";
import { machineOf } from "./machine.ts";
import { isRam, p2m, physmapAddPod, SUPERPAGE_PAGES } from "./p2m.ts";
import { nextPage } from "./page.ts";
import { pagesInUseCell } from "./pages-in-use.ts";
import { podCacheAdd } from "./pod-cache.ts";
import { editPod, podCell, podCounts, RECENT_MAX } from "./pod-cell.ts";
import type { Populated } from "./pod-cell.ts";
import { NO_FRAME, runFind } from "./runs.ts";
import type { Run } from "./runs.ts";

/** Frames a sweep looks at even where it has found something (POD_SWEEP_LIMIT). */
const SWEEP_LIMIT = 1024;
/** How many of them are looked at together (POD_SWEEP_STRIDE). */
const SWEEP_STRIDE = 16;

/** The run of memory of its own that a guest frame is in. */
function ramAt(host: Host, domid: number, gfn: number): Run | undefined {
  const run = runFind(host, p2m(domid), gfn);
  return run !== undefined && run.value !== NO_FRAME && isRam(run.tag) ? run : undefined;
}

/** Whether frames are held by nobody but their domain, and zero. */
function isSpare(host: Host, domid: number, mfn: number, count: number): boolean {
  const held = nextPage(host, mfn);
  if (held >= 0 && held < mfn + count) return false;
  const used = host.get(pagesInUseCell, domid)?.mfns ?? [];
  if (used.some((frame) => frame >= mfn && frame < mfn + count)) return false;
  for (let at = mfn; at < mfn + count; at++) if (!host.memory.isZero(at)) return false;
  return true;
}

function takeBack(host: Host, d: DeepReadonly<Domain>, gfn: number, mfn: number, count: number): void {
  physmapAddPod(host, d.domid, gfn, count, count === SUPERPAGE_PAGES && hapEnabled(host, d.domid));
  setM2p(host, d.domid, mfn, count, NO_FRAME);
  podCacheAdd(host, d.domid, mfn, count);
}

/** Takes a superpage back that is one to the machine, too, and zero all over; false where it is not. */
export function podZeroCheckSuperpage(host: Host, d: DeepReadonly<Domain>, gfn: number): boolean {
  const run = ramAt(host, d.domid, gfn);
  if (run === undefined || run.start + run.count < gfn + SUPERPAGE_PAGES) return false;
  const mfn = run.value + (gfn - run.start);
  if (gfn % SUPERPAGE_PAGES !== 0 || mfn % SUPERPAGE_PAGES !== 0) return false;
  if (!isSpare(host, d.domid, mfn, SUPERPAGE_PAGES)) return false;
  takeBack(host, d, gfn, mfn, SUPERPAGE_PAGES);
  return true;
}

/** Takes a page back that is zero. */
function zeroCheck(host: Host, d: DeepReadonly<Domain>, gfn: number): void {
  const run = ramAt(host, d.domid, gfn);
  if (run === undefined) return;
  const mfn = run.value + (gfn - run.start);
  if (isSpare(host, d.domid, mfn, 1)) takeBack(host, d, gfn, mfn, 1);
}

function checkPopulated(host: Host, d: DeepReadonly<Domain>, { gfn, superpage }: Populated): void {
  if (!superpage) return zeroCheck(host, d, gfn);
  if (podZeroCheckSuperpage(host, d, gfn)) return;
  for (let at = gfn; at < gfn + SUPERPAGE_PAGES; at++) zeroCheck(host, d, at);
}

/** Looks at the oldest of what was populated last, and, while the cache is empty, at the others. */
export function podEagerReclaim(host: Host, d: DeepReadonly<Domain>): void {
  for (let i = 0; i < RECENT_MAX; i++) {
    const { recent, recentAt, cached } = must(host, podCell, d.domid);
    if (i > 0 && cached > 0) return;
    const at = (recentAt + i) % RECENT_MAX;
    const populated = recent[at] ?? null;
    if (populated === null) continue;
    checkPopulated(host, d, populated);
    editPod(host, d.domid).recent[at] = null;
  }
}

/**
 * Goes over the guest's memory downwards, from where the last sweep ended, until
 * there is something in the cache. Xen gives up beyond the limit where somebody
 * else is to run; that is after as many frames here as a restartable operation
 * takes in one go.
 */
export function podEmergencySweep(host: Host, d: DeepReadonly<Domain>): void {
  const { reclaimSingle, maxGuest } = must(host, podCell, d.domid);
  const start = reclaimSingle === 0 ? maxGuest : reclaimSingle;
  const limit = Math.max(0, start - SWEEP_LIMIT);
  let left = machineOf(host).preemptPages;
  let found: number[] = [];
  const check = (): void => {
    for (const gfn of found) zeroCheck(host, d, gfn);
    found = [];
  };
  let gfn = start;
  for (; gfn > 0; gfn--) {
    if (ramAt(host, d.domid, gfn) !== undefined && found.push(gfn) === SWEEP_STRIDE) check();
    if (gfn < limit && (podCounts(host, d.domid).cached > 0 || --left <= 0)) break;
  }
  check();
  editPod(host, d.domid).reclaimSingle = Math.max(0, gfn - 1);
}
