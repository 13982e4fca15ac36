// SPDX-License-Identifier: Apache-2.0
//
// sched-rtds (tools/xl/xl_sched.c, main_sched_rtds). No pool is scheduled by
// RTDS: what is left of the verb is how it fails.

import { fail, isFailure } from "../../engine/errno.ts";
import { stderr, stdout } from "../../daemons/process.ts";
import { listCpupools } from "../cpupool.ts";
import { listDomains } from "../dominfo.ts";
import { findDomain } from "../name.ts";
import { ERROR_FAIL } from "../rc.ts";
import { sameProcess } from "../same.ts";
import { setVcpuSchedParams, vcpuSchedParams } from "../sched.ts";
import { verb } from "../verb.ts";
import * as format from "../xl/format/cpupools.ts";
import * as say from "../xl/messages.ts";
import { poolNamed } from "./pool-named.ts";
import { shareOf } from "./sched.ts";

export const schedRtdsVerb = verb(
  "sched-rtds",
  ({ process, command }) => {
    const { vcpus, periods, budgets } = command;
    const all = vcpus === "all";
    const params = periods.map((period, index) => ({
      vcpuid: all ? 0 : (vcpus[index] ?? -1),
      period,
      budget: budgets[index] ?? 0,
    }));
    return { process, command, status: 0, domid: -1, all, perVcpu: all || vcpus.length > 0, params };
  },
  ({ when, call, step, attempt, failWith }) => [
    when(
      "of a domain",
      (l) => l.command.domain !== null,
      [
        call(
          "find_domain",
          findDomain,
          ({ process, command }) => ({ process, domain: command.domain as string }),
          (l, { domid }) => {
            l.domid = domid;
          },
        ),
        when("its default", (l) => !l.perVcpu, [
          step("header", (host, l) => stdout(host, l.process, format.formatRtdsHeader(false))),
          call("sched_domain_get", shareOf, ({ process, domid }) => ({
            process,
            domid,
            sched: "rtds" as const,
          })),
        ]),
        when("its vCPUs'", (l) => l.perVcpu && l.params.length === 0, [
          step("header of vCPUs", (host, l) => stdout(host, l.process, format.formatRtdsHeader(true))),
          attempt([
            call("libxl_vcpu_sched_params_get", vcpuSchedParams, ({ process, domid, all }) => ({
              process,
              domid,
              all,
            })),
          ]).onError(() => {}, [
            step("complain", (host, { process, all }) => {
              stderr(host, process, say.libxlCallFailed(`libxl_vcpu_sched_params_get${all ? "_all" : ""}`));
            }),
            failWith("no parameters", ERROR_FAIL),
          ]),
        ]),
        when("change", (l) => l.params.length > 0, [
          step("libxl_vcpu_sched_params_set", (host, { process, domid, params, all }) => {
            const set = setVcpuSchedParams(host, process, domid, all ? params.slice(0, 1) : params, all);
            if (!isFailure(set)) return undefined;
            stderr(host, process, say.libxlCallFailed(`libxl_vcpu_sched_params_set${all ? "_all" : ""}`));
            return fail(ERROR_FAIL);
          }),
        ]),
      ],
      [
        when("of a pool", (l) => l.command.cpupool !== null, [
          call("pool", poolNamed, ({ process, command }) => ({ process, pool: command.cpupool as string })),
        ]),
        // None of them is scheduled by RTDS.
        call("libxl_list_domain", listDomains, sameProcess),
        call("libxl_list_cpupool", listCpupools, sameProcess),
      ],
    ),
  ],
);
