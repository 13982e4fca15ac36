// SPDX-License-Identifier: Apache-2.0
//
// All that decides how a host goes on is in its cells: saved, loaded, tracked,
// watched or laid out in another order, it goes on the same. Here at some steps
// of every scenario; `npm run soak` looks at every step, with many seeds.

import { describe, expect, test } from "vitest";
import { seedPrng } from "../../src/core/engine/prng.ts";
import { canonicalHost } from "../../src/core/engine/save.ts";
import { random } from "../../src/core/engine/scheduler.ts";
import type { World } from "../../src/core/engine/world.ts";
import { begin, PLAIN, runOut, scenarios, tell, TRACKED } from "./runs.ts";
import { checkSame, firstHashDifference, checkOrder, checkSaving, checkUndo } from "./checks.ts";

const SEED = 4;
/** Steps looked at where a look is dear; a scenario as small as that is looked at at every step. */
const LOOKS = 60;
const SMALL_STEPS = 800;

describe.each(scenarios)("$name", (scenario) => {
  const start = (tracking = PLAIN): World => begin(scenario, SEED, tracking);
  const whole = tell(start(), random);
  const steps = whole.lines.filter((line) => line.startsWith('{"step"')).length;
  const every = steps <= SMALL_STEPS ? 1 : Math.ceil(steps / LOOKS);

  test("saved, loaded and gone on from it is the same run", () => {
    checkSaving(start(), random, whole, every);
  });

  test("the order of its cells and of their fields decides nothing", () => {
    checkOrder(start(), random, whole, { every: Math.ceil(steps / LOOKS), by: seedPrng(steps) });
  });

  test("being watched changes nothing, nor does keeping what undoes steps", () => {
    expect(canonicalHost(runOut(start(), random))).toBe(whole.end);
    checkSame(tell(start(TRACKED), random), whole);
  });

  test("the kept hash is the full one behind every step", () => {
    expect(firstHashDifference(start(TRACKED), random)).toBeNull();
  });

  test("every step can be given back and taken again", () => {
    checkUndo(start(TRACKED), random, Math.ceil(steps / LOOKS));
  });
});
