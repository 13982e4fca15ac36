// SPDX-License-Identifier: Apache-2.0
//
// The cache that guest frames are populated from on demand: frames that are the
// domain's already, and no guest frame yet (xen/arch/x86/mm/p2m-pod.c,
// p2m_pod_cache_add, p2m_pod_cache_get, p2m_pod_set_cache_target). Xen keeps two
// lists; here what is taken is always the lowest frame.

import type { Cells } from "../engine/cells.ts";
import { fail } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { printk } from "./console-ring.ts";
import { allocDomheapPages } from "./domheap.ts";
import { willForget } from "./forgotten-puts.ts";
import { freeOwnedFrames } from "./frames.ts";
import { MAX_ORDER } from "./heap.ts";
import { SUPERPAGE_ORDER, SUPERPAGE_PAGES } from "./p2m.ts";
import { nextPage, putPageAllocRef } from "./page.ts";
import { editPod, podCounts } from "./pod-cell.ts";
import { NO_FRAME, runFind, runFrom, runInsert, runMap, runRemove } from "./runs.ts";
import type { RunMap } from "./runs.ts";

/** Frames in aligned blocks of 2 MiB (`pod.super`). */
export const podSuper = (domid: number): RunMap => runMap(`pod-super/${domid}`);
/** Single frames (`pod.single`). */
export const podSingle = (domid: number): RunMap => runMap(`pod-single/${domid}`);

/** Whether a frame is in its domain's cache. */
export function inPodCache(cells: Cells, domid: number, mfn: number): boolean {
  return [podSuper(domid), podSingle(domid)].some((list) => runFind(cells, list, mfn) !== undefined);
}

const ZEROS = new Uint8Array(4096);

/** Frames from one on, up to a number, that are no more than allocated. */
function plainFrom(host: Host, mfn: number, count: number): number {
  const page = nextPage(host, mfn);
  return page < 0 ? count : Math.min(count, page - mfn);
}

/**
 * Puts a domain's frames into its cache; they are zero from then on, whoever
 * may map them still (p2m_pod_cache_add).
 */
export function podCacheAdd(host: Host, domid: number, mfn: number, count: number): void {
  for (let done = 0; done < count;) {
    const plain = plainFrom(host, mfn + done, count - done);
    if (plain > 0) host.memory.discard(mfn + done, plain);
    else host.memory.write(mfn + done, 0, ZEROS);
    done += Math.max(plain, 1);
  }
  const whole = mfn % SUPERPAGE_PAGES === 0 && count % SUPERPAGE_PAGES === 0;
  const list = whole ? podSuper(domid) : podSingle(domid);
  runInsert(host, list, { start: mfn, count, value: NO_FRAME, tag: 0 });
  const pod = editPod(host, domid);
  pod.cached += count;
  pod.exhausted = false;
}

function breakUpSuperpage(host: Host, domid: number): void {
  const run = runFrom(host, podSuper(domid), 0);
  if (run === undefined) return;
  runRemove(host, podSuper(domid), run.start, SUPERPAGE_PAGES);
  runInsert(host, podSingle(domid), { start: run.start, count: SUPERPAGE_PAGES, value: NO_FRAME, tag: 0 });
}

/**
 * Takes a frame or a superpage out of a cache that is not empty. Superpages are
 * broken up for single frames; where there is none, NO_FRAME (p2m_pod_cache_get).
 */
export function podCacheGet(host: Host, domid: number, superpage: boolean): number {
  if (!superpage && runFrom(host, podSingle(domid), 0) === undefined) breakUpSuperpage(host, domid);
  const list = superpage ? podSuper(domid) : podSingle(domid);
  const run = runFrom(host, list, 0);
  if (run === undefined) return NO_FRAME;
  const count = superpage ? SUPERPAGE_PAGES : 1;
  runRemove(host, list, run.start, count);
  editPod(host, domid).cached -= count;
  return run.start;
}

/**
 * Makes the cache as large as that: ENOMEM where the host, or what the domain may
 * have, does not allow it; what could be had stays (p2m_pod_set_cache_target).
 */
export function podSetCacheTarget(host: Host, domid: number, target: number): 0 | Failure {
  for (;;) {
    const missing = target - podCounts(host, domid).cached;
    if (missing <= 0) break;
    if (grow(host, domid, missing)) continue;
    const { cached } = podCounts(host, domid);
    printk(
      host,
      `p2m_pod_set_cache_target: Unable to allocate page for PoD cache (target=${target} cache=${cached})`,
    );
    return fail("ENOMEM");
  }
  for (;;) {
    const excess = podCounts(host, domid).cached - target;
    if (excess <= 0) return 0;
    shrink(host, domid, excess);
  }
}

/** Allocates up to that many frames in one block: of more than 2 MiB it is superpages, else single frames. */
function grow(host: Host, domid: number, missing: number): boolean {
  for (let order = Math.min(MAX_ORDER, Math.floor(Math.log2(missing))); order >= 0; order--) {
    const mfn = allocDomheapPages(host, domid, order, NO_FRAME);
    if (mfn === NO_FRAME) continue;
    podCacheAdd(host, domid, mfn, 2 ** order);
    return true;
  }
  return false;
}

/** Frees frames that are too many: superpages while more than one has to go, single frames then. */
function shrink(host: Host, domid: number, excess: number): void {
  const superpages = runFrom(host, podSuper(domid), 0);
  const whole = excess > SUPERPAGE_PAGES && superpages !== undefined;
  if (!whole && runFrom(host, podSingle(domid), 0) === undefined) breakUpSuperpage(host, domid);
  const list = whole ? podSuper(domid) : podSingle(domid);
  const run = runFrom(host, list, 0);
  if (run === undefined) return;
  const wanted = whole ? Math.ceil((excess - SUPERPAGE_PAGES) / SUPERPAGE_PAGES) << SUPERPAGE_ORDER : excess;
  const count = Math.min(wanted, run.count);
  runRemove(host, list, run.start, count);
  editPod(host, domid).cached -= count;
  giveUp(host, domid, run.start, count);
}

/** The domain gives frames up: one that somebody holds is freed when they let go. */
function giveUp(host: Host, domid: number, mfn: number, count: number): void {
  for (let done = 0; done < count;) {
    const plain = willForget(host, domid, "allocated") ? 0 : plainFrom(host, mfn + done, count - done);
    if (plain > 0) freeOwnedFrames(host, domid, mfn + done, plain);
    else putPageAllocRef(host, mfn + done);
    done += Math.max(plain, 1);
  }
}

/**
 * A dying domain's cache is plain memory again, a part of it a call; says whether
 * any is left (p2m_pod_empty_cache). Outstanding entries stay counted.
 */
export function podEmptyCache(host: Host, domid: number, limit: number): "done" | "more" {
  for (let done = 0; done < limit && podCounts(host, domid).cached > 0; done++) {
    for (const list of [podSuper(domid), podSingle(domid)]) {
      const run = runFrom(host, list, 0);
      if (run === undefined) continue;
      runRemove(host, list, run.start, run.count);
      editPod(host, domid).cached -= run.count;
    }
  }
  return podCounts(host, domid).cached === 0 ? "done" : "more";
}
