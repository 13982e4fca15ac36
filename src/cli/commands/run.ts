// SPDX-License-Identifier: Apache-2.0
//
// xenolith run: any Xen program against a live host.

import { answers } from "../../live/directory.ts";
import { libxendev } from "../../live/native.ts";
import { Problem } from "../../live/problem.ts";
import { runOnHost } from "../../live/run.ts";
import type { Command } from "../command.ts";
import { DIR_OPTION } from "../command.ts";
import { dirWords, hostDirectory } from "../host.ts";

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
    const where = hostDirectory(invocation);
    const [name, ...rest] = invocation.words;
    if (name === undefined) throw new Problem("run needs a command", "xenolith run -- xl list", 2);
    if (!(await answers(where.control))) {
      throw new Problem(`no host is running in ${where.dir}`, `xenolith up --detach${dirWords(invocation)}`);
    }
    const { dir, bridge, xenstored } = where;
    return runOnHost({ dir, bridge, xenstored, library: libxendev(), command: [name, ...rest] });
  },
};
