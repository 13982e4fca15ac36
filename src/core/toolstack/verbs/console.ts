// SPDX-License-Identifier: Apache-2.0
//
// xl console (tools/xl/xl_console.c): xl finds the domain and becomes xenconsole.

import { routine } from "../../engine/routine.ts";
import { stderr } from "../../daemons/process.ts";
import { domainType, stubdomId } from "../dominfo.ts";
import { closeContext } from "../libxl-ctx.ts";
import { findDomain } from "../name.ts";
import { errnoNumber } from "../strerror.ts";
import { verb } from "../verb.ts";
import * as say from "../xl/messages.ts";
import { xenconsole } from "../xenconsole.ts";
import type { ConsoleType } from "../xenconsole.ts";
import { sameDomain } from "../same.ts";

/** Which console of which domain is the one a user means (libxl__primary_console_find). */
const primaryConsole = routine(
  "libxl__primary_console_find",
  (a: { process: string; domid: number }) => ({ ...a, stubdom: 0, type: "pv" as ConsoleType }),
  ({ call, when }) => [
    call("libxl_get_stubdom_id", stubdomId, sameDomain, (l, stubdom) => void (l.stubdom = stubdom)),
    when("no stub domain", (l) => l.stubdom === 0, [
      call("libxl__domain_type", domainType, sameDomain, (l, type) => {
        l.type = type === "hvm" ? "serial" : "pv";
      }),
    ]),
  ],
  (l) => l.type,
);

export const consoleVerb = verb(
  "console",
  ({ process, command }) => ({
    process,
    command,
    status: 0,
    domid: -1,
    type: command.type as ConsoleType | null,
  }),
  ({ call, when, attempt, step, failWith }) => [
    call(
      "find_domain",
      findDomain,
      ({ process, command }) => ({ process, domain: command.domain }),
      (l, { domid }) => {
        l.domid = domid;
      },
    ),
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
