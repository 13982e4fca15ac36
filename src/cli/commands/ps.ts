// SPDX-License-Identifier: Apache-2.0
//
// xenolith ps: the threads of a live host, and where each stands.

import { Problem } from "../../live/problem.ts";
import { threadsMeant, threadTable } from "../../live/threads.ts";
import type { ThreadRow } from "../../live/threads.ts";
import type { Command } from "../command.ts";
import { DIR_OPTION, printJson } from "../command.ts";
import { askHost, dirWords } from "../host.ts";

const STATES = ["R", "S", "D", "T", "Z"] as const;

export const command: Command = {
  name: "ps",
  summary: "the threads of a live host, and where each stands",
  operands: "[THREAD...]",
  details:
    "Kernel threads, dom0's processes, guests' kernels and vCPUs. STAT is ps's: R runs or could, S sleeps, D sleeps and\n" +
    "no signal wakes it, T was stopped, Z has ended and waits for its parent. `xenolith stack` shows a whole stack.",
  examples: ["xenolith ps", "xenolith ps --state D", "xenolith ps xenwatch"],
  options: [DIR_OPTION, { name: "state", value: "S", among: STATES, help: "only threads in that state" }],
  words: [0, Infinity],
  run: async (invocation) => {
    const { result } = await askHost(invocation, "ps");
    const rows = result as ThreadRow[];
    const { words, values } = invocation;
    for (const word of words) {
      if (threadsMeant(rows, word).length === 0)
        throw new Problem(
          `no thread ${word}: it has ended, or never was`,
          `xenolith ps${dirWords(invocation)}`,
        );
    }
    const meant = new Set(words.flatMap((word) => threadsMeant(rows, word)));
    const shown = rows.filter(
      (row) =>
        (words.length === 0 || meant.has(row)) &&
        (values["state"] === undefined || row.state === values["state"]),
    );
    if (invocation.json) printJson(shown);
    else process.stdout.write(`${threadTable(shown).join("\n")}\n`);
    return 0;
  },
};
