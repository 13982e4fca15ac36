// SPDX-License-Identifier: Apache-2.0
//
// Sequences at random against the C xenstored, other ones with every seed: fifty
// rounds are the 100,000 that a release is to have seen.

import fc from "fast-check";
import { compare, showDisagreement } from "../differential/xenstored/compare.ts";
import { realSubject } from "../differential/xenstored/driver.ts";
import { sequences } from "../differential/xenstored/generate.ts";
import { ourSubject } from "../differential/xenstored/ours.ts";
import type { SoakRound } from "../../scripts/soak-round.ts";

const SEQUENCES = 2000;

export const round: SoakRound = async (seed) => {
  const c = realSubject("c");
  const strict = ourSubject("ours, strict", { version: "4.17", conflicts: "strict" });
  const observed = ourSubject("ours", { version: "4.17", conflicts: "observed" });
  try {
    await fc.assert(
      fc.asyncProperty(sequences, async (sequence) => {
        const found = await compare(sequence, c, { strict, observed });
        if (found !== undefined) throw new Error(showDisagreement(found, c.name));
      }),
      { numRuns: SEQUENCES, seed },
    );
  } finally {
    await c.stop();
  }
  // It does die now and then (differences.ts); more often would mean that nothing is compared.
  if (c.deaths > SEQUENCES / 100) throw new Error(`the C xenstored died ${c.deaths} times`);
  return { sequences: SEQUENCES, realDied: c.deaths };
};
