// SPDX-License-Identifier: Apache-2.0
//
// A domain's vCPUs as libxl lists them and switches them on and off
// (tools/libs/light/libxl_domain.c, libxl_list_vcpu, libxl_set_vcpuonline).

import { fail, isFailure } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { xsmOp } from "../hypervisor/absent.ts";
import { getvcpuaffinity } from "../hypervisor/domain-settings.ts";
import { getvcpuinfo } from "../hypervisor/domctl-vcpu.ts";
import { getdomaininfolist } from "../hypervisor/sysctl.ts";
import { domainInfo, domainType } from "./dominfo.ts";
import { dom0 } from "./libxl-ctx.ts";
import { reported } from "./log.ts";
import { maxCpus } from "./physinfo.ts";
import { ERROR_DOMAIN_NOTFOUND, ERROR_FAIL } from "./rc.ts";
import { transaction } from "./transaction.ts";
import { writeRequest, xsGetDomainPath, xsScript } from "./xs.ts";
import type { VcpuRow } from "./xl/format/vcpu-list.ts";
import { sameDomain } from "./same.ts";

/** A vCPU as xl shows it. */
export type VcpuInfo = { [K in keyof VcpuRow]: VcpuRow[K] };

const LIST_VCPU = "libxl_list_vcpu";

/** CPUs of an affinity. */
function cpusOf(affinity: "all" | readonly number[], cpus: number): number[] {
  return affinity === "all" ? Array.from({ length: cpus }, (_, cpu) => cpu) : [...affinity];
}

function oneVcpu(host: Host, process: string, domid: number, vcpu: number, cpus: number): VcpuInfo | Failure {
  const info = getvcpuinfo(host, dom0(process), { domid, vcpu });
  if (isFailure(info)) {
    return reported(host, process, `libxl_domain.c:1691:${LIST_VCPU}`, "Getting vcpu info", info, domid);
  }
  const affinity = getvcpuaffinity(host, dom0(process), { domid, vcpu });
  if (isFailure(affinity)) {
    return reported(
      host,
      process,
      `libxl_domain.c:1698:${LIST_VCPU}`,
      "Getting vcpu affinity",
      affinity,
      domid,
    );
  }
  const { cpuTime, ...states } = info;
  const { hard, soft } = affinity;
  return {
    ...states,
    vcpuid: vcpu,
    vcpuTimeNs: cpuTime,
    hardAffinity: cpusOf(hard, cpus),
    softAffinity: cpusOf(soft, cpus),
  };
}

/**
 * All vCPUs of a domain. Fails, and says so, where it cannot be asked about; a domain without any has none
 * to fail for.
 */
export const listVcpus = routine(
  LIST_VCPU,
  (a: { process: string; domid: number }) => ({
    ...a,
    ids: [] as number[],
    vcpu: -1,
    cpus: 0,
    vcpus: [] as VcpuInfo[],
  }),
  ({ step, each }) => [
    step("getdomaininfolist", (host, l) => {
      // Whichever domain comes first from that number on: its vCPUs are counted.
      const infos = getdomaininfolist(host, dom0(l.process), { firstDomain: l.domid, maxDomains: 1 });
      const info = isFailure(infos) ? undefined : infos[0];
      if (info === undefined) {
        // A short list sets no errno: the one before was of a name nobody has.
        const errno = isFailure(infos) ? infos : fail("ENOENT");
        return reported(
          host,
          l.process,
          `libxl_domain.c:1667:${LIST_VCPU}`,
          "Getting infolist",
          errno,
          l.domid,
        );
      }
      const cpus = maxCpus(host, l.process);
      if (isFailure(cpus)) return cpus;
      l.cpus = cpus;
      l.ids = Array.from({ length: info.maxVcpuId + 1 }, (_, vcpu) => vcpu);
      return;
    }),
    each(
      "vcpu",
      (l) => l.ids,
      (l, vcpu) => void (l.vcpu = vcpu),
      [
        step("getvcpuinfo", (host, l) => {
          const vcpu = oneVcpu(host, l.process, l.domid, l.vcpu, l.cpus);
          if (isFailure(vcpu)) return vcpu;
          l.vcpus.push(vcpu);
          return;
        }),
      ],
    ),
  ],
  (l) => l.vcpus,
);

const SET_ONLINE = "libxl_set_vcpuonline";

/** Tells a guest which of its vCPUs may run: the first `count`. The guest's kernel does the rest. */
export const setVcpuOnline = routine(
  SET_ONLINE,
  (a: { process: string; domid: number; count: number }) => ({ ...a, t: 0, max: 0, home: "" }),
  (words) => {
    const { step, call } = words;
    return [
      step("getdomaininfolist", (host, l) => {
        const { process, domid, count } = l;
        const info = domainInfo(host, process, domid);
        if (isFailure(info)) {
          const failure = reported(
            host,
            process,
            `libxl_domain.c:1856:${SET_ONLINE}`,
            "Getting domain info list",
            fail("ENOENT"),
            domid,
          );
          return info.errno === ERROR_DOMAIN_NOTFOUND ? info : failure;
        }
        l.max = info.maxVcpuId + 1;
        if (count > 0 && count <= l.max) return undefined;
        const [line, text] =
          count === 0
            ? [1863, "Requested 0 VCPUs!"]
            : [1869, `Requested ${count} VCPUs, however maxcpus is ${l.max}!`];
        // The errno is that of the last thing that failed: asking for the domain's security label.
        reported(host, process, `libxl_domain.c:${line}:${SET_ONLINE}`, text, xsmOp(), domid);
        return fail(ERROR_FAIL);
      }),
      call("libxl__domain_type", domainType, sameDomain),
      call("libxl__xs_get_dompath", xsGetDomainPath, sameDomain, (l, home) => {
        l.home = home;
      }),
      transaction(words, [
        call("availability", xsScript, ({ process, t, home, max, count }) => ({
          process,
          t,
          requests: Array.from({ length: max }, (_, vcpu) =>
            writeRequest(`${home}/cpu/${vcpu}/availability`, vcpu < count ? "online" : "offline"),
          ),
        })),
      ]),
    ];
  },
);
