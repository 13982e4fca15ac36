// SPDX-License-Identifier: Apache-2.0
//
// xenolith run: any Xen program against a live host.

import * as fs from "node:fs";
import * as path from "node:path";
import { libxendev } from "../../live/native.ts";
import { Problem } from "../../live/problem.ts";
import { runOnHost } from "../../live/run.ts";
import type { DomainPlace } from "../../live/domain-places.ts";
import type { Command, Invocation } from "../command.ts";
import { DIR_OPTION } from "../command.ts";
import { askHost, runningHost } from "../host.ts";

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

/** Where programs of a domain are run. Throws Problem where there is no such domain, or no kernel in it. */
async function enter(invocation: Invocation, domain: string): Promise<DomainPlace> {
  const { result } = await askHost(invocation, "enter-domain", [domain]);
  const answer = result as DomainPlace | { refused: string; next: string | null };
  if ("refused" in answer) throw new Problem(answer.refused, answer.next);
  return answer;
}

export const command: Command = {
  name: "run",
  summary: "run an unmodified Xen program against a live host",
  operands: "[--dir DIR] [--domain DOMAIN] -- COMMAND [ARGUMENT...]",
  details:
    "The program finds Xen's devices and, where the system allows private mounts, the host's own /run/xen,\n" +
    "/run/xenstored and /var/lib/xen. Its exit code is this command's. With --domain it is a process of that domain:\n" +
    "its hypercalls are the domain's, and it reaches xenstore by the domain's kernel.",
  examples: [
    "xenolith run -- xl list",
    "xenolith run --dir /tmp/xen -- make check",
    "xenolith run --domain store -- xl devd -F",
  ],
  options: [
    DIR_OPTION,
    {
      name: "domain",
      value: "DOMAIN",
      help: "run it in this domain, by its name or number, instead of dom0",
    },
  ],
  raw: true,
  words: [1, Infinity],
  run: async (invocation) => {
    const [name, ...rest] = invocation.words;
    if (name === undefined) throw new Problem("run needs a command", "xenolith run -- xl list", 2);
    if (name.startsWith("-")) throw new Problem(`no such option: '${name}'`, null, 2);
    const host = await runningHost(invocation);
    checkProgram(name);
    const domain = invocation.values["domain"];
    const { dir, bridge, xenstored } = domain === undefined ? host : await enter(invocation, domain);
    return runOnHost({ dir, bridge, xenstored, library: libxendev(), command: [name, ...rest] });
  },
};
