// SPDX-License-Identifier: Apache-2.0
//
// Free machine frames: a buddy allocator as in xen/common/page_alloc.c, so that
// neither a terabyte nor ten thousand domains cost more than a few words a call.
// Buddies are always merged: what is free has one representation, whatever the
// order it was freed in.

import { cellType, must } from "../engine/cells.ts";
import type { Cells } from "../engine/cells.ts";
import { assert } from "../engine/errno.ts";
import { bitmap, findFirstBit, setBit, testAndClearBit, testBit } from "./bitmap.ts";
import type { Bitmap } from "./bitmap.ts";

/** Largest block: 4 GiB (MAX_ORDER). */
export const MAX_ORDER = 20;

/** Frames below 4 GiB: what a 32-bit machine address reaches. Taken for others only when nothing above is left. */
const LOW_FRAMES = 1 << 20;

/** `freePages` counts all that is in the buddy lists; claims are promised and still in them. */
export const heapCell = cellType<{ freePages: number; outstandingClaims: number }>("heap");

type Zone = "low" | "high";

const lists: { readonly [zone in Zone]: readonly Bitmap[] } = {
  low: Array.from({ length: MAX_ORDER + 1 }, (_, order) => bitmap(`heap/low/${order}`, 6)),
  high: Array.from({ length: MAX_ORDER + 1 }, (_, order) => bitmap(`heap/high/${order}`, 6)),
};

function listOf(mfn: number, order: number): Bitmap {
  const list = lists[mfn < LOW_FRAMES ? "low" : "high"][order];
  assert(list !== undefined, `order ${order}`);
  return list;
}

/**
 * Takes 2^order frames, aligned to their size, and returns the first, or -1 when
 * there are none. `limit` is the first frame that may not be among them.
 */
export function allocHeapPages(cells: Cells, order: number, limit = Infinity): number {
  for (const zone of ["high", "low"] as const) {
    if (zone === "high" && limit <= LOW_FRAMES) continue;
    for (let from = order; from <= MAX_ORDER; from++) {
      const list = lists[zone][from] as Bitmap;
      const block = findFirstBit(cells, list);
      if (block < 0) continue;
      testAndClearBit(cells, list, block);
      return split(cells, block * 2 ** from, from, order);
    }
  }
  return -1;
}

/** Gives back the upper halves of a block until what is left has the wanted size. */
function split(cells: Cells, mfn: number, from: number, order: number): number {
  for (let half = from - 1; half >= order; half--) {
    setBit(cells, listOf(mfn, half), mfn / 2 ** half + 1);
  }
  cells.edit(heapCell, 0).freePages -= 2 ** order;
  return mfn;
}

/** Gives back any run of frames: as the largest aligned blocks it consists of. */
export function freeHeapPages(cells: Cells, mfn: number, count: number): void {
  let at = mfn;
  let left = count;
  while (left > 0) {
    let order = 0;
    while (order < MAX_ORDER && at % 2 ** (order + 1) === 0 && 2 ** (order + 1) <= left) order++;
    merge(cells, at, order);
    at += 2 ** order;
    left -= 2 ** order;
  }
  cells.edit(heapCell, 0).freePages += count;
}

function merge(cells: Cells, mfn: number, order: number): void {
  let at = mfn;
  let size = order;
  for (; size < MAX_ORDER; size++) {
    const index = at / 2 ** size;
    const buddy = index % 2 === 0 ? index + 1 : index - 1;
    if (!testAndClearBit(cells, listOf(at, size), buddy)) break;
    at = Math.min(at, buddy * 2 ** size);
  }
  const list = listOf(at, size);
  assert(!testBit(cells, list, at / 2 ** size), `frames at ${at} freed twice`);
  setBit(cells, list, at / 2 ** size);
}

/** Frames nobody has and nobody has claimed. */
export function unclaimedPages(cells: Cells): number {
  const { freePages, outstandingClaims } = must(cells, heapCell, 0);
  return freePages - outstandingClaims;
}
