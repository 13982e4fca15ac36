// SPDX-License-Identifier: Apache-2.0
//
// A daemon with a journal, killed at random moments again and again: nothing that
// was acknowledged is lost, and no transaction is torn, with each policy about
// the disk and lives from nothing to a second.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { SoakRound } from "../../scripts/soak-round.ts";
import { killRounds } from "../e2e/kill-rounds.ts";

const KILLS = 12;

/** Some kills with each policy. */
export const round: SoakRound = async (seed) => {
  let acknowledged = 0;
  for (const fsync of ["always", "interval", "never"] as const) {
    const dir = mkdtempSync(join(tmpdir(), "survival-"));
    const liveMs = [60, 250, 1000][seed % 3] as number;
    const result = await killRounds({ rounds: KILLS, dir, fsync, seed, liveMs });
    acknowledged += result.acknowledged;
    rmSync(dir, { recursive: true });
  }
  return { kills: 3 * (KILLS + 1), acknowledged };
};
