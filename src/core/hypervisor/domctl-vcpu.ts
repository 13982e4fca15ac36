// SPDX-License-Identifier: Apache-2.0
//
// DOMCTL of single vCPUs: their context, what they do, signals to them.

import { must } from "../engine/cells.ts";
import type { DeepReadonly } from "../engine/cells.ts";
import { fail, isFailure } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { acpiButtonCell } from "./acpi-button.ts";
import type { AcpiButton } from "./acpi-button.ts";
import { controlled } from "./caller.ts";
import type { Caller } from "./caller.ts";
import { domainCell } from "./domain.ts";
import { another, domctl } from "./domctl-op.ts";
import { hvmGuestContext, setHvmGuestContext } from "./hvm-registers.ts";
import { destroyDescriptorTables, setVcpuPages, vcpuDestroyPagetables } from "./vcpu-pages.ts";
import {
  changeVcpu,
  domainVcpu,
  runningTime,
  vcpuContextCell,
  vcpuId,
  vcpuRunnable,
  vcpuUnblock,
  VPF_blocked,
  VPF_down,
} from "./vcpu.ts";
import type { Vcpu } from "./vcpu.ts";

/** A vCPU's state as a toolstack gives it. */
export interface VcpuContext {
  /** VGCF_online: the vCPU is up with it. */
  online: boolean;
  /** The whole structure, to be given back by getvcpucontext; empty where the caller has none. */
  bytes?: Uint8Array;
  /** PV: the frame of the top page table, 0 for none, and the GDT's frames. */
  cr3?: number;
  gdt?: readonly number[];
}

/** Whether a vCPU can be given a state: ESRCH, EPERM; EINVAL for the caller's own domain and no such vCPU. */
export function contextTarget(
  host: Host,
  caller: Caller,
  { domid, vcpu }: { domid: number; vcpu: number },
): 0 | Failure {
  const d = another(host, caller, domid);
  if (isFailure(d)) return d;
  return domainVcpu(host, domid, vcpu) === undefined ? fail("EINVAL") : 0;
}

/**
 * Gives a vCPU its state; null takes it away (vcpu_reset). EINVAL for a vCPU
 * that was not made, the caller's own domain, or frames that are not its.
 */
export function setvcpucontext(
  host: Host,
  caller: Caller,
  { domid, vcpu, context }: { domid: number; vcpu: number; context: VcpuContext | null },
): 0 | Failure {
  return domctl(host, caller, "setvcpucontext", another(host, caller, domid), domid, {}, (d) => {
    const v = domainVcpu(host, domid, vcpu);
    if (v === undefined) return fail("EINVAL");
    if (context === null) return resetVcpu(host, domid, vcpu);
    // A context given again, as after a suspend, keeps the page tables of the first.
    if (!v.isInitialised) {
      const set = setVcpuPages(host, domid, vcpu, context.cr3 ?? 0, context.gdt ?? []);
      if (isFailure(set)) return set;
    }
    const bytes = context.bytes ?? new Uint8Array(0);
    if (d.type === "pv") keepContext(host, domid, vcpu, bytes);
    else setHvmGuestContext(host, domid, vcpu, bytes);
    changeVcpu(host, domid, vcpu, (w) => {
      w.isInitialised = true;
      w.pauseFlags = context.online ? w.pauseFlags & ~VPF_down : w.pauseFlags | VPF_down;
    });
    return 0;
  });
}

function resetVcpu(host: Host, domid: number, vcpu: number): 0 {
  vcpuDestroyPagetables(host, domid, vcpu);
  destroyDescriptorTables(host, domid, vcpu);
  changeVcpu(host, domid, vcpu, (v) => {
    v.isInitialised = false;
    v.pauseFlags = (v.pauseFlags | VPF_down) & ~VPF_blocked;
  });
  return 0;
}

function keepContext(host: Host, domid: number, vcpu: number, bytes: Uint8Array): void {
  const id = vcpuId(domid, vcpu);
  if (host.get(vcpuContextCell, id) === undefined) host.add(vcpuContextCell, id, { bytes: bytes.slice() });
  else host.edit(vcpuContextCell, id).bytes = bytes.slice();
}

/** The context a vCPU was given: EINVAL for one that was not made, ENODATA for one that has none. */
export function getvcpucontext(
  host: Host,
  caller: Caller,
  { domid, vcpu }: { domid: number; vcpu: number },
): { bytes: Uint8Array; online: boolean } | Failure {
  const d = controlled(host, caller, domid);
  if (isFailure(d)) return d;
  const v = domainVcpu(host, domid, vcpu);
  if (v === undefined) return fail("EINVAL");
  if (!v.isInitialised) return fail("ENODATA");
  const online = (v.pauseFlags & VPF_down) === 0;
  if (d.type !== "pv") return { bytes: hvmGuestContext(host, domid, vcpu), online };
  const context = host.get(vcpuContextCell, vcpuId(domid, vcpu));
  return { bytes: context?.bytes.slice() ?? new Uint8Array(0), online };
}

/** struct xen_domctl_getvcpuinfo; `cpuTime` is in nanoseconds. */
export interface VcpuInfo {
  online: boolean;
  blocked: boolean;
  running: boolean;
  cpuTime: number;
  cpu: number;
}

/** What a vCPU does: EINVAL beyond the domain's maximum, ESRCH for one that was not made. */
export function getvcpuinfo(
  host: Host,
  caller: Caller,
  { domid, vcpu }: { domid: number; vcpu: number },
): VcpuInfo | Failure {
  const v = oneVcpu(host, caller, domid, vcpu);
  if (isFailure(v)) return v;
  return {
    online: (v.pauseFlags & VPF_down) === 0,
    blocked: (v.pauseFlags & VPF_blocked) !== 0,
    running: vcpuRunnable(must(host, domainCell, domid), v),
    cpuTime: runningTime(host.now, v) * 1000,
    cpu: v.processor,
  };
}

function oneVcpu(host: Host, caller: Caller, domid: number, vcpu: number): DeepReadonly<Vcpu> | Failure {
  const d = controlled(host, caller, domid);
  if (isFailure(d)) return d;
  if (vcpu >= d.maxVcpus) return fail("EINVAL");
  return domainVcpu(host, domid, vcpu) ?? fail("ESRCH");
}

/** What can be sent; `unknown` stands for any number that means nothing. */
export type Trigger = "nmi" | "reset" | "init" | "unknown" | AcpiButton;

/**
 * Sends a vCPU an NMI, or presses a button of the domain's ACPI: ESRCH for a
 * vCPU that was not made, EINVAL for buttons of a PV domain, ENOSYS for the
 * triggers x86 does not have.
 */
export function sendtrigger(
  host: Host,
  caller: Caller,
  { domid, vcpu, trigger }: { domid: number; vcpu: number; trigger: Trigger },
): 0 | Failure {
  return domctl(
    host,
    caller,
    "sendtrigger",
    controlled(host, caller, domid),
    domid,
    { trigger, vcpu },
    (d) => {
      if (domainVcpu(host, domid, vcpu) === undefined) return fail("ESRCH");
      if (trigger === "nmi") vcpuUnblock(host, domid, vcpu);
      else if (trigger === "power" || trigger === "sleep") {
        if (d.type === "pv") return fail("EINVAL");
        if (host.get(acpiButtonCell, domid) === undefined)
          host.add(acpiButtonCell, domid, { pressed: trigger });
      } else return fail("ENOSYS");
      return 0;
    },
  );
}
