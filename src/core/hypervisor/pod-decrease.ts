// SPDX-License-Identifier: Apache-2.0
//
// A balloon gives back guest frames of a domain that has some to be populated on
// demand: entries just go, and memory goes into the cache where that is short of
// them (xen/arch/x86/mm/p2m-pod.c, p2m_pod_decrease_reservation).

import { must } from "../engine/cells.ts";
import type { DeepReadonly } from "../engine/cells.ts";
import type { Host } from "../engine/host.ts";
import { domainCell } from "./domain.ts";
import type { Domain } from "./domain.ts";
import { setM2p } from "./frames.ts";
import { isPod, isRam, p2m, physmapRemove, SUPERPAGE_ORDER, SUPERPAGE_PAGES } from "./p2m.ts";
import { podCacheAdd, podSetCacheTarget } from "./pod-cache.ts";
import { podCounts } from "./pod-cell.ts";
import { chunkOrder } from "./pod-populate.ts";
import { podZeroCheckSuperpage } from "./pod-reclaim.ts";
import { NO_FRAME, runFrom } from "./runs.ts";

/** How many of 2^order guest frames are dealt with; the others are for whoever gives plain memory back. */
export function podDecreaseReservation(
  host: Host,
  d: DeepReadonly<Domain>,
  gfn: number,
  order: number,
): number {
  if (podCounts(host, d.domid).entries === 0) return 0;
  const chunk = chunkOrder(gfn, order);
  let dealtWith = 0;
  for (let done = 0; done < 2 ** order; done += 2 ** chunk)
    dealtWith += decreaseChunk(host, d, gfn + done, chunk);
  return dealtWith;
}

/** Whether the cache has less than may be asked of it. */
function cacheIsShort(host: Host, domid: number): boolean {
  const { entries, cached } = podCounts(host, domid);
  return entries > cached;
}

/** A part of an extent: entries, memory of the domain's own, or neither. */
interface Part {
  readonly kind: "pod" | "ram" | "other";
  readonly gfn: number;
  readonly count: number;
  readonly mfn: number;
}

function* partsOf(host: Host, domid: number, gfn: number, count: number): Generator<Part> {
  const end = gfn + count;
  for (let at = gfn; at < end;) {
    const run = runFrom(host, p2m(domid), at);
    if (run === undefined || run.start >= end) return;
    const from = Math.max(at, run.start);
    const size = Math.min(end, run.start + run.count) - from;
    const kind = isPod(run.tag) ? "pod" : isRam(run.tag) ? "ram" : "other";
    const mfn = run.value === NO_FRAME ? NO_FRAME : run.value + (from - run.start);
    yield { kind, gfn: from, count: size, mfn };
    at = from + size;
  }
}

function framesOf(host: Host, domid: number, gfn: number, count: number): { pod: number; ram: number } {
  const sum = { pod: 0, ram: 0, other: 0 };
  for (const { kind, count: size } of partsOf(host, domid, gfn, count)) sum[kind] += size;
  return sum;
}

function decreaseChunk(host: Host, d: DeepReadonly<Domain>, gfn: number, order: number): number {
  const { domid } = d;
  if (podCounts(host, domid).entries === 0 || must(host, domainCell, domid).isDying !== "alive") return 0;
  const size = 2 ** order;
  const { pod, ram } = framesOf(host, domid, gfn, size);
  if (pod === 0 && !cacheIsShort(host, domid)) return 0;
  let done = 0;
  if (pod === size) {
    physmapRemove(host, domid, gfn, size);
    done = size;
  } else {
    // One page of a superpage that holds nothing: all of it is worth having.
    if (cacheIsShort(host, domid) && order < SUPERPAGE_ORDER && ram === size)
      podZeroCheckSuperpage(host, d, gfn - (gfn % SUPERPAGE_PAGES));
    for (const part of [...partsOf(host, domid, gfn, size)]) done += takePart(host, domid, part);
  }
  const { entries, cached } = podCounts(host, domid);
  if (entries < cached) podSetCacheTarget(host, domid, entries);
  return done;
}

/** Takes a part away, if it is for us to take; how many frames that was. */
function takePart(host: Host, domid: number, { kind, gfn, count, mfn }: Part): number {
  if (kind === "other" || (kind === "ram" && !cacheIsShort(host, domid))) return 0;
  physmapRemove(host, domid, gfn, count);
  if (kind === "pod") return count;
  setM2p(host, domid, mfn, count, NO_FRAME);
  podCacheAdd(host, domid, mfn, count);
  return count;
}
