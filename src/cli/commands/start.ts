// SPDX-License-Identifier: Apache-2.0
//
// xenolith start: a live host with two domains from the shipped configurations.

import { pack } from "../../live/caller-files.ts";
import { shellWord } from "../../live/directory.ts";
import type { LiveHost } from "../../live/live-host.ts";
import { Problem } from "../../live/problem.ts";
import { startXl } from "../../live/xl-session.ts";
import type { Command } from "../command.ts";
import { runInForeground } from "../foreground.ts";
import { dirWords, hostDirectory } from "../host.ts";
import { DOM0_DETAILS, HOST_OPTIONS, hostConfig, hostDaemons, hostMetrics } from "../host-options.ts";
import { ownFile } from "../self.ts";

const CONFIGURATIONS = ["examples/web.cfg", "examples/db.cfg"];

async function create(host: LiveHost, config: string): Promise<void> {
  const argv = ["create", Buffer.from(ownFile(config), "utf8").toString("latin1")];
  let said = "";
  const hear = (text: string): void => void (said += text);
  const { files } = pack(argv, process.cwd());
  const status = await startXl(host, argv, files, { out: hear, err: hear }).exit;
  if (status !== 0) {
    const words = Buffer.from(said, "latin1").toString("utf8").trimEnd();
    throw new Problem(`xl create ${config} ended with ${status}:\n${words}`, "xenolith up");
  }
}

export const command: Command = {
  name: "start",
  summary: "a live host with two domains, to look around in",
  operands: "",
  details:
    `Like \`xenolith up\`, with domains from ${CONFIGURATIONS.join(" and ")}.\n` +
    `It runs until q, Ctrl-C, SIGTERM or \`xenolith down\`.\n${DOM0_DETAILS}`,
  examples: ["xenolith start", "xenolith start --dir /tmp/xen --trace run.trace.jsonl"],
  options: HOST_OPTIONS,
  run: async (invocation) => {
    const where = hostDirectory(invocation);
    const dir = dirWords(invocation);
    return runInForeground({
      where,
      config: hostConfig(invocation),
      daemons: hostDaemons(invocation),
      ...hostMetrics(invocation),
      trace: invocation.values["trace"] ?? null,
      json: invocation.json,
      hints: [
        `xenolith xl${dir} list`,
        `xenolith xl${dir} shutdown web`,
        `xenolith store${dir} watch /local/domain`,
        `XENSTORED_PATH=${shellWord(where.xenstored)} xenstore-ls -f`,
      ],
      prepare: async (host) => {
        for (const config of CONFIGURATIONS) await create(host, config);
      },
    });
  },
};
