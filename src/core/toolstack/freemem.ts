// SPDX-License-Identifier: Apache-2.0
//
// Making room for a new domain by shrinking dom0, where xl is to do that
// (tools/xl/xl_vmcontrol.c, freemem; tools/libs/light/libxl_mem.c).

import { fail, isFailure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { machineOf } from "../hypervisor/machine.ts";
import { physinfo } from "../hypervisor/sysctl.ts";
import { setDefaults } from "./config-setdefault.ts";
import { settledConfig } from "./create-state.ts";
import { domainInfo } from "./dominfo.ts";
import { dom0 } from "./libxl-ctx.ts";
import { setMemoryTarget } from "./mem.ts";
import { ERROR_FAIL } from "./rc.ts";
import { memoryTarget } from "./retrieve-config.ts";
import { sameProcess } from "./same.ts";
import { xlConf } from "./xl-config.ts";
import type { DomainConfig } from "./xlcfg/domain-config.ts";

const KIB_PER_PAGE = 4;
/** What Xen needs for a domain beside its memory, in KiB (LIBXL_PV_EXTRA_MEMORY, LIBXL_HVM_EXTRA_MEMORY). */
const EXTRA_KIB = { pv: 1024, hvm: 2048 } as const;
const GRANULE_KIB = 2048;

/** Microseconds xl spends on freeing memory, dom0 may stand still for, and lies between two looks at it. */
const CREDIT = 30_000_000;
const STANDSTILL = 10_000_000;
const LOOK = 2_000_000;

/** dom0 was given a fixed amount of memory on Xen's command line. */
const DOM0_MEM = /(^| )dom0_mem=((|min:|max:)(-?[0-9]+[bkmgt]?|(-?[0-9]+[bkmgt]?\+)?[0-9]{1,2}%),?)+($| )/i;

/** Whether xl frees memory for domains: as xl.conf says, or unless dom0's amount is fixed. */
export function autoballoon(host: Host): boolean {
  const setting = xlConf(host).autoballoon;
  return setting === "auto" ? !DOM0_MEM.test(machineOf(host).commandLine) : setting;
}

/** Memory a domain needs in KiB, in steps of 2 MiB (libxl__domain_need_memory_calculate). */
export function needMemory({ b_info: b, c_info: c }: DomainConfig): number {
  const extra = c.type === "pv" ? EXTRA_KIB.pv : EXTRA_KIB.hvm;
  const need = (b.target_memkb ?? 0) + (b.shadow_memkb ?? 0) + (b.iommu_memkb ?? 0) + extra;
  return Math.ceil(need / GRANULE_KIB) * GRANULE_KIB;
}

/** Waits until dom0 has shrunk to its target, for as long as it makes progress. */
const waitForDom0 = routine(
  "libxl_wait_for_memory_target",
  (a: { process: string }) => ({
    ...a,
    targetKb: 0,
    currentKb: 0,
    previousKb: Number.POSITIVE_INFINITY,
    wait: STANDSTILL,
  }),
  ({ call, repeatUntil, sleep, step, when, failWith }) => [
    call(
      "target",
      memoryTarget,
      ({ process }) => ({ process, domid: 0 }),
      (l, { targetMemkb }) => void (l.targetKb = targetMemkb),
    ),
    repeatUntil("reached or stuck", (l) => l.wait <= 0 || l.currentKb <= l.targetKb, [
      sleep("sleep(2)", () => LOOK),
      step("libxl_domain_info", (host, l) => {
        const info = domainInfo(host, l.process, 0);
        if (isFailure(info)) return info;
        l.currentKb = (info.totPages + info.outstandingPages) * KIB_PER_PAGE;
        if (l.currentKb > l.previousKb) return fail(ERROR_FAIL);
        if (l.currentKb === l.previousKb) l.wait -= LOOK;
        l.previousKb = l.currentKb;
        return;
      }),
    ]),
    when("not reached", (l) => l.currentKb > l.targetKb, [failWith("stuck", ERROR_FAIL)]),
  ],
);

/** Frees memory for the domain of the process's create state. Fails where that cannot be. */
export const freemem = routine(
  "freemem",
  (a: { process: string }) => ({ ...a, needKb: 0, freeKb: 0, credit: CREDIT, start: 0 }),
  ({ call, step, repeatUntil, when, failWith }) => [
    call("libxl_domain_need_memory", setDefaults, sameProcess),
    step("need", (host, l) => void (l.needKb = needMemory(settledConfig(host, l.process)))),
    repeatUntil("enough", (l) => l.freeKb >= l.needKb, [
      step("libxl_get_free_memory", (host, l) => {
        const info = physinfo(host, dom0(l.process));
        if (isFailure(info)) return info;
        l.freeKb = info.freePages * KIB_PER_PAGE;
        l.start = host.now;
        return;
      }),
      when("not enough", (l) => l.freeKb < l.needKb, [
        when("tried long enough", (l) => l.credit <= 0, [failWith("gives up", "ENOMEM")]),
        call("libxl_set_memory_target", setMemoryTarget, ({ process, freeKb, needKb }) => ({
          process,
          domid: 0,
          memkb: freeKb - needKb,
          relative: true,
          enforce: false,
        })),
        call("libxl_wait_for_memory_target", waitForDom0, sameProcess),
        step("time", (host, l) => void (l.credit -= host.now - l.start)),
      ]),
    ]),
  ],
);
