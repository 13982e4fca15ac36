// SPDX-License-Identifier: Apache-2.0
//
// The engine's promises, held against whole hosts: a shipped scenario a round,
// looked at between all of its steps.

import { strict as assert } from "node:assert";
import type { SoakRound } from "../../scripts/soak-round.ts";
import { seedPrng } from "../../src/core/engine/prng.ts";
import { canonicalHost } from "../../src/core/engine/save.ts";
import { random } from "../../src/core/engine/scheduler.ts";
import type { World } from "../../src/core/engine/world.ts";
import { firstHashDifference, checkOrder, checkSaving, checkUndo } from "../determinism/checks.ts";
import { begin, PLAIN, runOut, scenarios, tell, TRACKED } from "../determinism/runs.ts";

/** Steps between two looks at canonical text, which costs more than a step. */
const EVERY = 5;

export const round: SoakRound = (seed) => {
  const scenario = scenarios[seed % scenarios.length];
  assert(scenario !== undefined);
  const start = (tracking = PLAIN): World => begin(scenario, seed, tracking);
  const whole = tell(start(), random);
  checkSaving(start(), random, whole, 1);
  checkOrder(start(), random, whole, { every: 1, by: seedPrng(seed) });
  assert.equal(canonicalHost(runOut(start(), random)), whole.end, "what listening changes");
  assert.equal(firstHashDifference(start(TRACKED), random), null);
  checkUndo(start(TRACKED), random, EVERY);
  return { scenario: scenario.name, lines: whole.lines.length };
};
