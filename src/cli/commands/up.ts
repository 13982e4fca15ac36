// SPDX-License-Identifier: Apache-2.0
//
// xenolith up: a live host.

import { detach } from "../detach.ts";
import type { Command } from "../command.ts";
import { firstHints, runInForeground } from "../foreground.ts";
import { dirWords, hostDirectory } from "../host.ts";
import { DOM0_DETAILS, HOST_OPTIONS, hostConfig, hostDaemons, hostMetrics } from "../host-options.ts";

export const command: Command = {
  name: "up",
  summary: "start a live host",
  operands: "",
  details:
    "On a terminal it shows one screen: domains, the last events, xenstored's socket. Elsewhere it prints a line an\n" +
    `event. It runs until q, Ctrl-C, SIGTERM or \`xenolith down\`; its domains go with it.\n${DOM0_DETAILS}`,
  examples: [
    "xenolith up",
    "xenolith up --detach --dir /tmp/xen --memory 16G",
    "xenolith up --trace run.trace.jsonl",
    "xenolith up --xenstored c --xenconsoled c",
  ],
  options: [
    ...HOST_OPTIONS,
    { name: "detach", help: "run in the background; come back when the host is up" },
  ],
  run: async (invocation) => {
    const where = hostDirectory(invocation);
    const config = hostConfig(invocation);
    const daemons = hostDaemons(invocation);
    const metrics = hostMetrics(invocation);
    const trace = invocation.values["trace"] ?? null;
    const hints = firstHints(where, dirWords(invocation));
    if (invocation.switches.has("detach")) return detach(invocation, where, hints);
    return runInForeground({ where, config, daemons, ...metrics, trace, hints, json: invocation.json });
  },
};
