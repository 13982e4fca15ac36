// SPDX-License-Identifier: Apache-2.0
//
// Sequences at random against oxenstored, those with limits against one that has
// small ones: fifty rounds are the 100,000 that a release is to have seen.

import fc from "fast-check";
import { compareOcaml, showDisagreement } from "../differential/xenstored/compare.ts";
import { NARROW_LIMITS, narrowOcaml, realSubject } from "../differential/xenstored/driver.ts";
import { sequences } from "../differential/xenstored/generate.ts";
import { ourSubject } from "../differential/xenstored/ours.ts";
import type { SoakRound } from "../../scripts/soak-round.ts";

const SEQUENCES = 2000;

export const round: SoakRound = async (seed) => {
  const [usual, narrow] = [realSubject("ocaml"), narrowOcaml()];
  const ours = ourSubject("ours", { version: "oxenstored" });
  const ourNarrow = ourSubject("ours, with small limits", { version: "oxenstored", limits: NARROW_LIMITS });
  let withLimits = 0;
  try {
    await fc.assert(
      fc.asyncProperty(sequences, async (sequence) => {
        const isNarrow = sequence.limits !== undefined;
        if (isNarrow) withLimits++;
        const found = isNarrow
          ? await compareOcaml(sequence, narrow, ourNarrow)
          : await compareOcaml(sequence, usual, ours);
        if (found !== undefined) throw new Error(showDisagreement(found, usual.name));
      }),
      { numRuns: SEQUENCES, seed },
    );
  } finally {
    await Promise.all([usual.stop(), narrow.stop()]);
  }
  const realDied = usual.deaths + narrow.deaths;
  if (realDied > 0) throw new Error(`oxenstored died or hung ${realDied} times`);
  return { sequences: SEQUENCES, withLimits, realDied };
};
