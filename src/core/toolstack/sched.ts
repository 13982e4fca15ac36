// SPDX-License-Identifier: Apache-2.0
//
// Scheduling parameters of domains and pools (tools/libs/light/libxl_sched.c).
// Each scheduler has its own; Xen refuses those of another than the one at work.

import { fail, isFailure, present } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { schedulerParams, setSchedulerParams } from "../hypervisor/cpupool.ts";
import { getSchedulerParams, putSchedulerParams } from "../hypervisor/domain-settings.ts";
import { getdomaininfo } from "../hypervisor/domctl.ts";
import { getdomaininfolist } from "../hypervisor/sysctl.ts";
import { cpupoolInfoNamed } from "./cpupool.ts";
import { domainInfo } from "./dominfo.ts";
import { dom0 } from "./libxl-ctx.ts";
import { libxlError, reported } from "./log.ts";
import { SCHEDULERS } from "./physinfo.ts";
import { ERROR_INVAL } from "./rc.ts";
import { sameDomain } from "./same.ts";

/** The schedulers xl has verbs for, with their XEN_SCHEDULER_* numbers. */
export const SCHED_IDS = { credit: 5, credit2: 6, rtds: 8 } as const;
export type SchedName = keyof typeof SCHED_IDS;

/** A domain's share of the processors, by a scheduler of weights and caps. */
export type SchedShare = { sched: string; weight: number; cap: number };

/** The name of the scheduler of a domain's pool (libxl__domain_scheduler), or null, said so, where it has none. */
const domainScheduler = routine(
  "libxl__domain_scheduler",
  (a: { process: string; domid: number }) => ({ ...a, poolid: -1, sched: null as string | null }),
  ({ step, when, call }) => [
    step("libxl__domain_cpupool", (host, l) => {
      const infos = getdomaininfolist(host, dom0(l.process), { firstDomain: l.domid, maxDomains: 1 });
      const info = isFailure(infos) ? undefined : infos[0];
      const where = `libxl_dom.c:${info === undefined ? 76 : 81}:libxl__domain_cpupool`;
      if (info?.domid === l.domid) l.poolid = info.cpupool;
      else {
        const text =
          info === undefined
            ? "getinfolist failed 0"
            : `got info for dom${info.domid}, wanted dom${l.domid}\n`;
        reported(host, l.process, where, text, isFailure(infos) ? infos : fail("ENOENT"));
      }
    }),
    when("in a pool", (l) => l.poolid >= 0, [
      call(
        "libxl_cpupool_info",
        cpupoolInfoNamed,
        ({ process, poolid }) => ({ process, poolid }),
        (l, pool) => {
          l.sched = SCHEDULERS[pool.schedId] ?? null;
        },
      ),
    ]),
  ],
  (l) => l.sched,
);

/** A domain's share. Fails, and says so, where there is none to be had (libxl_domain_sched_params_get). */
export const domainSchedParams = routine(
  "libxl_domain_sched_params_get",
  (a: { process: string; domid: number }) => ({ ...a, sched: null as string | null, weight: 0, cap: 0 }),
  ({ call, step }) => [
    call("libxl__domain_scheduler", domainScheduler, sameDomain, (l, sched) => {
      l.sched = sched;
    }),
    step("scheduler_op", (host, l) => {
      const { process, domid, sched } = l;
      if (sched === null) {
        libxlError(
          host,
          process,
          "libxl_sched.c:905:libxl_domain_sched_params_get",
          "Unknown scheduler",
          domid,
        );
        return fail(ERROR_INVAL);
      }
      const params = getSchedulerParams(host, dom0(process), { domid });
      if (isFailure(params)) {
        return reported(
          host,
          process,
          "libxl_sched.c:410:sched_credit2_domain_get",
          "Getting domain sched credit2",
          params,
          domid,
        );
      }
      Object.assign(l, params);
      return;
    }),
  ],
  (l): SchedShare => ({ sched: present(l.sched), weight: l.weight, cap: l.cap }),
);

/** Where libxl 4.17 says what, by scheduler. */
const SET_LINES = {
  credit: { get: 232, weight: 238, cap: 248, set: 258 },
  credit2: { get: 439, weight: 445, cap: 455, set: 465 },
} as const;

/** Changes a domain's weight and cap, those that are not null (sched_credit_domain_set, sched_credit2_domain_set). */
export function setDomainSchedParams(
  host: Host,
  process: string,
  {
    domid,
    sched,
    weight,
    cap,
  }: { domid: number; sched: "credit" | "credit2"; weight: number | null; cap: number | null },
): void | Failure {
  const where = (what: keyof typeof SET_LINES.credit): string =>
    `libxl_sched.c:${SET_LINES[sched][what]}:sched_${sched}_domain_set`;
  const caller = dom0(process);
  const schedId = SCHED_IDS[sched];
  const info = domainInfo(host, process, domid);
  if (isFailure(info)) return fail(ERROR_INVAL);
  const now = getSchedulerParams(host, caller, { domid, schedId });
  if (isFailure(now))
    return reported(host, process, where("get"), `Getting domain sched ${sched}`, now, domid);
  if (weight !== null && (weight < 1 || weight > 65535)) {
    const text = "Cpu weight out of range, valid values are within range from 1 to 65535";
    libxlError(host, process, where("weight"), text, domid);
    return fail(ERROR_INVAL);
  }
  const capMax = (info.maxVcpuId + 1) * 100;
  if (cap !== null && (cap < 0 || cap > capMax)) {
    const text = `Cpu cap out of range, valid range is from 0 to ${capMax} for specified number of vcpus`;
    libxlError(host, process, where("cap"), text, domid);
    return fail(ERROR_INVAL);
  }
  const set = putSchedulerParams(host, caller, {
    domid,
    schedId,
    weight: weight ?? now.weight,
    cap: cap ?? now.cap,
  });
  return isFailure(set)
    ? reported(host, process, where("set"), `Setting domain sched ${sched}`, set, domid)
    : undefined;
}

