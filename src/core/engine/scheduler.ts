// SPDX-License-Identifier: Apache-2.0
//
// Who goes next. A scheduler sees what is enabled and chooses; the list of its
// choices is the run.

import { assert } from "./errno.ts";
import { nextBelow } from "./prng.ts";
import { lowerBound } from "./sorted.ts";
import { choicesOf, threadCell } from "./thread.ts";
import type { Thread } from "./thread.ts";
import type { Action, World } from "./world.ts";

/** Chooses the next action, or null where nothing is left to do. */
export type Scheduler = (world: World) => Action | null;

function timerAction(world: World): Action | null {
  const timer = world.nextTimer();
  return timer === undefined ? null : { timer: timer.thread };
}

function choicesAt(world: World, thread: string): number {
  return choicesOf(world.get(threadCell, thread) as Thread);
}

/**
 * Every runnable thread in its turn, round by round in the order of their names;
 * the first of the environment's choices. Timers only when nothing can run.
 */
export const fifo: Scheduler = (world) => {
  const { runnable } = world;
  if (runnable.length === 0) return timerAction(world);
  const { last } = world.counters;
  let at = lowerBound(runnable, last);
  if (runnable[at] === last) at++;
  return { thread: runnable[at % runnable.length] as string, choice: 0 };
};

/** Any runnable thread, any of the environment's choices, drawn from the world's generator. */
export const random: Scheduler = (world) => {
  const { runnable } = world;
  if (runnable.length === 0) return timerAction(world);
  const thread = runnable[nextBelow(world.counters.prng, runnable.length)] as string;
  const choices = choicesAt(world, thread);
  return { thread, choice: choices > 1 ? nextBelow(world.counters.prng, choices) : 0 };
};

/** Takes the choices of an earlier run, one after another. */
export function replay(actions: readonly Action[]): Scheduler {
  let at = 0;
  return () => actions[at++] ?? null;
}

/** How a run is bounded. */
export interface RunOptions {
  /** Stops before the next step when it holds. */
  until?: (world: World) => boolean;
  /** Never more steps than this: reaching it is an assertion, as a run that never ends is a bug. */
  stepsMax?: number;
}

/** Runs until nothing is left to do or `until` holds. Returns how many steps it took. */
export function run(world: World, scheduler: Scheduler, options: RunOptions = {}): number {
  const stepsMax = options.stepsMax ?? 50_000_000;
  let steps = 0;
  while (options.until === undefined || !options.until(world)) {
    const action = scheduler(world);
    if (action === null) break;
    world.perform(action);
    steps++;
    assert(steps <= stepsMax, `no end after ${stepsMax} steps`);
  }
  return steps;
}

/** An action in one word, as traces name it. */
export function actionText(action: Action): string {
  if ("thread" in action) return action.choice === 0 ? action.thread : `${action.thread}#${action.choice}`;
  if ("timer" in action) return `timer ${action.timer}`;
  if ("clock" in action) return `clock ${action.clock}`;
  return `input ${action.input} ${JSON.stringify(action.data)}`;
}
