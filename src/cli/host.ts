// SPDX-License-Identifier: Apache-2.0
//
// The live host a command is about.

import { ask, NoHost } from "../live/control.ts";
import type { Outcome } from "../live/control.ts";
import { directory, shellWord } from "../live/directory.ts";
import type { Directory } from "../live/directory.ts";
import type { Invocation } from "./command.ts";
import { Problem } from "../live/problem.ts";

/** The state directory of the host that is meant. */
export function hostDirectory(invocation: Invocation): Directory {
  return directory(invocation.values["dir"]);
}

/** How the user names that host on a command line: nothing where it is the default one. */
export function dirWords(invocation: Invocation): string {
  const dir = invocation.values["dir"];
  return dir === undefined ? "" : ` --dir ${shellWord(dir)}`;
}

/** What went wrong with the host that was asked, and the command that starts one. */
export function noHost(invocation: Invocation, error: NoHost): Problem {
  return new Problem(error.message, `xenolith up --detach${dirWords(invocation)}`);
}

/** Asks the host for a result. Throws Problem where none answers. */
export async function askHost(
  invocation: Invocation,
  verb: string,
  args: readonly string[] = [],
): Promise<Outcome> {
  const quiet = { out: (): void => {}, err: (text: string): void => void process.stderr.write(text) };
  try {
    return await ask(hostDirectory(invocation).control, { verb, args }, quiet).outcome;
  } catch (error) {
    throw error instanceof NoHost ? noHost(invocation, error) : error;
  }
}
