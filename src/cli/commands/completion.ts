// SPDX-License-Identifier: Apache-2.0
//
// xenolith completion: teaches a shell the commands.

import { usage } from "../../live/problem.ts";
import type { Command } from "../command.ts";
import { printJson } from "../command.ts";
import { completionScript, SHELLS } from "../completion.ts";
import { loadCommands } from "../table.ts";

export const command: Command = {
  name: "completion",
  summary: "print a shell's completion script",
  operands: SHELLS.join("|"),
  examples: ["source <(xenolith completion bash)", "xenolith completion fish | source"],
  options: [],
  words: [1, 1],
  verbs: SHELLS,
  run: async ({ words: [word = ""], json }) => {
    const shell = SHELLS.find((name) => name === word);
    if (shell === undefined) throw usage(`no completion for ${word}: one of ${SHELLS.join(", ")}`);
    const script = completionScript(shell, await loadCommands());
    if (json) printJson({ shell, script });
    else process.stdout.write(script);
    return 0;
  },
};
