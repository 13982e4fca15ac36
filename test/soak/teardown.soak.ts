// SPDX-License-Identifier: Apache-2.0
//
// Teardown in every order: a thousand random hosts a round, whose domains hold
// each other in every way there is and are killed at any moment; every tenth
// round a thousand domains that xl destroys at once.

import type { SoakRound } from "../../scripts/soak-round.ts";
import { Chaos } from "../teardown/chaos.ts";
import { manyTeardowns } from "../teardown/many.ts";

const HOSTS = 1_000;
const STEPS = 150;

export const round: SoakRound = (seed) => {
  if (seed % 10 === 9) return manyTeardowns(1_000, seed);
  const total: { [figure: string]: number } = { hosts: HOSTS };
  for (let at = 0; at < HOSTS; at++) {
    // Rounds draw from ranges that do not overlap.
    const host = seed * HOSTS + at;
    try {
      const figures = new Chaos(host).run(STEPS);
      for (const [figure, value] of Object.entries(figures)) total[figure] = (total[figure] ?? 0) + value;
    } catch (error) {
      throw new Error(`host ${host} of round ${seed}`, { cause: error });
    }
  }
  return total;
};
