// SPDX-License-Identifier: Apache-2.0
//
// Hosts whose guests' memory, store nodes and saved files are written to by
// whoever can: the host goes on, and who was not meant notices nothing.

import type { SoakRound } from "../../scripts/soak-round.ts";
import { attackBuilt } from "../fuzz/built.ts";
import { attackPages } from "../fuzz/pages.ts";

export const round: SoakRound = (seed) => {
  const { pieces, victims } = attackPages(seed, 2_000);
  return { pieces, victims, ...attackBuilt(seed, 40) };
};
