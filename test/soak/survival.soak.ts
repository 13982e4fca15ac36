// SPDX-License-Identifier: Apache-2.0
//
// Killed at random moments, again and again: with every policy about the disk,
// and lives from nothing to a second.

import { expect, test } from "vitest";
import { killRounds } from "../e2e/kill-rounds.ts";
import { folder } from "../e2e/xenolith.ts";

test(
  "kill -9 in hundreds of rounds loses nothing that was acknowledged, and tears no transaction",
  async () => {
    for (const fsync of ["always", "interval", "never"] as const) {
      for (const liveMs of [60, 250, 1000]) {
        const { acknowledged } = await killRounds({ rounds: 25, dir: folder(), fsync, seed: liveMs, liveMs });
        expect(acknowledged).toBeGreaterThan(50);
      }
    }
  },
  30 * 60_000,
);
