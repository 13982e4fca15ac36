// SPDX-License-Identifier: Apache-2.0
//
// One recorded scenario, played on a live host of its own and compared.

import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Difference } from "./compare/facts.ts";
import { compareLive } from "./live-compare.ts";
import type { Players } from "./live-collector.ts";
import { LiveRun } from "./live.ts";
import { readRecording, readSetting } from "./parse/folder.ts";
import type { Recording } from "./recording.ts";
import { SCENARIOS } from "./scenarios/index.ts";

const RECORDINGS = join(import.meta.dirname, "recordings");

/** The recorded scenarios, by their folders' names. */
export const recorded: readonly string[] = fs.readdirSync(RECORDINGS).filter((name) => name !== "_repeat");

/** What a run came to. */
export interface Played {
  ours: Recording;
  differences: Difference[];
  /** What the host warned of. */
  warnings: readonly string[];
}

/** Plays it with these players, and compares all that can be. */
export async function play(name: string, players: Players): Promise<Played> {
  const folder = join(RECORDINGS, name);
  const expected = readRecording(folder);
  const root = fs.mkdtempSync(join(tmpdir(), "xenolith-store-"));
  try {
    const run = await LiveRun.start(expected, players, root);
    try {
      const ours = await run.run(SCENARIOS.get(name)!(readSetting(folder)));
      return {
        ours,
        differences: compareLive(expected, ours, players),
        warnings: run.warnings,
      };
    } finally {
      await run.stop();
    }
  } finally {
    fs.rmSync(root, { recursive: true, force: true });
  }
}
