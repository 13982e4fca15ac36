// SPDX-License-Identifier: Apache-2.0
//
// struct xenctl_bitmap: an address and a number of bits, for sets of processors
// and nodes.

import * as abi from "../../../abi/4.17/layout.ts";
import { fail, isFailure } from "../../engine/errno.ts";
import type { Failure } from "../../engine/errno.ts";
import type { CallerMemory } from "./caller-memory.ts";

/** Room for more is not written to: a garbage count must not make us allocate. */
const BITS_MAX = 1 << 16;

/**
 * Writes a set to where the bitmap at `at` points; members it has no room for are
 * left out, and what it has room for beyond is zeroed (bitmap_to_xenctl_bitmap).
 */
export function writeBitmap(
  memory: CallerMemory,
  view: DataView,
  at: number,
  members: readonly number[],
): 0 | Failure {
  const { bitmap, nr_bits } = abi.xenctl_bitmap;
  const bits = nr_bits.get(view, at);
  const address = bitmap.get(view, at);
  if (bits === 0) return 0;
  if (bits > BITS_MAX) return fail("EFAULT");
  const bytes = new Uint8Array((bits + 7) >> 3);
  for (const member of members) {
    if (member < bits) bytes[member >> 3] = (bytes[member >> 3] ?? 0) | (1 << (member & 7));
  }
  return memory.write(address, bytes);
}

/** Reads a set, in ascending order; of members from `limit` on nothing is looked at (xenctl_bitmap_to_bitmap). */
export function readBitmap(
  memory: CallerMemory,
  view: DataView,
  at: number,
  limit: number,
): number[] | Failure {
  const { bitmap, nr_bits } = abi.xenctl_bitmap;
  const bits = Math.min(nr_bits.get(view, at), limit);
  if (bits === 0) return [];
  const bytes = memory.read(bitmap.get(view, at), (bits + 7) >> 3);
  if (isFailure(bytes)) return bytes;
  const members: number[] = [];
  for (let bit = 0; bit < bits; bit++)
    if (((bytes[bit >> 3] ?? 0) & (1 << (bit & 7))) !== 0) members.push(bit);
  return members;
}
