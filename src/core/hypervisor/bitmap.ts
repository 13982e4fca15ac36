// SPDX-License-Identifier: Apache-2.0
//
// Bitmaps of any size at flat cost: a trie of 32-bit words, a cell a word, in
// which words without a set bit do not exist. Xen's find_next_bit and
// find_next_zero_bit (xen/lib/find-next-bit.c) with the same results.

import { cellType } from "../engine/cells.ts";
import type { Cells } from "../engine/cells.ts";
import { assert } from "../engine/errno.ts";

/** One word of one level. At level 0 both are the bits themselves; above, a bit stands for the word below it. */
interface Word {
  /** Words below that have a bit set. */
  some: number;
  /** Words below that have all bits set. */
  all: number;
}

const wordCell = cellType<Word>("bitmap-word");

const ALL = 0xffffffff;
/** A word without a set bit. */
const NO_BITS: Readonly<Word> = { some: 0, all: 0 };

/** A named bitmap; equal names are the same bitmap. */
export interface Bitmap {
  readonly name: string;
  /** Holds `32 ** levels` bits. */
  readonly levels: number;
}

/** Describes a bitmap. It takes no space until a bit is set, nor after the last one is cleared. */
export function bitmap(name: string, levels: number): Bitmap {
  return { name, levels };
}

function wordId(map: Bitmap, level: number, index: number): string {
  return `${map.name}:${level}:${index}`;
}

function word(cells: Cells, map: Bitmap, level: number, index: number): Readonly<Word> | undefined {
  return cells.get(wordCell, wordId(map, level, index));
}

function assertInside(map: Bitmap, bit: number): void {
  assert(Number.isInteger(bit) && bit >= 0 && bit < 32 ** map.levels, `bit ${bit} outside ${map.name}`);
}

/** Sets a bit and says whether it was set before. */
export function testAndSetBit(cells: Cells, map: Bitmap, bit: number): boolean {
  assertInside(map, bit);
  let below = ALL;
  for (let level = 0, index = bit; level < map.levels; level++) {
    const mask = 1 << (index & 31);
    index = Math.floor(index / 32);
    const id = wordId(map, level, index);
    const full = below === ALL;
    const old = cells.get(wordCell, id);
    if (level === 0 && old !== undefined && (old.some & mask) !== 0) return true;
    if (old === undefined) {
      cells.add(wordCell, id, { some: mask >>> 0, all: full ? mask >>> 0 : 0 });
    } else {
      if ((old.some & mask) !== 0 && !full) break;
      const edited = cells.edit(wordCell, id);
      edited.some = (edited.some | mask) >>> 0;
      if (full) edited.all = (edited.all | mask) >>> 0;
    }
    below = old === undefined ? (full ? mask >>> 0 : 0) : (full ? old.all | mask : old.all) >>> 0;
  }
  return false;
}

/** Clears a bit and says whether it was set before. */
export function testAndClearBit(cells: Cells, map: Bitmap, bit: number): boolean {
  assertInside(map, bit);
  let gone = true;
  for (let level = 0, index = bit; level < map.levels; level++) {
    const mask = 1 << (index & 31);
    index = Math.floor(index / 32);
    const id = wordId(map, level, index);
    const old = cells.get(wordCell, id);
    if (level === 0 && (old === undefined || (old.some & mask) === 0)) return false;
    assert(old !== undefined, `bitmap ${map.name} lost a word`);
    if (!gone && (old.all & mask) === 0) break;
    if (gone && (old.some & ~mask) === 0) {
      cells.drop(wordCell, id);
      continue;
    }
    const edited = cells.edit(wordCell, id);
    if (gone) edited.some = (edited.some & ~mask) >>> 0;
    edited.all = (edited.all & ~mask) >>> 0;
    gone = false;
  }
  return true;
}

/** Sets a bit. */
export function setBit(cells: Cells, map: Bitmap, bit: number): void {
  testAndSetBit(cells, map, bit);
}

/** Clears a bit. */
export function clearBit(cells: Cells, map: Bitmap, bit: number): void {
  testAndClearBit(cells, map, bit);
}

