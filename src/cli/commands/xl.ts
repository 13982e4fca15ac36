// SPDX-License-Identifier: Apache-2.0
//
// xenolith xl: the built-in toolstack. It runs inside the host; files it names
// are read and written here.

import { LEAVE_CONSOLE } from "../../core/toolstack/xenconsole.ts";
import { commandTable } from "../../core/toolstack/xl/command-table.ts";
import { pack, unpack } from "../../live/caller-files.ts";
import type { Luggage, WrittenFile } from "../../live/caller-files.ts";
import { ask, NoHost } from "../../live/control.ts";
import type { Conversation } from "../../live/control.ts";
import { consoleUse } from "../../live/console-keys.ts";
import { shellWord } from "../../live/directory.ts";
import { systemWords } from "../../live/problem.ts";
import { FILES } from "../../live/verbs-words.ts";
import type { Command, Invocation } from "../command.ts";
import { DIR_OPTION } from "../command.ts";
import { dirWords, hostDirectory, noHost } from "../host.ts";
import { callable } from "../self.ts";

/** Inside the host text is bytes, one a character. */
function bytes(text: string): Buffer {
  return Buffer.from(text, "latin1");
}

/** Writes what xl wrote; what cannot be written stays in the host, and how to get at it is said. */
function writeFiles(files: readonly WrittenFile[], invocation: Invocation): boolean {
  for (const file of files) {
    try {
      unpack(file, process.cwd());
    } catch (error) {
      const kept = `the host keeps it until it can: xenolith xl${dirWords(invocation)} restore ${shellWord(file.name)}`;
      process.stderr.write(
        `xenolith xl: cannot write ${file.name}: ${systemWords(error)}\n${callable(kept)}\n`,
      );
      return false;
    }
  }
  return true;
}

/**
 * Keys go to a domain's console until Ctrl-] is among them, or the terminal hangs up: that is the end of a
 * command that is a console and nothing else. Another one goes on without it.
 */
function attachKeys(
  { typed }: Conversation,
  only: boolean,
): { left: Promise<{ exit: number }>; detach: () => void } {
  const { stdin } = process;
  if (stdin.isTTY) stdin.setRawMode(true);
  let leave: (outcome: { exit: number }) => void = () => {};
  const left = new Promise<{ exit: number }>((resolve) => void (leave = resolve));
  const onKeys = (chunk: Buffer): void => {
    const text = chunk.toString("latin1");
    const end = text.indexOf(LEAVE_CONSOLE);
    if (!only) typed(text);
    else if (end !== 0) typed(end < 0 ? text : text.slice(0, end));
    if (only && end >= 0) leave({ exit: 0 });
  };
  // Without a terminal it goes on for as long as there is a console (console/client/main.c, interactive).
  const onEnd = (): void => void (only && stdin.isTTY && leave({ exit: 0 }));
  stdin.on("data", onKeys).on("end", onEnd);
  const detach = (): void => {
    stdin.off("data", onKeys).off("end", onEnd);
    if (stdin.isTTY) stdin.setRawMode(false);
    stdin.pause();
  };
  return { left, detach };
}

async function run(invocation: Invocation): Promise<number> {
  const { words } = invocation;
  // As they are typed: bytes, one a character.
  const argv = words.map((word) => Buffer.from(word, "utf8").toString("latin1"));
  const luggage: Luggage = pack(argv, process.cwd());
  let kept = false;
  const conversation = ask(
    hostDirectory(invocation).control,
    { verb: "xl", args: argv, data: { files: luggage.files, writes: luggage.writes } },
    {
      out: (text) => void process.stdout.write(bytes(text)),
      err: (text) => void process.stderr.write(bytes(text)),
      result: (files) => {
        kept = !writeFiles(files as WrittenFile[], invocation);
        return kept ? FILES.kept : FILES.written;
      },
    },
  );
  const use = consoleUse(argv);
  const leave = use === "none" ? null : attachKeys(conversation, use === "only");
  try {
    const { exit } =
      leave === null ? await conversation.outcome : await Promise.race([conversation.outcome, leave.left]);
    if (exit !== 0 && luggage.hint !== "") process.stderr.write(bytes(`xenolith: ${luggage.hint}`));
    return exit === 0 && kept ? 1 : exit;
  } catch (error) {
    throw error instanceof NoHost ? noHost(invocation, error) : error;
  } finally {
    leave?.detach();
    conversation.close();
  }
}

export const command: Command = {
  name: "xl",
  summary: "the built-in toolstack: xl's verbs, words and exit codes",
  operands: "[--dir DIR] VERB [ARGUMENT...]",
  details:
    "Configuration files, kernels and disks are found from the current folder, as xl finds them; what save and\n" +
    "dump-core write comes there. `xenolith xl help` lists the verbs; Ctrl-] leaves a console. The exit code is xl's.",
  examples: [
    "xenolith xl create examples/web.cfg",
    "xenolith xl list",
    "xenolith xl --dir /tmp/xen destroy web",
  ],
  options: [DIR_OPTION],
  raw: true,
  words: [0, Infinity],
  verbs: commandTable.map(({ verb }) => verb),
  run,
};
