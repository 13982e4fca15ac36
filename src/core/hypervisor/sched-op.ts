// SPDX-License-Identifier: Apache-2.0
//
// SCHEDOP and VCPUOP: what a guest's kernel says about its own vCPUs
// (xen/common/sched/core.c, do_sched_op; xen/common/domain.c, common_vcpu_op).

import { must } from "../engine/cells.ts";
import { fail, isFailure } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { isPrivileged, targeted, traced } from "./caller.ts";
import type { Caller } from "./caller.ts";
import { domainById, domainCell } from "./domain.ts";
import { versionOf } from "./machine.ts";
import { getGfn } from "./pod-populate.ts";
import { domainShutdown, vcpuDown, vcpuUp } from "./shutdown.ts";
import { domainVcpu, vcpuBlock, VPF_down } from "./vcpu.ts";
import { mapGuestArea, mapVcpuInfo } from "./vcpu-pages.ts";
import { domainWatchdog } from "./watchdog.ts";

/** SCHEDOP_shutdown: the caller's domain is done, with a code of `ShutdownCode`. */
export function schedopShutdown(host: Host, caller: Caller, { reason }: { reason: number }): 0 {
  domainShutdown(host, caller.domid, reason & 255);
  traced(host, caller, "sched_op shutdown", caller.domid, { reason }, 0);
  return 0;
}

/**
 * SCHEDOP_remote_shutdown: a control domain, or its device model's, shuts a domain down, its own too: dom0,
 * and the machine with it. ESRCH, EPERM.
 */
export function remoteShutdown(
  host: Host,
  caller: Caller,
  { domid, reason }: { domid: number; reason: number },
): 0 | Failure {
  const byNumber = domainById(host, domid) === undefined ? fail("ESRCH") : targeted(host, caller, domid);
  const d = domid === caller.domid && !isPrivileged(host, caller) ? fail("EPERM") : byNumber;
  if (!isFailure(d)) domainShutdown(host, domid, reason & 255);
  return traced(host, caller, "sched_op remote_shutdown", domid, { reason }, isFailure(d) ? d : 0);
}

/** DMOP_remote_shutdown: a domain's device model shuts it down, as the port 0xcf9 asked for. EINVAL for PV. */
export function dmopRemoteShutdown(
  host: Host,
  caller: Caller,
  { domid, reason }: { domid: number; reason: number },
): 0 | Failure {
  const d = targeted(host, caller, domid);
  const result = isFailure(d) ? d : d.type === "pv" ? fail("EINVAL") : 0;
  if (result === 0) domainShutdown(host, domid, reason & 255);
  return traced(host, caller, "dm_op remote_shutdown", domid, { reason }, result);
}

/** SCHEDOP_block: the vCPU waits for an event. One that is pending already ends the wait at once. */
export function schedopBlock(host: Host, caller: Caller, { vcpu }: { vcpu: number }): 0 | Failure {
  const v = domainVcpu(host, caller.domid, vcpu);
  if (v === undefined) return fail("ENOENT");
  if (!v.upcallPending) vcpuBlock(host, caller.domid, vcpu);
  return 0;
}

/** VCPUOP_up: starts a vCPU that has a context: ENOENT, EINVAL. */
export function vcpuopUp(host: Host, caller: Caller, { vcpu }: { vcpu: number }): 0 | Failure {
  const known = domainVcpu(host, caller.domid, vcpu) !== undefined;
  const result = !known ? fail("ENOENT") : vcpuUp(host, caller.domid, vcpu) ? 0 : fail("EINVAL");
  return traced(host, caller, "vcpu_op up", caller.domid, { vcpu }, result);
}

/** VCPUOP_down: stops a vCPU; the last one powers the domain off. */
export function vcpuopDown(host: Host, caller: Caller, { vcpu }: { vcpu: number }): 0 | Failure {
  if (domainVcpu(host, caller.domid, vcpu) === undefined) return fail("ENOENT");
  vcpuDown(host, caller.domid, vcpu);
  return traced(host, caller, "vcpu_op down", caller.domid, { vcpu }, 0);
}

/** VCPUOP_register_vcpu_info: moves a vCPU's vcpu_info into a guest frame of its own domain, once: ENOENT, EINVAL. */
export function registerVcpuInfo(
  host: Host,
  caller: Caller,
  { vcpu, gfn }: { vcpu: number; gfn: number },
): 0 | Failure {
  const known = domainVcpu(host, caller.domid, vcpu) !== undefined;
  const mfn = getGfn(host, must(host, domainCell, caller.domid), gfn, caller.domid);
  const result = known ? mapVcpuInfo(host, caller.domid, vcpu, mfn) : fail("ENOENT");
  return traced(host, caller, "vcpu_op register_vcpu_info", caller.domid, { vcpu, gfn }, result);
}

/**
 * VCPUOP_register_runstate_phys_area and VCPUOP_register_vcpu_time_phys_area: ENOENT, EACCES; ENOSYS before
 * 4.18, where these areas are known by the guest's own addresses and hold no page.
 */
export function registerPhysArea(
  host: Host,
  caller: Caller,
  { vcpu, area, gfn }: { vcpu: number; area: "runstate" | "vcpu_time"; gfn: number },
): 0 | Failure {
  const op = `vcpu_op register_${area}_phys_area`;
  const known = domainVcpu(host, caller.domid, vcpu) !== undefined;
  const mfn = getGfn(host, must(host, domainCell, caller.domid), gfn, caller.domid);
  const where = area === "runstate" ? "runstateMfn" : "timeMfn";
  const result = !versionOf(host).physicalGuestAreas
    ? fail("ENOSYS")
    : known
      ? mapGuestArea(host, caller.domid, vcpu, where, mfn)
      : fail("ENOENT");
  return traced(host, caller, op, caller.domid, { vcpu, gfn }, result);
}

/** VCPUOP_is_up. */
export function vcpuopIsUp(host: Host, caller: Caller, { vcpu }: { vcpu: number }): boolean | Failure {
  const v = domainVcpu(host, caller.domid, vcpu);
  return v === undefined ? fail("ENOENT") : (v.pauseFlags & VPF_down) === 0;
}

/** SCHEDOP_watchdog: starts (`id` 0), feeds or stops (`timeout` 0) one of two watchdogs, in seconds: EINVAL, ENOSPC. */
export function schedopWatchdog(
  host: Host,
  caller: Caller,
  { id, timeout }: { id: number; timeout: number },
): number | Failure {
  const result = domainWatchdog(host, caller.domid, id, timeout);
  return traced(host, caller, "sched_op watchdog", caller.domid, { id, timeout }, result);
}
