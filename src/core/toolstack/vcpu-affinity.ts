// SPDX-License-Identifier: Apache-2.0
//
// Which processors vCPUs run on (tools/libs/light/libxl_sched.c, libxl_set_vcpuaffinity).

import { fail, isFailure } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { setvcpuaffinity } from "../hypervisor/domain-settings.ts";
import { dom0 } from "./libxl-ctx.ts";
import { libxlWarning, reported } from "./log.ts";
import { ERROR_INVAL } from "./rc.ts";

/** Processors a vCPU must run on, and should: null leaves what it is. */
export type Affinities = { hard: number[] | null; soft: number[] | null };

/** Sets one vCPU's affinities. Fails, and mostly says so, where Xen refuses or there is nothing to set. */
export function setVcpuAffinity(
  host: Host,
  process: string,
  domid: number,
  vcpu: number,
  { hard, soft }: Affinities,
): void | Failure {
  if (hard === null && soft === null) return fail(ERROR_INVAL);
  const set = setvcpuaffinity(host, dom0(process), { domid, vcpu, hard, soft });
  const where = (line: number): string => `libxl_sched.c:${line}:libxl__set_vcpuaffinity`;
  if (isFailure(set)) return reported(host, process, where(62), "Setting vcpu affinity", set, domid);
  if (soft === null || set.soft === "all" || set.soft.length > 0) return;
  const text =
    `All cpus in soft affinity of vcpu ${vcpu} are unreachable.` +
    " Only hard affinity will be considered for scheduling";
  libxlWarning(host, process, where(84), text, domid);
}
