// SPDX-License-Identifier: Apache-2.0
//
// All recorded scenarios on live hosts, by the real xl with our xenstored and with
// Xen's own, and by ours with Xen's: what each did on real Xen, whatever else the
// machine is doing.

import type { SoakRound } from "../../scripts/soak-round.ts";
import type { Players } from "../golden/live-collector.ts";
import { play, recorded } from "../golden/live-play.ts";

/** What our xl can be asked to do within a live host: what needs no file and no program of the machine's. */
const OURS = /^(?:b|c|e1|f|g|h)-/;

/** Every scenario with each pair of players; the seed says in which order. */
export const round: SoakRound = async (seed) => {
  const runs = recorded.flatMap((name): [string, Players][] => [
    [name, { xl: "real", xenstored: "builtin" }],
    [name, { xl: "real", xenstored: "c" }],
    ...(OURS.test(name) ? ([[name, { xl: "builtin", xenstored: "c" }]] as [string, Players][]) : []),
  ]);
  const first = seed % runs.length;
  for (const [name, players] of [...runs.slice(first), ...runs.slice(0, first)]) {
    const { differences, warnings } = await play(name, players);
    if (differences.length + warnings.length > 0)
      throw new Error(`${name}, ${JSON.stringify(players)}: ${JSON.stringify({ differences, warnings })}`);
  }
  return { runs: runs.length };
};
