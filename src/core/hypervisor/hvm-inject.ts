// SPDX-License-Identifier: Apache-2.0
//
// What a device model injects: an event into a vCPU, a message-signalled
// interrupt into a domain's local APICs (xen/arch/x86/hvm: dm.c, irq.c, vmsi.c,
// vlapic.c). No processor here takes an interrupt: which are requested is what the
// records of a saved domain say.

import { hvmSave } from "../../abi/4.17/hvm-save.ts";
import { viewOf } from "../../abi/struct.ts";
import type { DeepReadonly } from "../engine/cells.ts";
import { fail, isFailure } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { traced } from "./caller.ts";
import type { Caller } from "./caller.ts";
import type { Domain } from "./domain.ts";
import { editRecord, recordOf } from "./hvm-context.ts";
import { emulated } from "./ioreq-op.ts";
import { domainVcpu, injectedEventCell, vcpuId, vcpuRunnable } from "./vcpu.ts";
import type { InjectedEvent } from "./vcpu.ts";

/**
 * XEN_DMOP_inject_event: EINVAL for a vCPU there is not, EBUSY while one waits
 * that it has not run to take.
 */
export function injectEvent(
  host: Host,
  caller: Caller,
  { domid, vcpu, event }: { domid: number; vcpu: number; event: InjectedEvent },
): 0 | Failure {
  const d = emulated(host, caller, domid);
  const result = isFailure(d) ? d : inject(host, d, vcpu, event);
  const shown = { vcpuid: vcpu, vector: event.vector, type: event.type };
  return traced(host, caller, "dm_op inject_event", domid, shown, result);
}

function inject(host: Host, d: DeepReadonly<Domain>, vcpu: number, event: InjectedEvent): 0 | Failure {
  const v = domainVcpu(host, d.domid, vcpu);
  if (v === undefined) return fail("EINVAL");
  const id = vcpuId(d.domid, vcpu);
  if (host.get(injectedEventCell, id) !== undefined) return fail("EBUSY");
  // A vCPU that runs takes it at its next entry; it wakes none that waits.
  if (!vcpuRunnable(d, v)) host.add(injectedEventCell, id, event);
  return 0;
}

/** Registers of a local APIC: where they are in its page, and what they are after a reset. */
const APIC = { id: 0x20, ldr: 0xd0, dfr: 0xe0, spiv: 0xf0, tmr: 0x180, irr: 0x200 } as const;
const SPIV_ENABLED = 1 << 8;
const DFR_FLAT = 0xf;
const BROADCAST = 0xff;
/** Interrupts below are the processor's own: a message with one is an error, and nothing else. */
const FIRST_VECTOR = 16;
const FIXED = 0;
const LOWEST_PRIORITY = 1;
/** Interrupt lines that a guest without passed-through devices may have (nr_static_irqs, extra_domU_irqs). */
const PIRQS = 56;

/**
 * XEN_DMOP_inject_msi: an address and data as a device would write them. EINVAL
 * for a delivery that Xen does not know, ESRCH where the lowest priority is asked
 * for and no APIC that is enabled is meant. Vector 0 means an event channel by the
 * number of its interrupt: ERANGE for 0, EINVAL beyond those there are; guests here
 * bind none.
 */
export function injectMsi(
  host: Host,
  caller: Caller,
  { domid, address, data }: { domid: number; address: bigint; data: number },
): 0 | Failure {
  const d = emulated(host, caller, domid);
  const result = isFailure(d) ? d : deliver(host, d, address, data);
  const shown = { addr: `0x${address.toString(16)}`, data };
  return traced(host, caller, "dm_op inject_msi", domid, shown, result);
}

function deliver(host: Host, d: DeepReadonly<Domain>, address: bigint, data: number): 0 | Failure {
  const low = Number(address & 0xffffffffn);
  const message = {
    dest: (low >> 12) & 0xff,
    isLogical: (low & 4) !== 0,
    vector: data & 0xff,
    isLevel: (data & 0x8000) !== 0,
  };
  if (message.vector === 0) {
    const pirq = Number((address >> 32n) & 0xffffff00n) + message.dest;
    return pirq === 0 ? fail("ERANGE") : pirq < PIRQS ? 0 : fail("EINVAL");
  }
  const apic = (vcpu: number): DataView => viewOf(recordOf(host, d, hvmSave.LAPIC_REGS, vcpu));
  const meant = Array.from({ length: d.nrVcpus }, (_, vcpu) => vcpu).filter((vcpu) =>
    matches(apic(vcpu), message),
  );
  switch ((data >> 8) & 7) {
    case FIXED:
      for (const vcpu of meant) request(host, d, vcpu, message);
      return 0;
    case LOWEST_PRIORITY: {
      const first = meant.find((vcpu) => (apic(vcpu).getUint32(APIC.spiv, true) & SPIV_ENABLED) !== 0);
      if (first === undefined) return fail("ESRCH");
      request(host, d, first, message);
      return 0;
    }
    default:
      return fail("EINVAL");
  }
}

/** Whether an APIC is meant (vlapic_match_dest): by its number, or by the bits of its logical address. */
function matches(regs: DataView, { dest, isLogical }: { dest: number; isLogical: boolean }): boolean {
  const top = (register: number): number => regs.getUint32(register, true) >>> 24;
  if (!isLogical) return dest === BROADCAST || dest === top(APIC.id);
  const logical = top(APIC.ldr);
  if (regs.getUint32(APIC.dfr, true) >>> 28 === DFR_FLAT) return (logical & dest) !== 0;
  return logical >> 4 === dest >> 4 && (logical & dest & 0xf) !== 0;
}

/** Marks an interrupt as requested, and how it is triggered (vlapic_set_irq). */
function request(
  host: Host,
  d: DeepReadonly<Domain>,
  vcpu: number,
  { vector, isLevel }: { vector: number; isLevel: boolean },
): void {
  if (vector < FIRST_VECTOR) return;
  const at = (vector >> 5) * 16 + ((vector & 31) >> 3);
  const bit = 1 << (vector & 7);
  const change = (regs: Uint8Array): void => {
    regs[APIC.irr + at] = (regs[APIC.irr + at] ?? 0) | bit;
    const before = regs[APIC.tmr + at] ?? 0;
    regs[APIC.tmr + at] = isLevel ? before | bit : before & ~bit;
  };
  editRecord(host, d, hvmSave.LAPIC_REGS, change, vcpu);
}
