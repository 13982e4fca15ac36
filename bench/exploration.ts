// SPDX-License-Identifier: Apache-2.0
//
// How many states exploring a scenario takes, with the orders that make no
// difference and without them.

import createPaused from "../examples/create-paused.ts";
import destroyPaused from "../examples/destroy-paused.ts";
import destroyWhileConnecting from "../examples/destroy-while-connecting.ts";
import type { Reduction, SearchResult } from "../src/explore/bounds.ts";
import type { Scenario } from "../src/explore/scenario.ts";
import { search } from "../src/explore/search.ts";
import { prepareWorld, startScript } from "../src/explore/simulate.ts";
import { cpuMicros, digits } from "./bench.ts";
import type { Bench, BenchOptions, Claim, Report } from "./bench.ts";

/** Where a search is cut: in the short form, and where nobody waits for its end. */
const QUICK_STATES = 5_000;
const CUT_STATES = 100_000;

interface Measured {
  scenario: Scenario;
  result: SearchResult;
  micros: number;
}

function measure(
  scenario: Scenario,
  reduction: Reduction,
  { quick, progress }: BenchOptions,
  most = Infinity,
): Measured {
  progress(`${scenario.name}, reduction ${reduction}`);
  const world = prepareWorld(scenario, 0, { undo: true, hash: true });
  startScript(world, scenario);
  const statesMax = quick ? QUICK_STATES : most;
  let result: SearchResult | undefined;
  const micros = cpuMicros(() => {
    result = search(world, scenario, { reduction, prompt: scenario.prompt ?? [], statesMax });
  });
  return { scenario, result: result as SearchResult, micros };
}

function row({ scenario, result, micros }: Measured): (string | number)[] {
  const { reduction, states, transitions, ends, exhaustive } = result;
  return [
    scenario.name,
    reduction,
    exhaustive ? states : `more than ${states}`,
    transitions,
    exhaustive ? ends : "",
    digits(micros / 1e6, 1),
    digits(micros / transitions, 0),
  ];
}

/** That the search through orders ends, and by how much it is smaller than the one with servers first. */
function claim(less: Measured, full: Measured, factor: number): Claim {
  const times = full.result.states / less.result.states;
  return {
    text: `${less.scenario.name}: at least ${factor} times fewer states than with servers first alone${full.result.exhaustive ? ", as many ends, and the same verdict" : ""}`,
    measured: `${digits(times, 0)}×`,
    holds:
      less.result.exhaustive &&
      less.result.violation === null &&
      times >= factor &&
      (!full.result.exhaustive ||
        (full.result.ends === less.result.ends &&
          full.result.unreached.join() === less.result.unreached.join())),
    timed: false,
  };
}

export const exploration: Bench = {
  name: "exploration",
  about:
    "What exploring a scenario takes: every order of steps (`off`), those in which servers and steps that nobody sees go first (`servers first`), and of these only the ones that can make a difference (`orders`).",
  run: (options): Report => {
    const paused = (["orders", "servers first"] as const).map((how) => measure(destroyPaused, how, options));
    const claims = [claim(paused[0] as Measured, paused[1] as Measured, 10)];
    const all = [...paused];
    if (!options.quick) {
      all.push(measure(destroyPaused, "off", options, CUT_STATES));
      const creating = measure(createPaused, "orders", options);
      const creatingCut = measure(createPaused, "servers first", options, CUT_STATES);
      const connecting = measure(destroyWhileConnecting, "orders", options);
      const connectingFull = measure(destroyWhileConnecting, "servers first", options);
      claims.push(claim(creating, creatingCut, 10), claim(connecting, connectingFull, 4));
      all.push(creating, creatingCut, connecting, connectingFull);
    }
    return {
      tables: [
        {
          title: "Scenarios of examples/",
          note: "Seconds are of processor time; the last column is microseconds of it a transition, the search's own work included: with `orders` most of that is asking, in every state again, who must be tried. Ends are states in which nothing is left to do. Where a search has more states than anybody waits for, it is cut.",
          columns: ["scenario", "reduction", "states", "transitions", "ends", "seconds", "µs a transition"],
          rows: all.map(row),
        },
      ],
      claims,
    };
  },
};
