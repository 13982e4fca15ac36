// SPDX-License-Identifier: Apache-2.0
//
// A recorded run, run again from where it began.

import type { World } from "../core/engine/world.ts";
import type { HostConfig } from "../core/host.ts";
import type { ReplayResult } from "../explore/replay.ts";
import type { Trace } from "../export/trace-file.ts";
import { stepsOf } from "../export/trace-file.ts";
import { Problem } from "../live/problem.ts";
import { installMutant } from "./mutant.ts";
import { readTrace } from "./trace.ts";

/** The world in which the recording began, and what it saw first. */
async function beginning({ header }: Trace): Promise<{ world: World; begin: (world: World) => void }> {
  if (header.scenario === null) {
    const { World } = await import("../core/engine/world.ts");
    const { bootHost } = await import("../core/host.ts");
    await import("../live/inputs.ts");
    return {
      world: new World({ keepsStale: true }),
      begin: (w) => w.boot((host) => bootHost(host, header.host as Partial<HostConfig>)),
    };
  }
  const { loadScenario } = await import("./scenario-file.ts");
  const { prepareWorld, startScript } = await import("../explore/simulate.ts");
  const { scenario } = await loadScenario(header.scenario);
  const world = prepareWorld(scenario, header.seed, { undo: false, hash: false });
  return { world, begin: (w) => startScript(w, scenario) };
}

/**
 * Reads a trace and takes its steps again, in the world in which it was recorded.
 * Throws Problem where it cannot be run again.
 *
 * @param until stops behind the step of that number
 */
export async function replayTrace(
  file: string,
  until: number,
): Promise<{ world: World; result: ReplayResult }> {
  const trace = readTrace(file);
  if (trace.header.mutant !== null) installMutant(trace.header.mutant);
  const { replaySteps } = await import("../explore/replay.ts");
  const { world, begin } = await beginning(trace);
  const first = stepsOf(trace)[0]?.step;
  const next = world.counters.step + 1;
  if (first !== undefined && first !== next) {
    throw new Problem(
      `the trace begins with step ${first}, not ${next}: it can be looked at, but not run again`,
      "xenolith export --help",
    );
  }
  return {
    world,
    result: replaySteps(world, trace.lines, { begin, until, isLive: trace.header.scheduler === "live" }),
  };
}
