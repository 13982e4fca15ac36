// SPDX-License-Identifier: Apache-2.0
//
// Sets of 64-bit numbers as ascending ranges that do not touch
// (xen/common/rangeset.c).

import type { DeepReadonly } from "../engine/cells.ts";
import { fail } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";

/** Both ends are in it. */
export interface Range {
  start: bigint;
  end: bigint;
}

/** A set, as it lies in a cell. */
export type Rangeset = Range[];

/** Whether a set has any number of a range. */
export function rangesetOverlaps(set: DeepReadonly<Rangeset>, { start, end }: Range): boolean {
  return set.some((range) => range.start <= end && start <= range.end);
}

/** Whether a set has every number of a range. */
export function rangesetContains(set: DeepReadonly<Rangeset>, { start, end }: Range): boolean {
  return set.some((range) => range.start <= start && end <= range.end);
}

/**
 * The set with a range in it, which becomes one with those it touches; ENOMEM
 * where it would be one more than `limit`.
 */
export function rangesetAdd(
  set: DeepReadonly<Rangeset>,
  { start, end }: Range,
  limit: number,
): Rangeset | Failure {
  const apart = set.filter((range) => range.end + 1n < start || end + 1n < range.start);
  const touching = set.filter((range) => !apart.includes(range));
  if (touching.length === 0 && set.length >= limit) return fail("ENOMEM");
  const merged = { start, end };
  for (const range of touching) {
    if (range.start < merged.start) merged.start = range.start;
    if (range.end > merged.end) merged.end = range.end;
  }
  return sorted([...apart, merged]);
}

/** The set without a range; ENOMEM where what is left and right of it would be one more than `limit`. */
export function rangesetRemove(
  set: DeepReadonly<Rangeset>,
  { start, end }: Range,
  limit: number,
): Rangeset | Failure {
  const left = set.flatMap((range) => [
    ...(range.start < start ? [{ start: range.start, end: range.end < start ? range.end : start - 1n }] : []),
    ...(range.end > end ? [{ start: range.start > end ? range.start : end + 1n, end: range.end }] : []),
  ]);
  return left.length > limit ? fail("ENOMEM") : sorted(left);
}

function sorted(ranges: readonly DeepReadonly<Range>[]): Rangeset {
  return ranges
    .map(({ start, end }) => ({ start, end }))
    .toSorted((a, b) => (a.start < b.start ? -1 : Number(a.start > b.start)));
}
