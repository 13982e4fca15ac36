// SPDX-License-Identifier: Apache-2.0
//
// Shutdown (xen/common/domain.c): who asks first gives the reason; it is
// complete when every vCPU is paused for it; only then is anybody told.

import { HVM_PARAM_TRIPLE_FAULT_REASON } from "../../abi/4.17/constants.ts";
import { must } from "../engine/cells.ts";
import type { DeepReadonly } from "../engine/cells.ts";
import type { Host } from "../engine/host.ts";
import { domainChangedState } from "./changed-domains.ts";
import { printk } from "./console-ring.ts";
import { domainCell, hardwareDomid, SHUTDOWN_CODE_INVALID, ShutdownCode } from "./domain.ts";
import type { Domain } from "./domain.ts";
import { evtchnSend } from "./event-channel.ts";
import { hvmParam } from "./hvm-params.ts";
import { machineCell } from "./machine.ts";
import { domainPause, domainUnpause } from "./pause.ts";
import { changeVcpu, vcpuCell, vcpuId, vcpusOf, VPF_blocked, VPF_down } from "./vcpu.ts";
import { sendGlobalVirq, VIRQ_DOM_EXC } from "./virq.ts";

declare module "../engine/trace.ts" {
  interface TraceEvents {
    /** The hardware domain shut down, and with it the host. */
    machine: { halted: number };
  }
}

/**
 * Shuts a domain down. A reason given earlier stays. vCPUs that wait for a
 * device model's answer hold it up, except in a crash.
 */
export function domainShutdown(host: Host, domid: number, code: number): void {
  const d = host.edit(domainCell, domid);
  if (d.shutdownCode === SHUTDOWN_CODE_INVALID) d.shutdownCode = code;
  const reason = d.shutdownCode;
  if (domid === hardwareDomid && must(host, machineCell, 0).halted === null) {
    host.edit(machineCell, 0).halted = reason;
    hwdomShutdown(host, reason);
    host.emit("machine", { halted: reason });
  }
  if (d.shutdown !== "none") return;
  d.shutdown = "in_progress";
  for (const [vcpu, v] of vcpusOf(host, d)) {
    if (reason === ShutdownCode.crash && v.deferShutdown)
      host.edit(vcpuCell, vcpuId(domid, vcpu)).deferShutdown = false;
    else if (v.deferShutdown) continue;
    pauseForShutdown(host, domid, vcpu);
  }
  finaliseShutdown(host, d);
}

/** What Xen says before the machine goes down with its hardware domain (xen/common/shutdown.c). */
function hwdomShutdown(host: Host, reason: number): void {
  const dom = `Hardware Dom${hardwareDomid}`;
  const again = "rebooting machine in 5 seconds.";
  const said: { readonly [reason: number]: string } = {
    [ShutdownCode.poweroff]: `${dom} halted: halting machine`,
    [ShutdownCode.crash]: `${dom} crashed: ${again}`,
    [ShutdownCode.reboot]: `${dom} shutdown: rebooting machine`,
    [ShutdownCode.watchdog]: `${dom} shutdown: watchdog rebooting machine`,
    [ShutdownCode.soft_reset]: `Hardware domain ${hardwareDomid} did unsupported soft reset, rebooting.`,
  };
  printk(host, said[reason] ?? `${dom} shutdown (unknown reason ${reason}): ${again}`);
}

function pauseForShutdown(host: Host, domid: number, vcpu: number): void {
  changeVcpu(host, domid, vcpu, (v) => {
    v.pauseCount++;
    v.pausedForShutdown = true;
  });
}

/**
 * Complete once all vCPUs are paused for it: the port for suspends is signalled, or VIRQ_DOM_EXC raised for
 * the first time.
 */
function finaliseShutdown(host: Host, d: Domain): void {
  if (d.shutdown === "complete") return;
  for (const [, v] of vcpusOf(host, d)) if (!v.pausedForShutdown) return;
  d.shutdown = "complete";
  host.emit("domain", { domid: d.domid, state: "shutdown", code: d.shutdownCode });
  domainChangedState(host, d.domid);
  if (d.shutdownCode === ShutdownCode.suspend && d.suspendEvtchn !== 0)
    evtchnSend(host, d.domid, d.suspendEvtchn);
  else sendGlobalVirq(host, VIRQ_DOM_EXC, `d${d.domid} is shut down`);
}

