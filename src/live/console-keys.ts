// SPDX-License-Identifier: Apache-2.0
//
// Keys that somebody types at the terminal of a domain's console.

import { input } from "../core/engine/input.ts";
import { parseCommandLine } from "../core/toolstack/xl/parse-command.ts";
import { typeAtConsole } from "../core/toolstack/xenconsole.ts";

/** How a command line uses a console: it is nothing else, it attaches to one on its way, or it has none. */
export function consoleUse(argv: readonly string[]): "only" | "also" | "none" {
  const parsed = parseCommandLine(argv);
  if (parsed.kind !== "command") return "none";
  const { command } = parsed;
  if (command.verb === "console") return "only";
  const creates = command.verb === "create" || command.verb === "restore";
  return creates && command.consoleAutoconnect ? "also" : "none";
}

/** Text typed at a process that is attached to a console. */
export const consoleTyped = input("console.typed", (host, data: { process: string; text: string }) =>
  typeAtConsole(host, data.process, data.text),
);
