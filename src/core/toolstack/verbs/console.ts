// SPDX-License-Identifier: Apache-2.0
//
// xl console (tools/xl/xl_console.c): xl finds the domain and becomes xenconsole.

import { errnoNumber } from "../../engine/errno.ts";
import { stderr } from "../../daemons/process.ts";
import { closeContext } from "../libxl-ctx.ts";
import { findNamed } from "../name.ts";
import { primaryConsole } from "../primary-console.ts";
import { verb } from "../verb.ts";
import * as say from "../xl/messages.ts";
import { xenconsole } from "../xenconsole.ts";
import { sameDomain } from "../same.ts";

export const consoleVerb = verb(
  "console",
  ({ process, command }) => ({
    process,
    command,
    status: 0,
    domid: -1,
    type: command.type,
  }),
  ({ call, when, attempt, step, failWith }) => [
    findNamed(call),
    when("the primary one", (l) => l.type === null, [
      attempt([
        call("libxl_primary_console_exec", primaryConsole, sameDomain, (l, type) => void (l.type = type)),
      ]).onError(() => {}, [
        step("say so", (host, l) => stderr(host, l.process, say.cannotAttachConsole)),
        failWith("no console", "EINVAL"),
      ]),
    ]),
    step("execl", (host, l) => closeContext(host, l.process)),
    attempt([
      call("xenconsole", xenconsole, ({ process, domid, type, command }) => ({
        process,
        domid,
        type,
        number: command.number,
      })),
    ]).onError((l, errno) => void (l.status = errnoNumber(errno)), []),
  ],
);
