// SPDX-License-Identifier: Apache-2.0
//
// A guest's vCPUs beyond the first: which interrupts each binds, and how it is
// brought up and taken down (Linux arch/x86/xen/smp_pv.c).

import { must } from "../engine/cells.ts";
import type { Host } from "../engine/host.ts";
import { domainCell } from "../hypervisor/domain.ts";
import { bindIpi, bindVirq } from "../hypervisor/event-channel.ts";
import { vcpuDown, vcpuUp } from "../hypervisor/shutdown.ts";
import { changeVcpu, domainVcpu, vcpuBlock, VPF_down } from "../hypervisor/vcpu.ts";
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

/** Brings a vCPU up or takes it down; the first one stays up. */
export function setVcpuOnline(host: Host, domid: number, cpu: number, online: boolean): void {
  const v = domainVcpu(host, domid, cpu);
  if (v === undefined || cpu === 0 || isOnline(host, domid, cpu) === online) return;
  if (!online) return vcpuDown(host, domid, cpu);
  if (!v.isInitialised) {
    changeVcpu(host, domid, cpu, (w) => void (w.isInitialised = true));
    bindInterrupts(host, domid, cpu);
  }
  vcpuUp(host, domid, cpu);
  // All of the guest's work is done on its first vCPU: this one is idle.
  vcpuBlock(host, domid, cpu);
}

/** Boot: the first vCPU takes its interrupts, the others are brought up. */
export function bringUpVcpus(host: Host, domid: number): void {
  bindInterrupts(host, domid, 0);
  changeVcpu(host, domid, 0, (v) => void (v.upcallMask = false));
  for (let cpu = 1; cpu < guestOf(host, domid).nrVcpus; cpu++) setVcpuOnline(host, domid, cpu, true);
}
