// SPDX-License-Identifier: Apache-2.0
//
// xenolith replay: a recorded run, run again.

import type { World } from "../../core/engine/world.ts";
import type { ReplayResult } from "../../explore/replay.ts";
import type { Command, Invocation } from "../command.ts";
import { numberOf, printJson } from "../command.ts";
import { replayTrace } from "../replay-trace.ts";

/** Domains and threads as they stand. */
async function state(world: World): Promise<{ json: object; text: string }> {
  const { domainRows, domainTable } = await import("../../live/domains.ts");
  const { threadRows, threadTable } = await import("../../live/threads.ts");
  const domains = domainRows(world, world.now);
  const threads = threadRows(world);
  const text = [...domainTable(domains), "", ...threadTable(threads), ""].join("\n");
  return { json: { domains, threads }, text };
}

function verdict({ steps, events, difference }: ReplayResult, file: string): string {
  if (difference === null) return `${file}: ${steps} steps and ${events} events, all the same\n`;
  return [
    `${file}: differs at step ${difference.step}, after ${steps} steps and ${events} events that were the same`,
    `  recorded: ${difference.recorded}`,
    `  replayed: ${difference.replayed}`,
    "",
  ].join("\n");
}

async function run(invocation: Invocation): Promise<number> {
  const file = invocation.words[0] as string;
  const asked = invocation.values["at"] !== undefined;
  const { world, result } = await replayTrace(file, numberOf(invocation, "at", Infinity, 1));
  const shown = asked ? await state(world) : null;
  if (invocation.json) printJson({ ...result, step: world.counters.step, ...shown?.json });
  else {
    if (shown !== null) {
      process.stdout.write(
        `after step ${world.counters.step}, at ${(world.now / 1e6).toFixed(6)} s\n\n${shown.text}\n`,
      );
    }
    process.stdout.write(verdict(result, file));
  }
  return result.difference === null ? 0 : 1;
}

export const command: Command = {
  name: "replay",
  summary: "run a recorded run again, and compare",
  operands: "TRACE",
  details:
    "Takes the recorded choices one after another and compares every step and event. Exit code 1 where something\n" +
    "differs. A trace of a live host has what programs outside asked of it, and what it found in memory that they\n" +
    "had written to.",
  examples: ["xenolith replay run.trace.jsonl", "xenolith replay run.trace.jsonl --at 120"],
  options: [{ name: "at", value: "N", help: "stop behind step N and show domains and threads" }],
  words: [1, 1],
  run,
};
