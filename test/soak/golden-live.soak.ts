// SPDX-License-Identifier: Apache-2.0
//
// All recorded scenarios on live hosts, by the real xl with our xenstored and with
// both of Xen's own, and by ours with Xen's C one: what each did on real Xen,
// whatever else the machine is doing.

import type { SoakRound } from "../../scripts/soak-round.ts";
import type { Players } from "../golden/live-collector.ts";
import { play, recorded } from "../golden/live-play.ts";

/** What our xl can be asked to do within a live host: what needs no file and no program of the machine's. */
const OURS = /^(?:b|c|e1|f|g|h)-/;

const RUNS = recorded.flatMap((name): [string, Players][] => [
  [name, { xl: "real", xenstored: "builtin" }],
  [name, { xl: "real", xenstored: "c" }],
  [name, { xl: "real", xenstored: "ocaml" }],
  ...(OURS.test(name) ? ([[name, { xl: "builtin", xenstored: "c" }]] as [string, Players][]) : []),
]);

/** One scenario with one pair of players; as many seeds in a row as there are runs play them all. */
export const round: SoakRound = async (seed) => {
  const [name, players] = RUNS[seed % RUNS.length]!;
  const run = `${name}, xl ${players.xl}, xenstored ${players.xenstored}`;
  const { differences, warnings } = await play(name, players);
  if (differences.length + warnings.length > 0)
    throw new Error(`${run}: ${JSON.stringify({ differences, warnings })}`);
  return { run, of: RUNS.length };
};
