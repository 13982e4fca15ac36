// SPDX-License-Identifier: Apache-2.0
//
// The live host a command is about.

import { ask, NoHost } from "../live/control.ts";
import type { Outcome, Request } from "../live/control.ts";
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

/**
 * Asks the host. Where none answers that is a Problem, with the command that
 * starts one.
 *
 * @param input what the user types, for verbs that read it
 */
export async function askHost(
  invocation: Invocation,
  request: Request,
  say: { out: (text: string) => void; err: (text: string) => void },
  input?: NodeJS.ReadStream,
): Promise<Outcome> {
  try {
    return await ask(hostDirectory(invocation).control, request, say, input);
  } catch (error) {
    if (!(error instanceof NoHost)) throw error;
    throw new Problem(error.message, `xenolith up --detach${dirWords(invocation)}`);
  }
}
