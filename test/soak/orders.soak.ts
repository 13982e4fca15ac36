// SPDX-License-Identifier: Apache-2.0
//
// Leaving orders out changes no verdict: worlds of chance, searched with and
// without, a few hundred a round.

import { strict as assert } from "node:assert";
import fc from "fast-check";
import type { SoakRound } from "../../scripts/soak-round.ts";
import { asked, programs, sameVerdicts } from "../explore/random-world.ts";

const WORLDS = 300;

export const round: SoakRound = (seed) => {
  const timers = seed % 2 === 0 ? "lazy" : "eager";
  const server = seed % 4 < 2 ? "server" : "xenstored";
  const states = { full: 0, less: 0 };
  let worlds = 0;
  fc.assert(
    fc.property(programs, asked, (threads, about) => {
      const { full, less } = sameVerdicts(threads, about, server, timers);
      assert.deepEqual(less.verdict, full.verdict);
      if (!full.result.exhaustive) return;
      worlds++;
      states.full += full.result.states;
      states.less += less.result.states;
    }),
    { numRuns: WORLDS, seed },
  );
  return { timers, server, worlds, states: states.full, withoutOrders: states.less };
};
