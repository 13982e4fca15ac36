// SPDX-License-Identifier: Apache-2.0
//
// uptime (tools/xl/xl_info.c, print_uptime): how long dom0's kernel runs, and
// since when each virtual machine was started.

import { present } from "../../engine/errno.ts";
import { routine } from "../../engine/routine.ts";
import { stdout } from "../../daemons/process.ts";
import { domidToName, findDomain } from "../name.ts";
import { verb } from "../verb.ts";
import { vmList, vmStartTime } from "../vm-list.ts";
import { timeOfDay, wallSeconds } from "../wall-clock.ts";
import { formatUptimeHeader, formatUptimeRow } from "../xl/format/uptime.ts";
import { sameDomain, sameProcess } from "../same.ts";

/** One domain's line; none, but a complaint, where nobody knows when it was started. */
const printUptime = routine(
  "print_domU_uptime",
  (a: { process: string; domid: number; now: number; short: boolean }) => ({
    ...a,
    started: null as number | null,
    name: null as string | null,
  }),
  ({ when, attempt, call, step }) => [
    when("a guest", (l) => l.domid !== 0, [
      attempt([
        call("libxl_vm_get_start_time", vmStartTime, sameDomain, (l, started) => {
          l.started = started;
        }),
      ]).onError(() => {}, []),
    ]),
    when("is known", (l) => l.domid === 0 || l.started !== null, [
      call("libxl_domid_to_name", domidToName, sameDomain, (l, name) => void (l.name = name)),
      step("print", (host, { process, domid, name, now, started, short }) => {
        const seconds = domid === 0 ? Math.floor(host.now / 1_000_000) : now - present(started);
        stdout(host, process, formatUptimeRow({ name, domid, seconds }, short ? timeOfDay(now) : null));
      }),
    ]),
  ],
);

export const uptimeVerb = verb(
  "uptime",
  ({ process, command }) => ({
    process,
    command,
    status: 0,
    now: 0,
    domids: [] as number[],
    domid: -1,
    domain: "",
  }),
  ({ each, call, step, when }) => [
    each(
      "named",
      (l) => l.command.domains,
      (l, domain) => void (l.domain = domain),
      [
        call(
          "find_domain",
          findDomain,
          ({ process, domain }) => ({ process, domain }),
          (l, { domid }) => {
            l.domids.push(domid);
          },
        ),
      ],
    ),
    step("time", (host, l) => {
      l.now = Math.floor(wallSeconds(host));
      if (!l.command.short) stdout(host, l.process, formatUptimeHeader());
    }),
    when("all", (l) => l.domids.length === 0, [
      call("print_dom0_uptime", printUptime, ({ process, now, command }) => ({
        process,
        domid: 0,
        now,
        short: command.short,
      })),
      call("libxl_list_vm", vmList, sameProcess, (l, vms) => {
        l.domids = vms.map(({ domid }) => domid).filter((domid) => domid !== 0);
      }),
    ]),
    each(
      "domain",
      (l) => l.domids,
      (l, domid) => void (l.domid = domid),
      [
        call("print", printUptime, ({ process, domid, now, command }) => ({
          process,
          domid,
          now,
          short: command.short,
        })),
      ],
    ),
  ],
);