/** A vCPU that has nothing to defer for: it is paused if its domain is shutting down (vcpu_check_shutdown). */
export function vcpuCheckShutdown(host: Host, domid: number, vcpu: number): void {
  const d = must(host, domainCell, domid);
  if (d.shutdown === "none") return;
  const { pausedForShutdown } = must(host, vcpuCell, vcpuId(domid, vcpu));
  if (!pausedForShutdown) pauseForShutdown(host, domid, vcpu);
  host.edit(vcpuCell, vcpuId(domid, vcpu)).deferShutdown = false;
  finaliseShutdown(host, host.edit(domainCell, domid));
}

/** A vCPU begins to wait for a device model; false where its domain is shutting down already. */
export function startShutdownDeferral(host: Host, domid: number, vcpu: number): boolean {
  host.edit(vcpuCell, vcpuId(domid, vcpu)).deferShutdown = true;
  if (must(host, domainCell, domid).shutdown !== "none") vcpuCheckShutdown(host, domid, vcpu);
  return must(host, vcpuCell, vcpuId(domid, vcpu)).deferShutdown;
}

/** The device model has answered. */
export function endShutdownDeferral(host: Host, domid: number, vcpu: number): void {
  host.edit(vcpuCell, vcpuId(domid, vcpu)).deferShutdown = false;
  if (must(host, domainCell, domid).shutdown !== "none") vcpuCheckShutdown(host, domid, vcpu);
}

/** Takes a shutdown back: the same domain runs on (domain_resume). */
export function domainResume(host: Host, domid: number): void {
  domainPause(host, domid);
  const d = host.edit(domainCell, domid);
  d.shutdown = "none";
  d.shutdownCode = SHUTDOWN_CODE_INVALID;
  for (const [vcpu, v] of vcpusOf(host, d)) {
    if (!v.pausedForShutdown) continue;
    changeVcpu(host, domid, vcpu, (w) => {
      w.pauseCount--;
      w.pausedForShutdown = false;
    });
  }
  host.emit("domain", { domid, state: "resumed" });
  domainUnpause(host, domid);
}

/** The hypervisor cannot let the domain run on (domain_crash). `by` is the domain in whose name it noticed. */
export function domainCrash(host: Host, domid: number, by: number): void {
  const d = must(host, domainCell, domid);
  if (d.shutdown === "none") {
    printk(
      host,
      by === domid
        ? `Domain ${domid} (vcpu#0) crashed on cpu#0:`
        : `Domain ${domid} reported crashed by domain ${by} on cpu#0:`,
    );
  }
  domainShutdown(host, domid, ShutdownCode.crash);
}

/** A vCPU faults while it handles a double fault: HVM parameters say what becomes of it, a PV domain crashes. */
export function tripleFault(host: Host, domid: number): void {
  if (must(host, domainCell, domid).type === "pv") return domainCrash(host, domid, domid);
  const reason = Number(hvmParam(host, domid, HVM_PARAM_TRIPLE_FAULT_REASON));
  printk(host, `d${domid}v0 Triple fault - invoking HVM shutdown action ${reason}`);
  domainShutdown(host, domid, reason);
}

/**
 * HLT with interrupts off, in an HVM or PVH domain: the vCPU goes down; the last one takes the domain with
 * it (hvm_vcpu_down).
 */
export function hltWithInterruptsOff(host: Host, domid: number, vcpu: number): void {
  changeVcpu(host, domid, vcpu, (v) => void (v.pauseFlags |= VPF_down));
  if (!anyOnline(host, must(host, domainCell, domid))) domainShutdown(host, domid, ShutdownCode.poweroff);
}

/** VCPUOP_down: the last vCPU that goes down powers the domain off, and stays up. */
export function vcpuDown(host: Host, domid: number, vcpu: number): void {
  const d = must(host, domainCell, domid);
  if (![...vcpusOf(host, d)].some(([other, v]) => other !== vcpu && (v.pauseFlags & VPF_down) === 0)) {
    return domainShutdown(host, domid, ShutdownCode.poweroff);
  }
  changeVcpu(host, domid, vcpu, (v) => void (v.pauseFlags |= VPF_down));
}

/** VCPUOP_up: false where the vCPU has no context yet. */
export function vcpuUp(host: Host, domid: number, vcpu: number): boolean {
  if (!must(host, vcpuCell, vcpuId(domid, vcpu)).isInitialised) return false;
  changeVcpu(host, domid, vcpu, (v) => void (v.pauseFlags &= ~(VPF_down | VPF_blocked)));
  return true;
}

function anyOnline(host: Host, d: DeepReadonly<Domain>): boolean {
  for (const [, v] of vcpusOf(host, d)) if ((v.pauseFlags & VPF_down) === 0) return true;
  return false;
}
