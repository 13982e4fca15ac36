// SPDX-License-Identifier: Apache-2.0
//
// xenolith ps: the threads of a live host, and where each stands.

import { Problem } from "../../live/problem.ts";
import { threadTable } from "../../live/threads.ts";
import type { ThreadRow } from "../../live/threads.ts";
import type { Command } from "../command.ts";
import { DIR_OPTION, printJson } from "../command.ts";
import { askHost, dirWords } from "../host.ts";

/** A thread's stack as /proc/PID/stack shows it: where it stands, then who called. */
function stack({ name, state, stack: frames }: ThreadRow): string[] {
  return [`${name} ${state}`, ...frames.map(({ routine, at }) => `  ${routine}: ${at}`)];
}

export const command: Command = {
  name: "ps",
  summary: "the threads of a live host, and where each stands",
  operands: "[THREAD]",
  details:
    "Kernel threads, dom0's processes, guests' kernels and vCPUs. With a thread's name, its whole stack.",
  examples: ["xenolith ps", "xenolith ps dom0/xenwatch"],
  options: [DIR_OPTION],
  words: [0, 1],
  run: async (invocation) => {
    const { result } = await askHost(invocation, "ps");
    const rows = result as ThreadRow[];
    const [wanted] = invocation.words;
    const shown = wanted === undefined ? rows : rows.filter(({ name }) => name === wanted);
    if (shown.length === 0) throw new Problem(`no thread ${wanted}`, `xenolith ps${dirWords(invocation)}`);
    if (invocation.json) printJson(shown);
    else
      process.stdout.write(
        `${(wanted === undefined ? threadTable(shown) : shown.flatMap(stack)).join("\n")}\n`,
      );
    return 0;
  },
};
