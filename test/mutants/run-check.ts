// SPDX-License-Identifier: Apache-2.0
//
// node run-check.ts CHECK SCENARIO [PATCH]: one of the determinism checks, on the
// program as a mutant makes it. Says what it found on its last line; exit code 1
// where that is something.

import { installMutant, readMutant } from "../../src/cli/mutant.ts";

const SEED = 3;

const [check, name, patch] = process.argv.slice(2);
const mutant = readMutant(patch);
if (mutant !== null) installMutant(mutant);

// Loaded only now: a mutant changes what is loaded.
const { seedPrng } = await import("../../src/core/engine/prng.ts");
const { random } = await import("../../src/core/engine/scheduler.ts");
const { checkOrder, checkSaving, checkUndo, firstHashDifference } = await import("../determinism/checks.ts");
const { begin, PLAIN, scenarios, tell, TRACKED } = await import("../determinism/runs.ts");

function find(): string | null {
  const scenario = scenarios.find((one) => one.name === name);
  if (scenario === undefined) throw new Error(`no scenario ${name}`);
  const start = (tracking = PLAIN): ReturnType<typeof begin> => begin(scenario, SEED, tracking);
  if (check === "hash") return firstHashDifference(start(TRACKED), random);
  const whole = tell(start(), random);
  if (check === "saving") checkSaving(start(), random, whole, 10);
  else if (check === "order") checkOrder(start(), random, whole, { every: 10, by: seedPrng(SEED) });
  else if (check === "undo") checkUndo(start(TRACKED), random, 10);
  else throw new Error(`no check ${check}`);
  return null;
}

let found: string | null;
try {
  found = find();
} catch (error) {
  found = (error as Error).message.split("\n")[0] as string;
}
console.log(found ?? "nothing");
process.exitCode = found === null ? 0 : 1;
