// SPDX-License-Identifier: Apache-2.0
//
// SYSCTL: the host as a whole (xen/common/sysctl.c). The caller must be
// privileged (EPERM) unless it says otherwise.

import { must } from "../engine/cells.ts";
import { fail } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { isPrivileged, traced } from "./caller.ts";
import type { Caller } from "./caller.ts";
import { SCHED_CREDIT2 } from "./cpupool.ts";
import { clearConsoleRing, CONRING_SIZE, readConsoleRing } from "./console-ring.ts";
import { handleKeypress } from "./debug-keys.ts";
import { domainFrom, forEachDomain } from "./domain.ts";
import { getdomaininfo } from "./dominfo.ts";
import type { DomainInfoReply } from "./dominfo.ts";
import { heapCell } from "./heap.ts";
import { machineOf, maxPage } from "./machine.ts";
import { runningTime, vcpusOf } from "./vcpu.ts";

/** Up to `maxDomains` domains from `firstDomain` on, in order. */
export function getdomaininfolist(
  host: Host,
  caller: Caller,
  { firstDomain, maxDomains }: { firstDomain: number; maxDomains: number },
): DomainInfoReply[] | Failure {
  if (!isPrivileged(host, caller)) return fail("EPERM");
  const infos: DomainInfoReply[] = [];
  for (
    let d = domainFrom(host, firstDomain);
    d !== undefined && infos.length < maxDomains;
    d = domainFrom(host, d.domid + 1)
  ) {
    infos.push(getdomaininfo(host, host.now, d));
  }
  return infos;
}

/** struct xen_sysctl_physinfo. */
export interface PhysInfo {
  threadsPerCore: number;
  coresPerSocket: number;
  nrCpus: number;
  maxCpuId: number;
  nrNodes: number;
  maxNodeId: number;
  cpuKhz: number;
  /** XEN_SYSCTL_PHYSCAP_*: hvm 1, pv 2, hap 8, shadow 16, gnttab-v1 256, gnttab-v2 512. */
  capabilities: number;
  totalPages: number;
  freePages: number;
  scrubPages: number;
  outstandingPages: number;
  maxMfn: number;
  /** Eight words of CPUID feature bits. */
  hwCap: number[];
}

/** What the recordings' Xen can: everything but shadow paging. */
const PHYSCAP = 1 | 2 | 8 | 0x100 | 0x200;

/** The recordings' processor (an emulated Athlon), with VME as real ones have it. */
const HW_CAP = [0x1fcbf3ff, 0xc2d8220b, 0xec500800, 0x00000077, 0, 0x01884389, 0x0000020c, 0];

/** Nodes Xen is built for. */
export const MAX_NUMNODES = 64;

/** The machine's processors and memory. */
export function physinfo(host: Host, caller: Caller): PhysInfo | Failure {
  if (!isPrivileged(host, caller)) return fail("EPERM");
  const machine = machineOf(host);
  const { freePages, outstandingClaims } = must(host, heapCell, 0);
  return {
    threadsPerCore: 1,
    coresPerSocket: machine.nrCpus,
    nrCpus: machine.nrCpus,
    maxCpuId: machine.nrCpus - 1,
    nrNodes: 1,
    maxNodeId: MAX_NUMNODES - 1,
    cpuKhz: machine.cpuKhz,
    capabilities: PHYSCAP,
    totalPages: machine.totalPages,
    freePages,
    scrubPages: 0,
    outstandingPages: outstandingClaims,
    maxMfn: maxPage(machine) - 1,
    hwCap: [...HW_CAP],
  };
}

/**
 * Reads the hypervisor's console from character `index` on (0 for all it keeps), as
 * much as there is room for, and, if asked, clears what was read.
 */
export function readconsole(
  host: Host,
  caller: Caller,
  { index = 0, clear = false, room = CONRING_SIZE }: { index?: number; clear?: boolean; room?: number } = {},
): { text: string; index: number } | Failure {
  if (!isPrivileged(host, caller)) return fail("EPERM");
  const { text, next } = readConsoleRing(host, index, room);
  if (clear) clearConsoleRing(host, next);
  return { text, index: next };
}

/** Presses debug keys; each prints to the hypervisor's console. */
export function debugKeys(host: Host, caller: Caller, { keys }: { keys: string }): 0 | Failure {
  if (!isPrivileged(host, caller))
    return traced(host, caller, "sysctl debug_keys", -1, { keys }, fail("EPERM"));
  for (const key of keys) handleKeypress(host, key);
  return traced(host, caller, "sysctl debug_keys", -1, { keys }, 0);
}

/** Memory nodes: bytes in all and free, and their distances; there is one node. */
export function numainfo(
  host: Host,
  caller: Caller,
): { meminfo: { memsize: number; memfree: number }[]; distance: number[][] } | Failure {
  if (!isPrivileged(host, caller)) return fail("EPERM");
  const { freePages } = must(host, heapCell, 0);
  return {
    meminfo: [{ memsize: machineOf(host).totalPages * 4096, memfree: freePages * 4096 }],
    distance: [[10]],
  };
}

/** Where each processor is: all in one socket of one node. */
export function cputopoinfo(
  host: Host,
  caller: Caller,
): { core: number; socket: number; node: number }[] | Failure {
  if (!isPrivileged(host, caller)) return fail("EPERM");
  return Array.from({ length: machineOf(host).nrCpus }, (_, core) => ({ core, socket: 0, node: 0 }));
}

/** Nanoseconds each processor was idle: those in which no vCPU placed on it ran. */
export function getcpuinfo(host: Host, caller: Caller): { idletime: number }[] | Failure {
  if (!isPrivileged(host, caller)) return fail("EPERM");
  const busy = Array.from({ length: machineOf(host).nrCpus }, () => 0);
  for (const d of forEachDomain(host)) {
    for (const [, v] of vcpusOf(host, d))
      busy[v.processor] = (busy[v.processor] ?? 0) + runningTime(host.now, v);
  }
  return busy.map((time) => ({ idletime: Math.max(host.now - time, 0) * 1000 }));
}

/** The scheduler's number (XEN_SYSCTL_sched_id). */
export function schedId(host: Host, caller: Caller): number | Failure {
  return isPrivileged(host, caller) ? SCHED_CREDIT2 : fail("EPERM");
}
