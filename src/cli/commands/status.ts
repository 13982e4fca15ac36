// SPDX-License-Identifier: Apache-2.0
//
// xenolith status: what runs on a live host, and where its sockets are.

import { domainTable } from "../../live/domains.ts";
import type { Status } from "../../live/status.ts";
import { duration } from "../../live/view.ts";
import type { Command } from "../command.ts";
import { DIR_OPTION, printJson } from "../command.ts";
import { askHost } from "../host.ts";

/** Xenstored's socket, and who is behind it where that is not us. */
function storeText({ xenstored, store: { by, pid, gone } }: Status): string {
  if (by === "builtin") return xenstored;
  const name = by === "c" ? "C xenstored" : "oxenstored";
  return gone === null ? `${xenstored} (${name}, pid ${pid})` : `gone: ${gone}`;
}

function text(status: Status): string {
  const { dir, pid, xen, upSeconds, memoryMiB, domains, trace } = status;
  return [
    `Xen ${xen}, up ${duration(upSeconds * 1e6)}, ${memoryMiB.free} of ${memoryMiB.total} MiB free`,
    `directory  ${dir} (pid ${pid})`,
    `xenstored  ${storeText(status)}`,
    ...(trace === null ? [] : [`trace      ${trace}`]),
    "",
    ...domainTable(domains),
    "",
  ].join("\n");
}

export const command: Command = {
  name: "status",
  summary: "what runs on a live host, and where its sockets are",
  operands: "",
  details: "Exit code 1 where no host runs.",
  examples: ["xenolith status", "xenolith status --json"],
  options: [DIR_OPTION],
  run: async (invocation) => {
    const { result } = await askHost(invocation, "status");
    if (invocation.json) printJson(result);
    else process.stdout.write(text(result as Status));
    return 0;
  },
};
