// SPDX-License-Identifier: Apache-2.0
//
// Frame numbers mapped to frame numbers, by runs: a run stands for any number of
// consecutive keys with consecutive values and one tag. A terabyte in one piece
// is one cell. Runs that continue each other are merged, so equal contents have
// one representation. A run is kept under its last key: what takes memory away from
// its first page on, as domain_kill does, shortens one cell and makes no other.

import { cellType, must } from "../engine/cells.ts";
import type { Cells } from "../engine/cells.ts";
import { assert } from "../engine/errno.ts";
import { bitmap, clearBit, findNextBit, setBit } from "./bitmap.ts";
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
  /** The last keys of all runs. */
  readonly lasts: Bitmap;
}

const LEVELS = 6;
/** Frame numbers are below this: 4 TiB. */
export const FRAMES_MAX = 32 ** LEVELS;

/** Describes a map of frame numbers below FRAMES_MAX. It takes no space while empty. */
export function runMap(name: string): RunMap {
  return { name, lasts: bitmap(`${name}/runs`, LEVELS) };
}

function runEndingAt(cells: Cells, map: RunMap, last: number): Run {
  const { count, value, tag } = must(cells, runCell, `${map.name}/${last}`);
  return { start: last - count + 1, count, value, tag };
}

function addRun(cells: Cells, map: RunMap, { start, count, value, tag }: Run): void {
  const last = start + count - 1;
  cells.add(runCell, `${map.name}/${last}`, { count, value, tag });
  setBit(cells, map.lasts, last);
}

function dropRun(cells: Cells, map: RunMap, { start, count }: Run): void {
  const last = start + count - 1;
  cells.drop(runCell, `${map.name}/${last}`);
  clearBit(cells, map.lasts, last);
}

/** Gives a run another beginning; it ends where it did. */
function startRunAt(cells: Cells, map: RunMap, run: Run, start: number): void {
  const edited = cells.edit(runCell, `${map.name}/${run.start + run.count - 1}`);
  edited.count = run.start + run.count - start;
  if (run.value !== NO_FRAME) edited.value = run.value + (start - run.start);
}

/** The run a key is in, or undefined. */
export function runFind(cells: Cells, map: RunMap, key: number): Run | undefined {
  const run = runFrom(cells, map, key);
  return run === undefined || key < run.start ? undefined : run;
}

/** The first run that has keys at `from` or after it. */
export function runFrom(cells: Cells, map: RunMap, from: number): Run | undefined {
  const last = findNextBit(cells, map.lasts, from);
  return last < 0 ? undefined : runEndingAt(cells, map, last);
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
  if (before !== undefined && continues(before, run)) {
    dropRun(cells, map, before);
    run = { ...before, count: before.count + run.count };
  }
  if (next !== undefined && continues(run, next)) startRunAt(cells, map, next, run.start);
  else addRun(cells, map, run);
}

/** Unmaps keys; those that are in no run are passed over. */
export function runRemove(cells: Cells, map: RunMap, start: number, count: number): void {
  const end = start + count;
  for (
    let run = runFrom(cells, map, start);
    run !== undefined && run.start < end;
    run = runFrom(cells, map, start)
  ) {
    if (run.start + run.count > end) startRunAt(cells, map, run, end);
    else dropRun(cells, map, run);
    if (run.start < start) addRun(cells, map, { ...run, count: start - run.start });
  }
}
