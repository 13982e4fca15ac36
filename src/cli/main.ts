// SPDX-License-Identifier: Apache-2.0
//
// Where bin/xenolith.js hands over: finds the command and runs it.

import { runCommand } from "./command.ts";
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

/** How many letters must change to make one word of the other (Levenshtein). */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 0; i < a.length; i++) {
    const next = [i + 1];
    for (let j = 0; j < b.length; j++) {
      const swapped = (row[j] as number) + Number(a[i] !== b[j]);
      next.push(Math.min((row[j + 1] as number) + 1, (next[j] as number) + 1, swapped));
    }
    row = next;
  }
  return row[b.length] as number;
}

function unknown(name: string): number {
  const names = commands.map((command) => command.name);
  const near = names.toSorted((a, b) => distance(name, a) - distance(name, b))[0] as string;
  const next = distance(name, near) <= 2 ? `xenolith ${near} --help` : "xenolith --help";
  process.stderr.write(callable(`xenolith: no command ${name}\nTry: ${next}\n`));
  return 2;
}

/**
 * Who reads our output may stop reading (`xenolith … | head`): then a command ends
 * as SIGPIPE would end it, and a host as SIGTERM does. A terminal that has hung
 * up takes nothing more; its SIGHUP does the rest.
 */
function endWithReader(): void {
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EIO") return;
    if (error.code !== "EPIPE") throw error;
    if (process.listenerCount("SIGTERM") > 0) process.emit("SIGTERM", "SIGTERM");
    else process.exit(141);
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
