// SPDX-License-Identifier: Apache-2.0
//
// xenolith run: any Xen program against a live host.

import * as fs from "node:fs";
import * as path from "node:path";
import { libxendev } from "../../live/native.ts";
import { Problem } from "../../live/problem.ts";
import { runOnHost } from "../../live/run.ts";
import type { Command } from "../command.ts";
import { DIR_OPTION } from "../command.ts";
import { runningHost } from "../host.ts";

/** Xen's own programs come in packages of these names. */
function packageOf(name: string): string | null {
  if (name.startsWith("xenstore-")) return "apt-get install xenstore-utils";
  return /^(xl|lsevtchn)$|^xen/.test(name) ? "apt-get install xen-utils-4.17" : null;
}

/** Throws Problem, with the exit code that a shell would give, where this is no program that can be run. */
function checkProgram(name: string): void {
  const folders = name.includes("/") ? [""] : (process.env["PATH"] ?? "").split(path.delimiter);
  const files = folders.map((folder) => path.join(folder, name)).filter((file) => fs.existsSync(file));
  if (files.length === 0) throw new Problem(`there is no program ${name}`, packageOf(name), 127);
  const runnable = files.some((file) => {
    try {
      fs.accessSync(file, fs.constants.X_OK);
      return fs.statSync(file).isFile();
    } catch {
      return false;
    }
  });
  if (!runnable) throw new Problem(`${files[0]} is no program, or not for you`, `ls -l ${files[0]}`, 126);
}

export const command: Command = {
  name: "run",
  summary: "run an unmodified Xen program against a live host",
  operands: "[--dir DIR] -- COMMAND [ARGUMENT...]",
  details:
    "The program finds Xen's devices and, where the system allows private mounts, the host's own /run/xen,\n" +
    "/run/xenstored and /var/lib/xen. Its exit code is this command's.",
  examples: ["xenolith run -- xl list", "xenolith run --dir /tmp/xen -- make check"],
  options: [DIR_OPTION],
  raw: true,
  words: [1, Infinity],
  run: async (invocation) => {
    const [name, ...rest] = invocation.words;
    if (name === undefined) throw new Problem("run needs a command", "xenolith run -- xl list", 2);
    if (name.startsWith("-")) throw new Problem(`no such option: '${name}'`, null, 2);
    const { dir, bridge, xenstored } = await runningHost(invocation);
    checkProgram(name);
    return runOnHost({ dir, bridge, xenstored, library: libxendev(), command: [name, ...rest] });
  },
};
