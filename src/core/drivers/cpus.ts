// SPDX-License-Identifier: Apache-2.0
//
// How many processors a kernel runs on: what drivers make their queues for.

import { must } from "../engine/cells.ts";
import type { Cells } from "../engine/cells.ts";
import { domainCell } from "../hypervisor/domain.ts";
import { domainVcpu, VPF_down } from "../hypervisor/vcpu.ts";

/** num_online_cpus of a domain's kernel. */
export function onlineCpus(cells: Cells, domid: number): number {
  let online = 0;
  for (let cpu = 0; cpu < must(cells, domainCell, domid).nrVcpus; cpu++) {
    if (((domainVcpu(cells, domid, cpu)?.pauseFlags ?? VPF_down) & VPF_down) === 0) online++;
  }
  return online;
}
