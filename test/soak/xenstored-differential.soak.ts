// SPDX-License-Identifier: Apache-2.0
//
// Sequences at random against the real xenstoreds, other ones with every seed:
// fifty rounds are the 100,000 that a release is to have seen.

import fc from "fast-check";
import { compare, compareOcaml, showDisagreement } from "../differential/xenstored/compare.ts";
import { NARROW_LIMITS, narrowOcaml, realSubject } from "../differential/xenstored/driver.ts";
import { sequences } from "../differential/xenstored/generate.ts";
import { ourSubject } from "../differential/xenstored/ours.ts";
import type { SoakRound } from "../../scripts/soak-round.ts";

const SEQUENCES = 2000;

export const round: SoakRound = async (seed) => {
  const [c, ocaml] = [realSubject("c"), realSubject("ocaml")];
  const strict = ourSubject("ours, strict", { version: "4.17", conflicts: "strict" });
  const observed = ourSubject("ours", { version: "4.17", conflicts: "observed" });
  const asOcaml = ourSubject("ours, as oxenstored", { version: "oxenstored" });
  const narrow = narrowOcaml();
  const asNarrow = ourSubject("ours, with small limits", { version: "oxenstored", limits: NARROW_LIMITS });
  try {
    await fc.assert(
      fc.asyncProperty(sequences, async (sequence) => {
        const [withC, withOcaml] = await Promise.all([
          compare(sequence, c, { strict, observed }),
          sequence.limits === undefined
            ? compareOcaml(sequence, ocaml, asOcaml)
            : compareOcaml(sequence, narrow, asNarrow),
        ]);
        if (withC !== undefined) throw new Error(showDisagreement(withC, c.name));
        if (withOcaml !== undefined) throw new Error(showDisagreement(withOcaml, ocaml.name));
      }),
      { numRuns: SEQUENCES, seed },
    );
  } finally {
    await Promise.all([c.stop(), ocaml.stop(), narrow.stop()]);
  }
  // The C one does die now and then (differences.ts); more often would mean that nothing is compared.
  const died = c.deaths + ocaml.deaths + narrow.deaths;
  if (died > SEQUENCES / 100) throw new Error(`the real xenstoreds died ${died} times`);
  return { sequences: SEQUENCES, realDied: died };
};
