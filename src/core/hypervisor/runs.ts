// SPDX-License-Identifier: Apache-2.0
//
// Frame numbers mapped to frame numbers, by runs: a run stands for any number of
// consecutive keys with consecutive values and one tag. A terabyte in one piece
// is one cell. Runs that continue each other are merged, so equal contents have
// one representation.

import { cellType, must } from "../engine/cells.ts";
import type { Cells } from "../engine/cells.ts";
import { assert } from "../engine/errno.ts";
import { bitmap, clearBit, findNextBit, findPrevBit, setBit } from "./bitmap.ts";
import type { Bitmap } from "./bitmap.ts";

/** No value: what all keys of a run without values map to. */
export const NO_FRAME = -1;

/** Keys `start … start + count - 1`; `value` belongs to `start`. */
export interface Run {
  readonly start: number;
  readonly count: number;
  readonly value: number;
  readonly tag: number | string;
}

const runCell = cellType<{ count: number; value: number; tag: number | string }>("run");

/** A named map of runs; equal names are the same map. */
export interface RunMap {
  readonly name: string;
  readonly starts: Bitmap;
}

/** Describes a map of frame numbers below 2^30 (4 TiB). It takes no space while empty. */
export function runMap(name: string): RunMap {
  return { name, starts: bitmap(`${name}/runs`, 6) };
}

function runAt(cells: Cells, map: RunMap, start: number): Run {
  const { count, value, tag } = must(cells, runCell, `${map.name}/${start}`);
  return { start, count, value, tag };
}

function addRun(cells: Cells, map: RunMap, { start, count, value, tag }: Run): void {
  cells.add(runCell, `${map.name}/${start}`, { count, value, tag });
  setBit(cells, map.starts, start);
}

function dropRun(cells: Cells, map: RunMap, start: number): void {
  cells.drop(runCell, `${map.name}/${start}`);
  clearBit(cells, map.starts, start);
}

/** The run a key is in, or undefined. */
export function runFind(cells: Cells, map: RunMap, key: number): Run | undefined {
  const start = findPrevBit(cells, map.starts, key);
  if (start < 0) return undefined;
  const run = runAt(cells, map, start);
  return key < run.start + run.count ? run : undefined;
}

/** The first run that has keys at `from` or after it. */
export function runFrom(cells: Cells, map: RunMap, from: number): Run | undefined {
  const around = runFind(cells, map, from);
  if (around !== undefined) return around;
  const start = findNextBit(cells, map.starts, from);
  return start < 0 ? undefined : runAt(cells, map, start);
}

/** All runs, in order of their keys. */
export function* runsOf(cells: Cells, map: RunMap): Generator<Run> {
  for (let run = runFrom(cells, map, 0); run !== undefined; run = runFrom(cells, map, run.start + run.count))
    yield run;
}

/** What a key maps to: NO_FRAME where it is in no run or has no value. */
export function runValue(cells: Cells, map: RunMap, key: number): number {
  const run = runFind(cells, map, key);
  return run === undefined || run.value === NO_FRAME ? NO_FRAME : run.value + (key - run.start);
}

function continues(a: Run, b: Run): boolean {
  if (a.start + a.count !== b.start || a.tag !== b.tag) return false;
  return a.value === NO_FRAME ? b.value === NO_FRAME : b.value === a.value + a.count;
}

/** Maps keys that are in no run yet. */
export function runInsert(cells: Cells, map: RunMap, inserted: Run): void {
  let run = inserted;
  const next = runFrom(cells, map, run.start);
  assert(
    next === undefined || next.start >= run.start + run.count,
    `${map.name}: ${run.start}+${run.count} overlaps`,
  );
  const before = run.start > 0 ? runFind(cells, map, run.start - 1) : undefined;
  if (next !== undefined && continues(run, next)) {
    dropRun(cells, map, next.start);
    run = { ...run, count: run.count + next.count };
  }
  if (before !== undefined && continues(before, run)) {
    cells.edit(runCell, `${map.name}/${before.start}`).count = before.count + run.count;
  } else addRun(cells, map, run);
}

/** Unmaps keys; those that are in no run are passed over. */
export function runRemove(cells: Cells, map: RunMap, start: number, count: number): void {
  const end = start + count;
  for (
    let run = runFrom(cells, map, start);
    run !== undefined && run.start < end;
    run = runFrom(cells, map, start)
  ) {
    const runEnd = run.start + run.count;
    if (run.start < start) cells.edit(runCell, `${map.name}/${run.start}`).count = start - run.start;
    else dropRun(cells, map, run.start);
    if (runEnd > end) {
      addRun(cells, map, {
        start: end,
        count: runEnd - end,
        value: run.value === NO_FRAME ? NO_FRAME : run.value + (end - run.start),
        tag: run.tag,
      });
    }
  }
}
