// SPDX-License-Identifier: Apache-2.0
//
// A recorded run, run again: the same choices must give the same steps and the
// same events, or else it is said where they differ.

import { stringifyPlain } from "../core/engine/plain.ts";
import type { Plain } from "../core/engine/cells.ts";
import { choicesOf, threadCell } from "../core/engine/thread.ts";
import type { TraceRecord } from "../core/engine/trace.ts";
import type { Action, ForeignWrite, StepRecord, World } from "../core/engine/world.ts";

/** A line of a recording. */
export type Recorded = { step: StepRecord } | { event: TraceRecord } | { foreign: ForeignWrite };

/** Where a replay went another way, and how; texts are lines of a trace, or words. */
export interface Difference {
  step: number;
  recorded: string;
  replayed: string;
}

/** What a replay came to. */
export interface ReplayResult {
  /** Steps taken. */
  steps: number;
  /** Events that were the same. */
  events: number;
  difference: Difference | null;
}

/**
 * Takes the recorded steps in a world that stands where the recording began,
 * after `begin` has done in it what the recording saw first.
 *
 * @param isLive it is that of a live host, whose clock went by itself
 * @param until stops behind the step of that number
 */
export function replaySteps(
  world: World,
  recording: readonly Recorded[],
  options: { begin?: (world: World) => void; until?: number; isLive?: boolean } = {},
): ReplayResult {
  const again = new Replay(world, options.isLive ?? false);
  options.begin?.(world);
  for (const [at, line] of recording.entries()) {
    if ("foreign" in line) continue;
    if ("step" in line) {
      if (line.step.step > (options.until ?? Infinity)) break;
      if (!again.take(line.step, foundIn(recording, at))) break;
    } else if (!again.expect(line.event)) break;
  }
  again.end();
  return again.result;
}

/** What the step in that line found in memory: said in lines behind it. */
function foundIn(recording: readonly Recorded[], at: number): ForeignWrite[] {
  const found: ForeignWrite[] = [];
  for (let next = at + 1; next < recording.length; next++) {
    const line = recording[next] as Recorded;
    if ("step" in line) break;
    if ("foreign" in line) found.push(line.foreign);
  }
  return found;
}

class Replay {
  readonly #world: World;
  readonly #made: TraceRecord[] = [];
  #step: StepRecord | null = null;
  readonly result: ReplayResult = { steps: 0, events: 0, difference: null };

  /** Whether the clock was a real one: then the record says what time it was. */
  readonly #isLive: boolean;

  constructor(world: World, isLive: boolean) {
    this.#world = world;
    this.#isLive = isLive;
    world.sink = (event) => void this.#made.push(event);
    world.onStep = (step) => void (this.#step = step);
  }

  /** Takes a step as it was recorded; false where it cannot be, or was another one. */
  take(recorded: StepRecord, found: readonly ForeignWrite[]): boolean {
    if (!this.#nothingLeft()) return false;
    if (found.length > 0) this.#world.writeForeign(found);
    if (this.#isLive && recorded.at > this.#world.now) this.#world.setClock(recorded.at);
    const obstacle = obstacleTo(this.#world, recorded.action);
    if (obstacle !== null) return this.#differ(recorded.step, text(recorded), obstacle);
    this.#world.perform(recorded.action);
    this.result.steps++;
    return this.#same(recorded.step, recorded, this.#step as StepRecord);
  }

  /** Compares the next event with a recorded one. */
  expect(recorded: TraceRecord): boolean {
    const made = this.#made.shift();
    if (made === undefined) return this.#differ(recorded.step, text(recorded), "no event");
    if (!this.#same(recorded.step, recorded, made)) return false;
    this.result.events++;
    return true;
  }

  end(): void {
    if (this.result.difference === null) this.#nothingLeft();
    this.#world.sink = null;
    this.#world.onStep = null;
  }

  #nothingLeft(): boolean {
    const [extra] = this.#made;
    return extra === undefined ? true : this.#differ(extra.step, "no event", text(extra));
  }

  #same(step: number, recorded: object, replayed: object): boolean {
    return text(recorded) === text(replayed) ? true : this.#differ(step, text(recorded), text(replayed));
  }

  #differ(step: number, recorded: string, replayed: string): false {
    this.result.difference = { step, recorded, replayed };
    return false;
  }
}

function text(value: object): string {
  return stringifyPlain(value as unknown as Plain);
}

/** Why an action cannot be performed in this state, or null where it can. */
function obstacleTo(world: World, action: Action): string | null {
  if ("timer" in action) {
    const deadline = world.get(threadCell, action.timer)?.deadline ?? null;
    return deadline === null ? `no timer of ${action.timer} is set` : null;
  }
  if (!("thread" in action)) return null;
  const thread = world.get(threadCell, action.thread);
  if (thread === undefined) return `there is no thread ${action.thread}`;
  if (!world.runnable.includes(action.thread)) return `${action.thread} waits`;
  const choices = choicesOf(thread);
  return action.choice < choices ? null : `${action.thread} has ${choices} choices`;
}
