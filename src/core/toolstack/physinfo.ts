// SPDX-License-Identifier: Apache-2.0
//
// What libxl tells of the machine and of Xen (tools/libs/light/libxl.c,
// libxl_get_physinfo, libxl_get_version_info, libxl_get_numainfo).

import { isFailure } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { capabilities, compileInfo, virtStart } from "../hypervisor/hypercall/xen-version.ts";
import { machineOf, versionOf } from "../hypervisor/machine.ts";
import * as sysctl from "../hypervisor/sysctl.ts";
import { dom0 } from "./libxl-ctx.ts";
import { reported } from "./log.ts";
import type { NumaInfo, PhysInfo, XenInfo } from "./xl/format/info.ts";

const PAGE_BYTES = 4096;
const MIB = 2 ** 20;

/** XEN_SYSCTL_PHYSCAP_* in the order and by the names xl prints. */
const VIRT_CAPS: readonly (readonly [number, string])[] = [
  [2, "pv"],
  [1, "hvm"],
  [8, "hap"],
  [16, "shadow"],
  [0x100, "gnttab-v1"],
  [0x200, "gnttab-v2"],
];

/** The machine's processors and memory. Sharing of pages is not modelled: none is shared. */
export function getPhysinfo(host: Host, process: string): Omit<PhysInfo, "freeCpus"> | Failure {
  const info = sysctl.physinfo(host, dom0(process));
  if (isFailure(info)) {
    return reported(host, process, "libxl.c:361:libxl_get_physinfo", "getting physinfo", info);
  }
  const { hwCap, capabilities: has, ...rest } = info;
  return {
    ...rest,
    hwCaps: hwCap,
    virtCaps: VIRT_CAPS.flatMap(([bit, name]) => ((has & bit) === 0 ? [] : [name])),
    sharingFreedPages: 0,
    sharingUsedFrames: 0,
  };
}

/** How many CPUs the machine can have (libxl_get_max_cpus). */
export function maxCpus(host: Host, process: string): number | Failure {
  const info = sysctl.physinfo(host, dom0(process));
  return isFailure(info) ? info : info.maxCpuId + 1;
}

/** libxl's names of schedulers, by XEN_SCHEDULER_*. */
export const SCHEDULERS: { readonly [id: number]: string } = {
  4: "sedf",
  5: "credit",
  6: "credit2",
  7: "arinc653",
  8: "rtds",
  9: "null",
};

/** The scheduler's name (libxl_get_scheduler). */
export function getScheduler(host: Host, process: string): string | Failure {
  const id = sysctl.schedId(host, dom0(process));
  if (!isFailure(id)) return SCHEDULERS[id] ?? "unknown";
  return reported(host, process, "libxl_sched.c:166:libxl_get_scheduler", "getting current scheduler id", id);
}

/** The version of Xen and how it was built. */
export function getVersionInfo(host: Host): Omit<XenInfo, "scheduler"> {
  const { major, minor, extra } = versionOf(host);
  return {
    major,
    minor,
    extra,
    capabilities,
    pagesize: PAGE_BYTES,
    virtStart: virtStart.toString(16),
    changeset: "",
    commandline: machineOf(host).commandLine,
    ...compileInfo,
    buildId: "",
  };
}

/** CPUs and memory by node. Dom0 has no PCI devices. */
export function getNumaInfo(host: Host, process: string): NumaInfo | Failure {
  const cpus = sysctl.cputopoinfo(host, dom0(process));
  const memory = sysctl.numainfo(host, dom0(process));
  if (isFailure(cpus)) return cpus;
  if (isFailure(memory)) return memory;
  return {
    cpus: cpus.map((where, cpu) => ({ cpu, ...where })),
    devices: [],
    nodes: memory.meminfo.map(({ memsize, memfree }, node) => ({
      node,
      sizeMb: Math.floor(memsize / MIB),
      freeMb: Math.floor(memfree / MIB),
      distances: memory.distance[node] ?? [],
    })),
  };
}
