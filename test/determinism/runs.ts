// SPDX-License-Identifier: Apache-2.0
//
// Runs of scenarios, step by step, for tests that look between the steps.

import { canonicalHost } from "../../src/core/engine/save.ts";
import { fifo, random } from "../../src/core/engine/scheduler.ts";
import type { Scheduler } from "../../src/core/engine/scheduler.ts";
import { hasEnded } from "../../src/core/engine/thread.ts";
import type { World } from "../../src/core/engine/world.ts";
import type { Tracking } from "../../src/core/engine/registry.ts";
import { formatTraceLine } from "../../src/export/trace-file.ts";
import { OPERATOR, prepareWorld, startScript } from "../../src/explore/simulate.ts";
import { loadScenario, scenarioNames } from "../../src/cli/scenario-file.ts";
import type { Scenario } from "../../src/explore/scenario.ts";

/** Every scenario that ships. */
export const scenarios: readonly Scenario[] = await Promise.all(
  scenarioNames().map(async (name) => (await loadScenario(name)).scenario),
);

/** Who goes next, by the names the command line has for it. */
export const schedulers = { fifo, random } as const;

/** Nothing kept beside the cells, as `xenolith sim` and live hosts do. */
export const PLAIN: Tracking = { undo: false, hash: false };
/** All that exploration keeps. */
export const TRACKED: Tracking = { undo: true, hash: true };

/** A world at the first step of a scenario's script. */
export function begin(scenario: Scenario, seed: number, tracking: Tracking): World {
  const world = prepareWorld(scenario, seed, tracking);
  startScript(world, scenario);
  return world;
}

/** Hears of a world's steps and events from here on, as lines of a trace. */
export function listen(world: World, lines: string[]): void {
  world.sink = (event) => void lines.push(formatTraceLine({ event }));
  world.onStep = (step) => void lines.push(formatTraceLine({ step }));
}

/** What a run came to: every step and event, and the state at its end. */
export interface Told {
  lines: string[];
  end: string;
}

/**
 * Runs a world until its script has ended.
 *
 * @param between called before every step; the world it returns goes on
 */
export function runOut(
  world: World,
  scheduler: Scheduler,
  between: (world: World, step: number) => World = (same) => same,
): World {
  let now = world;
  for (let step = 0; ; step++) {
    now = between(now, step);
    if (hasEnded(now, OPERATOR)) return now;
    const action = scheduler(now);
    if (action === null) return now;
    now.perform(action);
  }
}

/** A whole run, told; `between` as `runOut` has it. */
export function tell(
  world: World,
  scheduler: Scheduler,
  between?: (world: World, step: number) => World,
): Told {
  const lines: string[] = [];
  listen(world, lines);
  const last = runOut(world, scheduler, between);
  return { lines, end: canonicalHost(last) };
}
