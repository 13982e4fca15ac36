// SPDX-License-Identifier: Apache-2.0
//
// A guest's vCPUs beyond the first: which interrupts each binds, and how it is
// brought up and taken down (Linux arch/x86/xen/smp_pv.c).

import { must } from "../engine/cells.ts";
import type { Host } from "../engine/host.ts";
import { domainCell } from "../hypervisor/domain.ts";
import { bindIpi, bindVirq } from "../hypervisor/event-channel.ts";
import { vcpuDown, vcpuUp } from "../hypervisor/shutdown.ts";
import { setVcpuPages } from "../hypervisor/vcpu-pages.ts";
import {
  changeVcpu,
  domainVcpu,
  vcpuBlock,
  vcpuCell,
  vcpuContextCell,
  vcpuId,
  VPF_down,
} from "../hypervisor/vcpu.ts";
import { VIRQ_TIMER } from "../hypervisor/virq.ts";
import { guestOf } from "./guest.ts";

/** IPIs of a vCPU: reschedule, call function, debug or spinlock, irq work. */
const IPIS = 4;

function bindInterrupts(host: Host, domid: number, cpu: number): void {
  const d = must(host, domainCell, domid);
  bindVirq(host, d, VIRQ_TIMER, cpu);
  for (let ipi = 0; ipi < IPIS; ipi++) bindIpi(host, d, cpu);
}

/** Whether the vCPU is up. */
function isOnline(host: Host, domid: number, cpu: number): boolean {
  const v = domainVcpu(host, domid, cpu);
  return v !== undefined && (v.pauseFlags & VPF_down) === 0;
}

/** A PV kernel gives a vCPU its first context: its own page tables (VCPUOP_initialise). */
function initialiseVcpu(host: Host, domid: number, cpu: number): void {
  const boot = host.get(vcpuContextCell, vcpuId(domid, 0));
  if (boot === undefined || boot.bytes.length === 0) return;
  host.add(vcpuContextCell, vcpuId(domid, cpu), { bytes: boot.bytes.slice() });
  setVcpuPages(host, domid, cpu, must(host, vcpuCell, vcpuId(domid, 0)).cr3, []);
}

/** Brings a vCPU up or takes it down; the first one stays up. */
export function setVcpuOnline(host: Host, domid: number, cpu: number, online: boolean): void {
  const v = domainVcpu(host, domid, cpu);
  if (v === undefined || cpu === 0 || isOnline(host, domid, cpu) === online) return;
  if (!online) return vcpuDown(host, domid, cpu);
  if (!v.isInitialised) {
    initialiseVcpu(host, domid, cpu);
    changeVcpu(host, domid, cpu, (w) => void (w.isInitialised = true));
    bindInterrupts(host, domid, cpu);
  }
  vcpuUp(host, domid, cpu);
  // All of the guest's work is done on its first vCPU: this one is idle.
  vcpuBlock(host, domid, cpu);
}

/**
 * The first vCPU takes its interrupts. At boot the others are brought up; in a
 * restored domain those that were up are so again, without interrupts.
 */
export function bringUpVcpus(host: Host, domid: number): void {
  bindInterrupts(host, domid, 0);
  changeVcpu(host, domid, 0, (v) => void (v.upcallMask = false));
  for (let cpu = 1; cpu < guestOf(host, domid).nrVcpus; cpu++) {
    if (!isOnline(host, domid, cpu)) setVcpuOnline(host, domid, cpu, true);
    else {
      bindInterrupts(host, domid, cpu);
      vcpuBlock(host, domid, cpu);
    }
  }
}

/** A kernel that knows nothing of Xen starts its processors, and none has anything to do. */
export function startProcessors(host: Host, domid: number): void {
  for (let cpu = 1; cpu < guestOf(host, domid).nrVcpus; cpu++) {
    changeVcpu(host, domid, cpu, (v) => void (v.isInitialised = true));
    vcpuUp(host, domid, cpu);
    vcpuBlock(host, domid, cpu);
  }
}
