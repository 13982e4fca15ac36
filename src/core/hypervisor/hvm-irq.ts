// SPDX-License-Identifier: Apache-2.0
//
// Interrupt lines of an HVM domain's emulated devices, as its device model
// raises and lowers them (xen/arch/x86/hvm/irq.c). Which lines are up is what the
// records of a saved domain say; no processor here takes an interrupt.

import { hvmSave } from "../../abi/4.17/hvm-save.ts";
import type { DeepReadonly } from "../engine/cells.ts";
import { fail, isFailure } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { traced } from "./caller.ts";
import type { Caller } from "./caller.ts";
import type { Domain } from "./domain.ts";
import { editRecord } from "./hvm-context.ts";
import { emulated } from "./ioreq-op.ts";

const DEVICES = 32;
const INTX_LINES = 4;
const ISA_IRQS = 16;
const LINKS = 4;

function setBit(bytes: Uint8Array, bit: number, up: boolean): void {
  const mask = 1 << (bit & 7);
  bytes[bit >> 3] = up ? (bytes[bit >> 3] ?? 0) | mask : (bytes[bit >> 3] ?? 0) & ~mask;
}

/** Does it on the domain a device model means, where its arguments are valid: EINVAL, ESRCH, EPERM. */
function onDomain(
  host: Host,
  caller: Caller,
  op: string,
  args: { domid: number; [name: string]: number },
  valid: boolean,
  change: (d: DeepReadonly<Domain>) => void,
): 0 | Failure {
  const { domid, ...shown } = args;
  const d = emulated(host, caller, domid);
  const result = isFailure(d) ? d : valid ? 0 : fail("EINVAL");
  if (result === 0 && !isFailure(d)) change(d);
  return traced(host, caller, op, domid, shown, result);
}

/** XEN_DMOP_set_pci_intx_level: of a device on the first bus; EINVAL for others. */
export function setPciIntxLevel(
  host: Host,
  caller: Caller,
  args: { domid: number; segment: number; bus: number; device: number; intx: number; level: number },
): 0 | Failure {
  const { segment, bus, device, intx, level } = args;
  const valid = segment === 0 && bus === 0 && device < DEVICES && intx < INTX_LINES && level < 2;
  return onDomain(host, caller, "dm_op set_pci_intx_level", args, valid, (d) =>
    editRecord(host, d, hvmSave.PCI_IRQ, (lines) => setBit(lines, device * INTX_LINES + intx, level === 1)),
  );
}

/** XEN_DMOP_set_isa_irq_level: EINVAL beyond the sixteen there are. */
export function setIsaIrqLevel(
  host: Host,
  caller: Caller,
  args: { domid: number; irq: number; level: number },
): 0 | Failure {
  const { irq, level } = args;
  return onDomain(host, caller, "dm_op set_isa_irq_level", args, irq < ISA_IRQS && level < 2, (d) =>
    editRecord(host, d, hvmSave.ISA_IRQ, (lines) => setBit(lines, irq, level === 1)),
  );
}

/** XEN_DMOP_set_pci_link_route: which ISA interrupt a PCI link raises, 0 for none; EINVAL beyond those there are. */
export function setPciLinkRoute(
  host: Host,
  caller: Caller,
  args: { domid: number; link: number; irq: number },
): 0 | Failure {
  const { link, irq } = args;
  return onDomain(host, caller, "dm_op set_pci_link_route", args, link < LINKS && irq < ISA_IRQS, (d) =>
    editRecord(host, d, hvmSave.PCI_LINK, (routes) => void (routes[link] = irq)),
  );
}
