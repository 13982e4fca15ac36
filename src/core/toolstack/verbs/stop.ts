// SPDX-License-Identifier: Apache-2.0
//
// shutdown and reboot: a request to the guest, and waiting for what follows
// (tools/xl/xl_vmcontrol.c, main_shutdown_or_reboot).

import type { Errno } from "../../engine/errno.ts";
import { routine } from "../../engine/routine.ts";
import { stderr } from "../../daemons/process.ts";
import { watchDeaths } from "../domain-death.ts";
import { listDomains } from "../dominfo.ts";
import { findDomain } from "../name.ts";
import { domainStop } from "../pv-control.ts";
import { ERROR_NOPARAVIRT, rcOf } from "../rc.ts";
import { sendTrigger } from "../trigger.ts";
import { verb } from "../verb.ts";
import type { VerbArgs, VerbLocals } from "../verb.ts";
import { waitForDeaths } from "../wait-deaths.ts";
import type { ShutdownCommand } from "../xl/command.ts";
import * as say from "../xl/messages.ts";
import type { Node, Vocabulary } from "../../engine/routine.ts";
import type { Watch } from "../xs.ts";
import { sameProcess } from "../same.ts";

type StopVerb = "shutdown" | "reboot";

const REQUESTS = { shutdown: "poweroff", reboot: "reboot" } as const;
const BUTTONS = { shutdown: "power", reboot: "reset" } as const;

/** Stops one domain; without PV drivers it may be an ACPI event. Fails, and says so. */
const stopOne = routine(
  "xl shutdown_domain",
  (a: { process: string; domid: number; how: StopVerb; fallbackTrigger: boolean }) => ({
    ...a,
    errno: "EIO" as Errno,
  }),
  ({ step, attempt, call, when, failWith }) => [
    step("say so", (host, l) => stderr(host, l.process, say.stopping(l.how, l.domid))),
    attempt([
      attempt([
        call("libxl_domain_shutdown", domainStop, ({ process, domid, how }) => ({
          process,
          domid,
          request: REQUESTS[how],
        })),
      ]).onError(
        (l, errno) => void (l.errno = errno),
        [
          when("another failure", (l) => l.errno !== ERROR_NOPARAVIRT, [
            failWith("not asked", (l) => l.errno),
          ]),
          step("no PV control", (host, l) =>
            stderr(host, l.process, say.noParavirt(l.how, l.fallbackTrigger)),
          ),
          when("not by a button either", (l) => !l.fallbackTrigger, [failWith("no way", ERROR_NOPARAVIRT)]),
          step("libxl_send_trigger", (host, l) => sendTrigger(host, l.process, l.domid, BUTTONS[l.how], 0)),
        ],
      ),
    ]).onError(
      (l, errno) => void (l.errno = errno),
      [
        step("complain", (host, l) => stderr(host, l.process, say.stopFailed(l.how, rcOf(l.errno)))),
        failWith("not stopped", (l) => l.errno),
      ],
    ),
  ],
);

interface StopLocals extends VerbLocals {
  how: StopVerb;
  command: ShutdownCommand;
  domids: number[];
  domid: number;
  watch: Watch | null;
  errno: Errno;
}

const locals =
  <V extends StopVerb>(how: V) =>
  ({ process, command }: VerbArgs<V>): StopLocals => ({
    process,
    how,
    command,
    status: 0,
    domids: [],
    domid: -1,
    watch: null,
    errno: "EIO",
  });

const body = ({ attempt, when, call, each, step, failWith }: Vocabulary<StopLocals>): Node<StopLocals>[] => [
  when(
    "all",
    (l) => l.command.all,
    [
      call("libxl_list_domain", listDomains, sameProcess, (l, domains) => {
        l.domids = domains.map(({ domid }) => domid).filter((domid) => domid !== 0);
      }),
    ],
    [
      call(
        "find_domain",
        findDomain,
        ({ process, command }) => ({ process, domain: command.domain as string }),
        (l, found) => {
          l.domids = [found.domid];
        },
      ),
    ],
  ),
  each(
    "domain",
    (l) => l.domids,
    (l, domid) => void (l.domid = domid),
    [
      call("stop", stopOne, ({ process, domid, how, command }) => ({
        process,
        domid,
        how,
        fallbackTrigger: command.fallbackTrigger,
      })),
      when("the first to wait for", (l) => l.command.wait > 0 && l.watch === null, [
        attempt([
          call("watch deaths", watchDeaths, sameProcess, (l, watch) => void (l.watch = watch)),
        ]).onError(
          (l, errno) => void (l.errno = errno),
          [
            step("cannot wait", (host, l) => stderr(host, l.process, say.waitForDeathFailed(rcOf(l.errno)))),
            failWith("not watched", (l) => l.errno),
          ],
        ),
      ]),
    ],
  ),
  when("wait", (l) => l.watch !== null, [
    call("wait for them", waitForDeaths, ({ process, watch, domids, command }) => ({
      process,
      watch: watch as Watch,
      domids,
      untilShutdown: command.wait === 1,
    })),
  ]),
];

export const shutdownVerb = verb("shutdown", locals("shutdown"), body);
export const rebootVerb = verb("reboot", locals("reboot"), body);
