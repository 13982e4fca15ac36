// SPDX-License-Identifier: Apache-2.0
//
// xl vcpu-list (tools/xl/xl_vcpu.c).

import { formatBitmap, left, right, secondsOf } from "./printf.ts";

/** One vCPU (libxl_vcpuinfo). */
export interface VcpuRow {
  vcpuid: number;
  /** The CPU it runs on, or ran on last. */
  cpu: number;
  online: boolean;
  running: boolean;
  blocked: boolean;
  vcpuTimeNs: number;
  hardAffinity: readonly number[];
  softAffinity: readonly number[];
}

/** The line above the table; xl prints it before it looks for domains. */
export function formatVcpuListHeader(): string {
  const columns = [right("ID", 5), right("VCPU", 5), right("CPU", 5), right("State", 5), right("Time(s)", 9)];
  return `${left("Name", 32)} ${columns.join(" ")} Affinity (Hard / Soft)\n`;
}

/** A domain's vCPUs. `cpus` is how many CPUs the host can have. */
export function formatVcpuRows(
  domain: { name: string | null; domid: number },
  vcpus: readonly VcpuRow[],
  cpus: number,
): string {
  const lines = vcpus.map((vcpu) => {
    const state = vcpu.online
      ? `${right(vcpu.cpu, 5)} ${right(vcpu.running ? "r" : "-", 3)}${vcpu.blocked ? "b" : "-"}- `
      : `${right("-", 5)} ${right("-", 3)}-p `;
    const affinity = `${formatBitmap(vcpu.hardAffinity, cpus)} / ${formatBitmap(vcpu.softAffinity, cpus)}`;
    const who = `${left(domain.name, 32)} ${right(domain.domid, 5)} ${right(vcpu.vcpuid, 5)}`;
    return `${who}${state}${right(secondsOf(vcpu.vcpuTimeNs), 9)}  ${affinity}\n`;
  });
  return lines.join("");
}
