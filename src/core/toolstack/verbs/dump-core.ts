// SPDX-License-Identifier: Apache-2.0
//
// xl dump-core (tools/xl/xl_vmcontrol.c).

import type { Errno } from "../../engine/errno.ts";
import { stderr } from "../../daemons/process.ts";
import { domainCoreDump } from "../core-dump.ts";
import { findNamed } from "../name.ts";
import { rcOf } from "../rc.ts";
import { verb } from "../verb.ts";
import * as say from "../xl/messages.ts";

export const dumpCoreVerb = verb(
  "dump-core",
  ({ process, command }) => ({ process, command, status: 0, domid: -1, errno: "EIO" as Errno }),
  ({ call, attempt, step, failWith }) => [
    findNamed(call),
    attempt([
      call("libxl_domain_core_dump", domainCoreDump, ({ process, domid, command }) => ({
        process,
        domid,
        file: command.file,
      })),
    ]).onError(
      (l, errno) => void (l.errno = errno),
      [
        step("say so", (host, l) => stderr(host, l.process, say.coreDumpFailed(rcOf(l.errno)))),
        failWith("no core", (l) => l.errno),
      ],
    ),
  ],
);
