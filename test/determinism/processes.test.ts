// SPDX-License-Identifier: Apache-2.0
//
// One seed, one run, in whatever process: the command's traces are to the byte
// what this process makes of the same scenarios, and they replay, here and there.

import * as fs from "node:fs";
import * as path from "node:path";
import { describe, expect, test } from "vitest";
import { formatTraceLine, parseTrace } from "../../src/export/trace-file.ts";
import type { Trace } from "../../src/export/trace-file.ts";
import { replaySteps } from "../../src/explore/replay.ts";
import { prepareWorld, simulate, startScript } from "../../src/explore/simulate.ts";
import { folder, startXenolith } from "../e2e/xenolith.ts";
import type { Ended } from "../e2e/xenolith.ts";
import { PLAIN, scenarios, schedulers } from "./runs.ts";

const runs = [
  { scheduler: "fifo", seed: 1 },
  { scheduler: "random", seed: 1 },
  { scheduler: "random", seed: 2 },
] as const;

async function ok(...args: string[]): Promise<Ended> {
  const ended = await startXenolith(args).ended;
  expect({ args, ...ended }).toMatchObject({ args, code: 0, err: "" });
  return ended;
}

/** A trace's lines; which run it was, in the first, apart. */
function cut(text: string): { header: string; body: string } {
  const end = text.indexOf("\n") + 1;
  return { header: text.slice(0, end), body: text.slice(end) };
}

describe.each(scenarios)("$name", (scenario) => {
  test("every process makes the same of it; with another seed it is another run", async () => {
    const where = folder();
    const traces = await Promise.all(
      runs.map(async ({ scheduler, seed }) => {
        const file = path.join(where, `${scheduler}-${seed}`);
        await ok("sim", scenario.name, "--scheduler", scheduler, "--seed", String(seed), "--trace", file);
        return fs.readFileSync(file, "utf8");
      }),
    );
    for (const [at, { scheduler, seed }] of runs.entries()) {
      let here = "";
      simulate(scenario, {
        seed,
        scheduler: schedulers[scheduler],
        sink: (event) => void (here += `${formatTraceLine({ event })}\n`),
        onStep: (step) => void (here += `${formatTraceLine({ step })}\n`),
      });
      // Not `toBe`: on failure that would print megabytes.
      expect(here === cut(traces[at] as string).body, `${scheduler} ${seed}: the same here and there`).toBe(
        true,
      );
    }
    expect(new Set(traces.map((trace) => cut(trace).body)).size).toBe(runs.length);
    expect(new Set(traces.map((trace) => cut(trace).header)).size).toBe(runs.length);

    for (const [at, { seed }] of runs.entries()) {
      const trace = parseTrace(traces[at] as string) as Trace;
      const again = replaySteps(prepareWorld(scenario, seed, PLAIN), trace.lines, {
        begin: (world) => startScript(world, scenario),
      });
      expect(again.difference).toBeNull();
      expect(again.steps + again.events).toBe(trace.lines.length);
    }
    const { out } = await ok("replay", path.join(where, "random-1"));
    expect(out).toMatch(/: \d+ steps and \d+ events, all the same\n$/);
  });
});
