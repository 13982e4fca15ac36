// SPDX-License-Identifier: Apache-2.0
//
// What no client would send, for a long time: forty rounds are ten million pieces.

import { attackRing } from "../fuzz/ring.ts";
import { attackStore } from "../fuzz/store.ts";
import type { SoakRound } from "../../scripts/soak-round.ts";

const STORE_PIECES = 200_000;
const RING_PIECES = 50_000;

export const round: SoakRound = (seed) => {
  const store = attackStore(seed, STORE_PIECES);
  const ring = attackRing(seed, RING_PIECES);
  return {
    pieces: STORE_PIECES + RING_PIECES,
    requestsAnswered: store.requests,
    conversationsEnded: store.conversationsEnded + ring.connectionsLost,
    checksOfTheInnocent: store.checks + ring.checks,
    memoryMiB: Math.round(process.memoryUsage().rss / 2 ** 20),
  };
};
