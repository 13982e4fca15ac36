// SPDX-License-Identifier: Apache-2.0
//
// xl.conf's CPU masks applied to a domain's hard affinity
// (tools/xl/xl_vcpu.c, apply_global_affinity_masks; xl_vmcontrol.c).

import { allocCpuBitmap, type HostCpus } from "./cpu-range.ts";
import type { DomainConfig } from "./domain-config.ts";
import type { XlConf } from "./xl-conf.ts";

/** The CPUs that xl.conf leaves to a type of domain; null for all. */
function allowedCpus(conf: XlConf, type: DomainConfig["c_info"]["type"]): number[] | null {
  const typeMask = type === "pv" ? conf.pvCpumask : conf.hvmCpumask;
  if (conf.vmCpumask === null || typeMask === null) return conf.vmCpumask ?? typeMask;
  return conf.vmCpumask.filter((cpu) => typeMask.includes(cpu));
}

/** One vCPU's hard affinity within xl.conf's masks. */
export function maskAffinity(
  conf: XlConf,
  type: DomainConfig["c_info"]["type"],
  cpus: readonly number[],
): number[] {
  const allowed = allowedCpus(conf, type);
  return cpus.filter((cpu) => allowed === null || allowed.includes(cpu));
}

/** What xl says when a mask leaves a vCPU no CPU; it exits with 1 then. */
export const emptyAffinityMessage = "vcpu hard affinity map is empty\n";

/**
 * Restricts every vCPU's hard affinity to what xl.conf allows, making
 * affinities first where there are none; false when one would be empty.
 */
export function applyGlobalAffinityMasks(config: DomainConfig, conf: XlConf, host: HostCpus): boolean {
  const { b_info, c_info } = config;
  const { size } = allocCpuBitmap(host);
  const allowed = allowedCpus(conf, c_info.type);
  const restricts = allowed !== null && allowed.length < size;
  if (b_info.vcpu_hard_affinity.length === 0 && restricts) {
    const all = Array.from({ length: size }, (_, cpu) => cpu);
    b_info.vcpu_hard_affinity = Array.from({ length: b_info.max_vcpus }, () => all);
  }
  b_info.vcpu_hard_affinity = b_info.vcpu_hard_affinity.map((cpus) => maskAffinity(conf, c_info.type, cpus));
  return b_info.vcpu_hard_affinity.every((cpus) => cpus.length > 0);
}