/** Whether a bit is set; bits outside the bitmap are not. */
export function testBit(cells: Cells, map: Bitmap, bit: number): boolean {
  const found = word(cells, map, 0, Math.floor(bit / 32));
  return found !== undefined && (found.some & (1 << (bit & 31))) !== 0;
}

/** Whether no bit is set. */
export function bitmapEmpty(cells: Cells, map: Bitmap): boolean {
  return word(cells, map, map.levels - 1, 0) === undefined;
}

/**
 * The bits set in one bitmap and not in another of the same size, in ascending
 * order. Costs a look at each pair of words below which the first has a bit and
 * the second lacks one: little where both are dense, however large they are.
 */
export function differenceOf(cells: Cells, map: Bitmap, without: Bitmap): number[] {
  const found: number[] = [];
  differenceBelow(cells, map, without, map.levels - 1, 0, found);
  return found;
}

function differenceBelow(
  cells: Cells,
  map: Bitmap,
  without: Bitmap,
  level: number,
  index: number,
  found: number[],
): void {
  const { some } = word(cells, map, level, index) ?? NO_BITS;
  const other = word(cells, without, level, index) ?? NO_BITS;
  let left = some & ~(level === 0 ? other.some : other.all);
  for (; left !== 0; left &= left - 1) {
    const below = index * 32 + pick(left, 1);
    if (level === 0) found.push(below);
    else differenceBelow(cells, map, without, level - 1, below, found);
  }
}

/** The first set bit, or -1: a look at each level. */
export function findFirstBit(cells: Cells, map: Bitmap): number {
  let at = 0;
  for (let level = map.levels - 1; level >= 0; level--) {
    const some = word(cells, map, level, at)?.some ?? 0;
    if (some === 0) return -1;
    at = at * 32 + pick(some, 1);
  }
  return at;
}

/** The first set bit at `from` or after it, or -1. */
export function findNextBit(cells: Cells, map: Bitmap, from: number): number {
  return search(cells, map, from, 1, (w) => w?.some ?? 0);
}

/** The last set bit at `from` or before it, or -1. */
export function findPrevBit(cells: Cells, map: Bitmap, from: number): number {
  return search(cells, map, from, -1, (w) => w?.some ?? 0);
}

/** The first clear bit at `from` or after it, or -1 where all are set. */
export function findNextZeroBit(cells: Cells, map: Bitmap, from: number): number {
  return search(cells, map, from, 1, (w) => ~(w?.all ?? 0) >>> 0);
}

/**
 * Climbs from `from` until a word offers a candidate on the wanted side, then
 * goes down to it: at most two words a level.
 */
function search(
  cells: Cells,
  map: Bitmap,
  from: number,
  direction: 1 | -1,
  candidates: (w: Readonly<Word> | undefined) => number,
): number {
  const size = 32 ** map.levels;
  let at = direction === 1 ? Math.max(from, 0) : Math.min(from, size - 1);
  if (at >= size || at < 0) return -1;
  for (let level = 0; level < map.levels; level++) {
    const index = Math.floor(at / 32);
    const bit = at - index * 32;
    const side = direction === 1 ? (ALL << bit) >>> 0 : ALL >>> (31 - bit);
    const found = (candidates(word(cells, map, level, index)) & side) >>> 0;
    if (found !== 0)
      return descend(cells, map, level, index * 32 + pick(found, direction), direction, candidates);
    at = index + direction;
    if (at < 0 || at >= 32 ** (map.levels - level - 1)) return -1;
  }
  return -1;
}

function descend(
  cells: Cells,
  map: Bitmap,
  level: number,
  at: number,
  direction: 1 | -1,
  candidates: (w: Readonly<Word> | undefined) => number,
): number {
  for (let below = level - 1; below >= 0; below--) {
    at = at * 32 + pick(candidates(word(cells, map, below, at)), direction);
  }
  return at;
}

/** The lowest or the highest set bit of a word that has one. */
function pick(bits: number, direction: 1 | -1): number {
  return direction === 1 ? 31 - Math.clz32(bits & -bits) : 31 - Math.clz32(bits);
}