/**
 * A pool's rate limit; fails, and says so, where another scheduler is at work
 * (libxl_sched_credit2_params_get and its like).
 */
export function poolSchedParams(
  host: Host,
  process: string,
  cpupoolId: number,
  sched: "credit" | "credit2",
): { ratelimitUs: number } | Failure {
  const params = schedulerParams(host, dom0(process), { cpupoolId, schedId: SCHED_IDS[sched] });
  if (!isFailure(params)) return params;
  const [line, name] = sched === "credit" ? [287, "Credit"] : [362, "Credit2"];
  const where = `libxl_sched.c:${line}:libxl_sched_${sched}_params_get`;
  return reported(host, process, where, `getting ${name} scheduler parameters`, params);
}

/** Microseconds a rate limit can be, beside 0 (XEN_SYSCTL_SCHED_RATELIMIT_*). */
const RATELIMIT = { min: 100, max: 500_000 } as const;

/** Sets a pool's rate limit in microseconds (libxl_sched_credit2_params_set). */
export function setPoolRatelimit(
  host: Host,
  process: string,
  cpupoolId: number,
  ratelimitUs: number,
): void | Failure {
  if (ratelimitUs !== 0 && (ratelimitUs < RATELIMIT.min || ratelimitUs > RATELIMIT.max)) {
    const text = `Ratelimit out of range, valid range is from ${RATELIMIT.min} to ${RATELIMIT.max}`;
    libxlError(host, process, "libxl_sched.c:270:sched_ratelimit_check", text);
    return fail(ERROR_INVAL);
  }
  const set = setSchedulerParams(host, dom0(process), { cpupoolId, ratelimitUs });
  if (!isFailure(set)) return;
  const where = "libxl_sched.c:389:libxl_sched_credit2_params_set";
  return reported(host, process, where, "Setting Credit2 scheduler parameters", set);
}

/** Per-vCPU parameters, which only RTDS has. Fails, and says so, where RTDS is not at work. */
export const vcpuSchedParams = routine(
  "libxl_vcpu_sched_params_get",
  (a: { process: string; domid: number; all: boolean }) => ({ ...a, sched: null as string | null }),
  ({ call, step }) => [
    call("libxl__domain_scheduler", domainScheduler, sameDomain, (l, sched) => {
      l.sched = sched;
    }),
    step("per-vCPU parameters", (host, { process, domid, all, sched }) => {
      const [supported, unknown] = all ? [964, 971] : [931, 938];
      const where = (line: number): string =>
        `libxl_sched.c:${line}:libxl_vcpu_sched_params_get${all ? "_all" : ""}`;
      if (sched === null) libxlError(host, process, where(unknown), "Unknown scheduler", domid);
      else {
        const text = "per-VCPU parameter getting not supported for this scheduler";
        libxlError(host, process, where(supported), text, domid);
      }
      return fail(ERROR_INVAL);
    }),
  ],
);

/** What RTDS is to give a vCPU, in microseconds. */
export type RtdsParams = { vcpuid: number; period: number; budget: number };

function validateRtds(host: Host, process: string, { period, budget }: RtdsParams): boolean {
  const wrong: [number, string] | null =
    period < 1
      ? [477, `Invalid VCPU period of ${period} (it should be >= 1)`]
      : budget < 1
        ? [483, `Invalid VCPU budget of ${budget} (it should be >= 1)`]
        : budget > period
          ? [489, `VCPU budget must be smaller than or equal to period, but ${budget} > ${period}`]
          : null;
  if (wrong !== null)
    libxlError(host, process, `libxl_sched.c:${wrong[0]}:sched_rtds_validate_params`, wrong[1]);
  return wrong === null;
}

/**
 * Sets vCPUs' periods and budgets; with `all`, those of the first for all of them. Xen refuses it where
 * RTDS is not at work.
 */
export function setVcpuSchedParams(
  host: Host,
  process: string,
  domid: number,
  params: readonly RtdsParams[],
  all: boolean,
): void | Failure {
  const where = (line: number): string => `libxl_sched.c:${line}:sched_rtds_vcpu_set${all ? "_all" : ""}`;
  const info = getdomaininfo(host, dom0(process), domid);
  if (isFailure(info))
    return reported(host, process, where(all ? 675 : 614), "Getting domain info", info, domid);
  for (const vcpu of params) {
    if (!all && (vcpu.vcpuid < 0 || vcpu.vcpuid > info.maxVcpuId)) {
      const text = `Invalid VCPU ${vcpu.vcpuid}: valid range is [0, ${info.maxVcpuId}]`;
      libxlError(host, process, where(627), text, domid);
      return fail(ERROR_INVAL);
    }
    if (!validateRtds(host, process, vcpu)) return fail(ERROR_INVAL);
  }
  const set = getSchedulerParams(host, dom0(process), { domid, schedId: SCHED_IDS.rtds });
  return isFailure(set)
    ? reported(host, process, where(all ? 705 : 653), "Setting vcpu sched rtds", set, domid)
    : undefined;
}
