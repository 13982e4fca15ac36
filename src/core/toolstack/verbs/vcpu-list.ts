// SPDX-License-Identifier: Apache-2.0
//
// vcpu-list (tools/xl/xl_vcpu.c). A domain that cannot be listed is passed over.

import { isFailure, present } from "../../engine/errno.ts";
import { routine } from "../../engine/routine.ts";
import { stdout } from "../../daemons/process.ts";
import { listDomains } from "../dominfo.ts";
import { domidToName, eachNamed } from "../name.ts";
import { getPhysinfo } from "../physinfo.ts";
import { listVcpus } from "../vcpu.ts";
import type { VcpuInfo } from "../vcpu.ts";
import { verb } from "../verb.ts";
import { formatVcpuListHeader, formatVcpuRows } from "../xl/format/vcpu-list.ts";
import { sameDomain, sameProcess } from "../same.ts";

/** A domain's vCPUs, a line each. */
const printVcpus = routine(
  "print_domain_vcpuinfo",
  (a: { process: string; domid: number; cpus: number }) => ({
    ...a,
    vcpus: [] as VcpuInfo[],
    vcpu: null as VcpuInfo | null,
    name: null as string | null,
  }),
  ({ attempt, call, each, step }) => [
    attempt([
      call("libxl_list_vcpu", listVcpus, sameDomain, (l, vcpus) => void (l.vcpus = vcpus)),
    ]).onError(() => {}, []),
    each(
      "vcpu",
      (l) => l.vcpus,
      (l, vcpu) => void (l.vcpu = vcpu),
      [
        call("libxl_domid_to_name", domidToName, sameDomain, (l, name) => void (l.name = name)),
        step("print_vcpuinfo", (host, { process, domid, name, vcpu, cpus }) => {
          stdout(host, process, formatVcpuRows({ name, domid }, [present(vcpu)], cpus));
        }),
      ],
    ),
  ],
);

export const vcpuListVerb = verb(
  "vcpu-list",
  ({ process, command }) => ({
    process,
    command,
    status: 0,
    cpus: 0,
    domids: [] as number[],
    domid: -1,
    domain: "",
  }),
  (words) => [
    words.step("libxl_get_physinfo", (host, l) => {
      const info = getPhysinfo(host, l.process);
      if (isFailure(info)) return info;
      l.cpus = info.maxCpuId + 1;
      return stdout(host, l.process, formatVcpuListHeader());
    }),
    words.when(
      "all",
      (l) => l.command.domains.length === 0,
      [
        words.call("libxl_list_domain", listDomains, sameProcess, (l, domains) => {
          l.domids = domains.map(({ domid }) => domid);
        }),
        words.each(
          "domain",
          (l) => l.domids,
          (l, domid) => void (l.domid = domid),
          [words.call("print", printVcpus, ({ process, domid, cpus }) => ({ process, domid, cpus }))],
        ),
      ],
      [
        eachNamed(
          words,
          words.call("print it", printVcpus, ({ process, domid, cpus }) => ({ process, domid, cpus })),
        ),
      ],
    ),
  ],
);
