// SPDX-License-Identifier: Apache-2.0
//
// struct vcpu: why it does not run, and for how long it has. No instruction is
// executed; a vCPU that nothing keeps from running runs.

import { cellType, must } from "../engine/cells.ts";
import type { Cells, DeepReadonly } from "../engine/cells.ts";
import type { Host } from "../engine/host.ts";
import { domainCell } from "./domain.ts";
import type { Domain } from "./domain.ts";
import { machineOf } from "./machine.ts";

/** Bits of `pauseFlags` (xen/sched.h). */
export const VPF_blocked = 1;
export const VPF_down = 2;
/** It waits in the hypervisor for a device model's answer. */
export const VPF_blocked_in_xen = 4;

/** A vCPU; its cell's identifier is `vcpuId(domid, vcpu)`. */
export interface Vcpu {
  /** VPF_*: 1 blocked, 2 down, 80 in reset, as debug key q prints them. */
  pauseFlags: number;
  pauseCount: number;
  pausedForShutdown: boolean;
  /** A device model owes it an answer: its domain's shutdown waits (x86 HVM I/O). */
  deferShutdown: boolean;
  isInitialised: boolean;
  processor: number;
  hardAffinity: "all" | number[];
  softAffinity: "all" | number[];
  upcallPending: boolean;
  /** evtchn_upcall_mask: set until the guest's kernel takes events. */
  upcallMask: boolean;
  /** Frame its vcpu_info was moved to, or -1 while it is in shared_info. */
  vcpuInfoMfn: number;
  /** Frames of its runstate and time areas, or -1: 4.17 knows them by the guest's addresses and holds none. */
  runstateMfn: number;
  timeMfn: number;
  /** Frames its context refers to: the page table bases (0 for none), the GDT's frames. */
  cr3: number;
  userCr3: number;
  /** A page table base whose last use is over and that is still being taken apart; 0 for none. */
  oldGuestTable: number;
  gdt: number[];
  /** The LDT's frames, and which of them are in use. */
  ldt: { mfn: number; mapped: boolean }[];
  /** How long it ran, in µs: what was added up at `since`, and whether it has run since then. */
  runstate: { running: boolean; since: number; runningTime: number };
}

export const vcpuCell = cellType<Vcpu>("vcpu", { provenance: ["runstate"] });

/** The state a toolstack gave a vCPU, as vcpu_guest_context bytes. */
export const vcpuContextCell = cellType<{ bytes: Uint8Array }>("vcpu-context");

/** An event that a device model injects: XEN_DMOP_EVENT_* and the vector, with what belongs to exceptions. */
export type InjectedEvent = {
  vector: number;
  type: number;
  insnLength: number;
  errorCode: number;
  cr2: bigint;
};

/** The event that a vCPU takes when it runs next, while it does not. */
export const injectedEventCell = cellType<InjectedEvent>("injected-event");

/** The identifier of a vCPU's cells. */
export function vcpuId(domid: number, vcpu: number): string {
  return `${domid}/${vcpu}`;
}

/** A new vCPU: down, and blocked by nothing (vcpu_create). */
export function newVcpu(host: Host, domid: number, vcpu: number): void {
  host.add(vcpuCell, vcpuId(domid, vcpu), {
    pauseFlags: VPF_down,
    pauseCount: 0,
    pausedForShutdown: false,
    deferShutdown: false,
    isInitialised: false,
    processor: vcpu % machineOf(host).nrCpus,
    hardAffinity: "all",
    softAffinity: "all",
    upcallPending: false,
    upcallMask: true,
    vcpuInfoMfn: -1,
    runstateMfn: -1,
    timeMfn: -1,
    cr3: 0,
    userCr3: 0,
    oldGuestTable: 0,
    gdt: [],
    ldt: [],
    runstate: { running: false, since: host.now, runningTime: 0 },
  });
}

/** The vCPU, or undefined where the domain has no such. */
export function domainVcpu(cells: Cells, domid: number, vcpu: number): DeepReadonly<Vcpu> | undefined {
  return cells.get(vcpuCell, vcpuId(domid, vcpu));
}

/** All vCPUs of a domain that were made, in ascending order. */
export function* vcpusOf(cells: Cells, d: DeepReadonly<Domain>): Generator<[number, DeepReadonly<Vcpu>]> {
  for (let vcpu = 0; vcpu < d.nrVcpus; vcpu++) yield [vcpu, must(cells, vcpuCell, vcpuId(d.domid, vcpu))];
}

/** Whether nothing keeps the vCPU from running (vcpu_runnable). */
export function vcpuRunnable(d: DeepReadonly<Domain>, v: DeepReadonly<Vcpu>): boolean {
  return v.pauseFlags === 0 && v.pauseCount === 0 && d.pauseCount === 0;
}

/** Microseconds the vCPU has run. */
export function runningTime(now: number, v: DeepReadonly<Vcpu>): number {
  return v.runstate.runningTime + (v.runstate.running ? now - v.runstate.since : 0);
}

/** Changes a vCPU and accounts for the time it ran until now (vcpu_runstate_change). */
export function changeVcpu(host: Host, domid: number, vcpu: number, change: (v: Vcpu) => void): void {
  const v = host.edit(vcpuCell, vcpuId(domid, vcpu));
  change(v);
  v.runstate = {
    runningTime: runningTime(host.now, v),
    since: host.now,
    running: vcpuRunnable(must(host, domainCell, domid), v),
  };
  // It enters the guest and takes what waits (hvm_do_resume).
  if (v.runstate.running) dropInjectedEvent(host, domid, vcpu);
}

/** Nothing waits any more to be injected into a vCPU. */
export function dropInjectedEvent(host: Host, domid: number, vcpu: number): void {
  const id = vcpuId(domid, vcpu);
  if (host.get(injectedEventCell, id) !== undefined) host.drop(injectedEventCell, id);
}

/** Accounts for what a change of the domain's pause count did to its vCPUs. */
export function domainPauseChanged(host: Host, d: DeepReadonly<Domain>): void {
  for (const [vcpu, v] of vcpusOf(host, d)) {
    if (v.runstate.running !== vcpuRunnable(d, v)) changeVcpu(host, d.domid, vcpu, () => {});
  }
}

/** The guest has nothing to do until the next event: SCHEDOP_block, or HLT with interrupts on. */
export function vcpuBlock(host: Host, domid: number, vcpu: number): void {
  changeVcpu(host, domid, vcpu, (v) => void (v.pauseFlags |= VPF_blocked));
}

/** An event ends the wait (vcpu_unblock). */
export function vcpuUnblock(host: Host, domid: number, vcpu: number): void {
  const v = domainVcpu(host, domid, vcpu);
  if (v === undefined || (v.pauseFlags & VPF_blocked) === 0) return;
  changeVcpu(host, domid, vcpu, (w) => void (w.pauseFlags &= ~VPF_blocked));
}
