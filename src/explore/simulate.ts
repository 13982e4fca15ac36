// SPDX-License-Identifier: Apache-2.0
//
// One run of a scenario: the host comes up, `before` runs in one fixed order,
// then the script runs as the scheduler chooses.

import { bootHost, hostIsUp } from "../core/host.ts";
import { assert } from "../core/engine/errno.ts";
import type { Tracking } from "../core/engine/registry.ts";
import type { Routine } from "../core/engine/routine.ts";
import { fifo, run } from "../core/engine/scheduler.ts";
import type { Scheduler } from "../core/engine/scheduler.ts";
import { hasEnded, joinThread, spawnThread, stackOf } from "../core/engine/thread.ts";
import type { TraceSink } from "../core/engine/trace.ts";
import { World } from "../core/engine/world.ts";
import type { StepRecord } from "../core/engine/world.ts";
import { firstViolation } from "./property.ts";
import type { Violation } from "./property.ts";
import type { Scenario, ScriptLocals } from "./scenario.ts";

/** The thread that runs a scenario's script. */
export const OPERATOR = "operator";

/** A step count no run of a scenario comes near: beyond it something spins. */
const STEPS_MAX = 5_000_000;

/** What a run came to. */
export interface SimulationResult {
  /** Steps the script's part took. */
  steps: number;
  /** Virtual time at its end, microseconds since the host came up. */
  now: number;
  violation: (Violation & { step: number }) | null;
  /** The errno with which the script failed, or the wait at which it stands for ever; else null. */
  failed: string | null;
  unreached: string[];
}

/** A world in which the scenario's host is up and `before` has been done. */
export function prepareWorld(scenario: Scenario, seed: number, tracking: Tracking): World {
  const world = new World({ tracking, seed });
  world.boot((host) => bootHost(host, scenario.host ?? {}));
  run(world, fifo, { until: hostIsUp, stepsMax: STEPS_MAX });
  if (scenario.beforeRoutine !== null) {
    start(world, scenario.beforeRoutine);
    const settle = scenario.settle ?? true;
    const done = (w: World): boolean => hasEnded(w, OPERATOR) && (!settle || w.runnable.length === 0);
    run(world, fifo, { until: done, stepsMax: STEPS_MAX });
    const failed = finish(world);
    assert(failed === null, `the part of ${scenario.name} before exploration failed with ${failed}`);
  }
  if (scenario.prepare !== undefined) world.boot(scenario.prepare);
  return world;
}

/** Starts the scenario's script in a world that is prepared for it. */
export function startScript(world: World, scenario: Scenario): void {
  start(world, scenario.scriptRoutine);
}

function start(world: World, script: Routine<ScriptLocals, void>): void {
  world.boot((host) => void spawnThread(host, OPERATOR, script, {}, { joinable: true }));
}

function finish(world: World): string | null {
  let failed: string | null = null;
  world.boot((host) => {
    failed = joinThread(host, OPERATOR).errno;
  });
  return failed;
}

/** The step at which the script stands. */
function standsAt(world: World): string {
  return stackOf(world, OPERATOR)[0]?.at ?? "";
}

/** Runs a scenario once, until its script ends or a property does not hold. */
export function simulate(
  scenario: Scenario,
  options: {
    seed: number;
    scheduler: Scheduler;
    sink?: TraceSink;
    onStep?: (record: StepRecord) => void;
    /** Stops after this many steps of the script's part. */
    stepsMax?: number;
  },
): { world: World; result: SimulationResult } {
  const world = prepareWorld(scenario, options.seed, { undo: false, hash: false });
  world.sink = options.sink ?? null;
  world.onStep = options.onStep ?? null;
  const first = world.counters.step;
  const unreached = new Set(Object.keys(scenario.sometimes ?? {}));
  startScript(world, scenario);
  let violation: Violation | null = null;
  run(world, options.scheduler, {
    stepsMax: STEPS_MAX,
    until: (w) => {
      violation = firstViolation(w, "always", scenario.always);
      for (const name of unreached) if (scenario.sometimes?.[name]?.(w) === true) unreached.delete(name);
      return (
        violation !== null ||
        hasEnded(w, OPERATOR) ||
        w.counters.step - first >= (options.stepsMax ?? STEPS_MAX)
      );
    },
  });
  const ended = hasEnded(world, OPERATOR);
  const nothingLeft = world.runnable.length === 0 && world.nextTimer() === undefined;
  if (violation === null && (ended || nothingLeft)) {
    violation = firstViolation(world, "finally", scenario.finally);
  }
  const steps = world.counters.step - first;
  const failed = ended ? finish(world) : nothingLeft ? `waits for ever: ${standsAt(world)}` : null;
  return {
    world,
    result: {
      steps,
      now: world.now,
      violation: violation === null ? null : { ...violation, step: world.counters.step },
      failed,
      unreached: [...unreached],
    },
  };
}
