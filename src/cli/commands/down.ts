// SPDX-License-Identifier: Apache-2.0
//
// xenolith down: stops a live host.

import type { Command } from "../command.ts";
import { DIR_OPTION, printJson } from "../command.ts";
import { askHost, hostDirectory } from "../host.ts";

export const command: Command = {
  name: "down",
  summary: "stop a live host",
  operands: "",
  details: "Ends when the host is gone. Its domains go with it.",
  examples: ["xenolith down", "xenolith down --dir /tmp/xen"],
  options: [DIR_OPTION],
  run: async (invocation) => {
    await askHost(invocation, "down");
    const { dir } = hostDirectory(invocation);
    if (invocation.json) printJson({ stopped: dir });
    else process.stdout.write(`the host in ${dir} has stopped\n`);
    return 0;
  },
};
