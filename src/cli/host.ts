// SPDX-License-Identifier: Apache-2.0
//
// The live host a command is about.

import { accessSync, constants } from "node:fs";
import { ask, NoHost } from "../live/control.ts";
import type { Outcome } from "../live/control.ts";
import { answers, directory, shellWord } from "../live/directory.ts";
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

/** What went wrong with the host that was asked, and what shows whose it is or starts one. */
export function noHost(invocation: Invocation, error: NoHost): Problem {
  const next = error.forbidden
    ? `ls -ld ${shellWord(hostDirectory(invocation).dir)}`
    : `xenolith up --detach${dirWords(invocation)}`;
  return new Problem(error.message, next);
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

/** Where the host is, once one answers. Throws Problem where none does. */
export async function runningHost(invocation: Invocation): Promise<Directory> {
  const where = hostDirectory(invocation);
  if (await answers(where.control)) return where;
  let forbidden = false;
  try {
    accessSync(where.control, constants.W_OK);
  } catch (error) {
    forbidden = (error as NodeJS.ErrnoException).code === "EACCES";
  }
  const why = forbidden ? `permission denied for ${where.control}` : `no host is running in ${where.dir}`;
  throw noHost(invocation, new NoHost(why, forbidden));
}
