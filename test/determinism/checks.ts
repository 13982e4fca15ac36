// SPDX-License-Identifier: Apache-2.0
//
// What holds of every run of every scenario, as checks that throw: all that
// decides how a host goes on is in its cells. `every` says how far apart the
// steps are that are looked at: 1 for each.

import { strict as assert } from "node:assert";
import { hashText } from "../../src/core/engine/hash.ts";
import { nextBelow } from "../../src/core/engine/prng.ts";
import type { Prng } from "../../src/core/engine/prng.ts";
import { canonicalHost, checkHash, loadWorld, saveWorld } from "../../src/core/engine/save.ts";
import type { Scheduler } from "../../src/core/engine/scheduler.ts";
import type { StepRecord, StepUndo, World } from "../../src/core/engine/world.ts";
import { runOut, tell } from "./runs.ts";
import type { Told } from "./runs.ts";

/** The same host in fresh tables, told to whom the old one was told. */
function reload(world: World, text: string): World {
  const fresh = loadWorld(text, { tracking: world.tracking });
  fresh.sink = world.sink;
  fresh.onStep = world.onStep;
  return fresh;
}

/** Compares two runs line by line: a failure names the first line that differs, not megabytes. */
export function checkSame(found: Told, expected: Told): void {
  checkLines("trace", found.lines, expected.lines);
  checkText("the end", found.end, expected.end);
}

function checkLines(what: string, found: readonly string[], expected: readonly string[]): void {
  const at = found.findIndex((line, index) => line !== expected[index]);
  assert(at < 0, `${what}, line ${at + 1}: ${found[at]} instead of ${expected[at] ?? "no more"}`);
  assert(found.length === expected.length, `${what}: ends before ${expected[found.length]}`);
}

function checkText(what: string, found: string, expected: string): void {
  if (found !== expected) checkLines(what, found.split("\n"), expected.split("\n"));
}

/** Saved, loaded and gone on from, again and again, a run is the same as in one go. */
export function checkSaving(world: World, scheduler: Scheduler, whole: Told, every: number): void {
  const told = tell(world, scheduler, (now, step) => {
    if (step % every !== 0) return now;
    const text = saveWorld(now);
    const fresh = reload(now, text);
    assert(saveWorld(fresh) === text, `step ${now.counters.step}: what was loaded saves as another text`);
    return fresh;
  });
  checkSame(told, whole);
}

/** What JSON reads and writes. */
type Json = null | boolean | number | string | Json[] | { [field: string]: Json };

function shuffled<T>(items: readonly T[], by: Prng): T[] {
  const result = [...items];
  for (let left = result.length; left > 1; left--) {
    const at = nextBelow(by, left);
    [result[at], result[left - 1]] = [result[left - 1] as T, result[at] as T];
  }
  return result;
}

/** The same data with the fields of every object in another order. */
function fieldsShuffled(value: Json, by: Prng): Json {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map((item) => fieldsShuffled(item, by));
  const fields = shuffled(Object.keys(value), by);
  return Object.fromEntries(fields.map((field) => [field, fieldsShuffled(value[field] as Json, by)]));
}

/** A saved host with its cells, and the fields of each, in another order. */
function saveShuffled(text: string, by: Prng): string {
  const saved = JSON.parse(text) as { cells: Json[] };
  const cells = shuffled(saved.cells, by).map((cell) => fieldsShuffled(cell, by));
  return JSON.stringify({ ...saved, cells });
}

/** In whatever order cells came into their tables, and fields into their cells, a run is the same. */
export function checkOrder(
  world: World,
  scheduler: Scheduler,
  whole: Told,
  options: { every: number; by: Prng },
): void {
  const told = tell(world, scheduler, (now, step) =>
    step % options.every === 0 ? reload(now, saveShuffled(saveWorld(now), options.by)) : now,
  );
  checkSame(told, whole);
}

/** Where a step was taken, in one line. */
function place({ step, action, routine, name }: StepRecord): string {
  const who = "thread" in action ? action.thread : JSON.stringify(action);
  return `step ${step}, ${who}, ${routine ?? "no routine"}: ${name ?? "no step"}`;
}

/**
 * Runs a tracked world and compares the kept hash with the full one behind every
 * step. Returns the first step behind which they differ and the cells to blame,
 * or null.
 */
export function firstHashDifference(world: World, scheduler: Scheduler): string | null {
  let last = "before the first step";
  let found: string | null = null;
  world.onStep = (record) => void (last = place(record));
  const unlessFound: Scheduler = (now) => (found === null ? scheduler(now) : null);
  runOut(world, unlessFound, (now) => {
    const difference = checkHash(now);
    if (difference !== null) found ??= `${last}: ${difference}`;
    return now;
  });
  return found;
}

function hashOf(world: World): string {
  return hashText(world.hashAt(world.now));
}

/** Steps given back and taken again leave the very states that performing them does. */
export function checkUndo(world: World, scheduler: Scheduler, every: number): void {
  runOut(world, (now) => {
    const action = scheduler(now);
    if (action === null) return null;
    const look = now.counters.step % every === 0;
    const state = (): string => (look ? canonicalHost(now) : hashOf(now));
    const before = state();
    const undo = now.perform(action) as StepUndo;
    const behind = state();
    now.unperform(undo);
    checkText(`step ${now.counters.step + 1} given back`, state(), before);
    now.reperform(undo);
    checkText(`step ${now.counters.step} taken again`, state(), behind);
    now.unperform(undo);
    return action;
  });
}
