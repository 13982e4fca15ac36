// SPDX-License-Identifier: Apache-2.0
//
// Where bin/xenolith.js hands over: finds the command and runs it.

import { systemWords } from "../live/problem.ts";
import { runCommand } from "./command.ts";
import { nearest } from "./nearest.ts";
import { callable, version } from "./self.ts";
import { commands } from "./table.ts";

function overview(): string {
  const rows = commands.map(({ name, summary }) => `  ${name.padEnd(12)} ${summary}`);
  return [
    "Usage: xenolith COMMAND [OPTION...]",
    "",
    "Xen's control plane, without Xen.",
    "",
    ...rows,
    "",
    "xenolith COMMAND --help says more. To begin: xenolith start",
    "",
  ].join("\n");
}

function unknown(name: string): number {
  const near = nearest(
    name,
    commands.map((command) => command.name),
  );
  const next = near === null ? "xenolith --help" : `xenolith ${near} --help`;
  process.stderr.write(callable(`xenolith: no command ${name}\nTry: ${next}\n`));
  return 2;
}

/**
 * Who reads our output may stop reading (`xenolith … | head`): then a command ends
 * as SIGPIPE would end it, and a host as SIGTERM does. So it does where the output
 * cannot be written, and says why. A terminal that has hung up takes nothing more;
 * its SIGHUP does the rest.
 */
function endWithReader(): void {
  let isOver = false;
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EIO" || isOver) return;
    isOver = true;
    const isPipe = error.code === "EPIPE";
    if (!isPipe) process.stderr.write(`xenolith: cannot write the output: ${systemWords(error)}\n`);
    if (process.listenerCount("SIGTERM") > 0) process.emit("SIGTERM", "SIGTERM");
    else process.exit(isPipe ? 141 : 1);
  });
}

/**
 * Runs one command.
 *
 * @param args what stands after `xenolith`
 * @returns the exit code: 0 ok, 1 the thing asked about is bad, 2 usage
 */
export async function main(args: readonly string[]): Promise<number> {
  endWithReader();
  const [name, ...rest] = args;
  const about = name === "help" ? rest[0] : undefined;
  if (about !== undefined) return main([about, "--help"]);
  if (name === undefined || name === "--help" || name === "-h" || name === "help") {
    const out = name === undefined ? process.stderr : process.stdout;
    out.write(callable(overview()));
    return name === undefined ? 2 : 0;
  }
  if (name === "--version") {
    process.stdout.write(`xenolith ${version()}\n`);
    return 0;
  }
  const found = commands.find((command) => command.name === name);
  if (found === undefined) return unknown(name);
  return runCommand((await found.load()).command, rest);
}
