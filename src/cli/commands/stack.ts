// SPDX-License-Identifier: Apache-2.0
//
// xenolith stack: where a thread of a live host stands, as a kernel stack.

import { Problem } from "../../live/problem.ts";
import { stackText, threadsMeant } from "../../live/threads.ts";
import type { ThreadRow } from "../../live/threads.ts";
import type { Command } from "../command.ts";
import { DIR_OPTION, printJson } from "../command.ts";
import { askHost, dirWords } from "../host.ts";

export const command: Command = {
  name: "stack",
  summary: "the kernel stack of a thread of a live host",
  operands: "TID",
  details:
    "As /proc/TID/stack: the function at the top is the one that waits. TID is a thread's name as `xenolith ps` prints\n" +
    "it, the end of such a name (dom0's first: xenwatch), or the number of a process of dom0. In parentheses: the step\n" +
    "at which each function stands.",
  examples: [
    "xenolith stack xenwatch",
    "xenolith stack dom0/xen-mtwatch-2",
    "xenolith stack --json dom1/init",
  ],
  options: [DIR_OPTION],
  words: [1, 1],
  run: async (invocation) => {
    const { result } = await askHost(invocation, "ps");
    const [word = ""] = invocation.words;
    const found = threadsMeant(result as ThreadRow[], word);
    const [thread] = found;
    const ps = `xenolith ps${dirWords(invocation)}`;
    if (thread === undefined) throw new Problem(`no thread ${word}: it has ended, or never was`, ps);
    if (found.length > 1) {
      const names = found.map(({ name }) => name).join(", ");
      throw new Problem(
        `${word} could be ${names}`,
        `xenolith stack${dirWords(invocation)} ${thread.name}`,
        2,
      );
    }
    if (invocation.json) printJson(thread);
    else process.stdout.write(`${stackText(thread).join("\n")}\n`);
    return 0;
  },
};
