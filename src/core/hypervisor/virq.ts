// SPDX-License-Identifier: Apache-2.0
//
// Virtual interrupts: events whose source is the hypervisor
// (xen/common/event_channel.c). A global one has one handling domain.

import { cellType } from "../engine/cells.ts";
import type { Cells } from "../engine/cells.ts";
import type { Host } from "../engine/host.ts";
import { hardwareDomid } from "./domain.ts";
import { setPending, virqPortCell } from "./port.ts";

export const VIRQ_TIMER = 0;
export const VIRQ_DEBUG = 1;
/** A domain was shut down, died or is gone. */
export const VIRQ_DOM_EXC = 3;
export const VIRQ_CON_RING = 8;
export const NR_VIRQS = 24;

declare module "../engine/trace.ts" {
  interface TraceEvents {
    /** A global virtual interrupt and why; `port` is 0 where nobody has bound it. */
    virq: { virq: number; why: string; domid: number; port: number };
  }
}

/** Which domain handles a global VIRQ instead of the hardware domain; a domain reference is held. */
export const globalVirqHandlerCell = cellType<{ domid: number }>("global-virq-handler");

/** Whether a VIRQ has one handler on the whole host, not one a vCPU. */
export function virqIsGlobal(virq: number): boolean {
  return virq !== VIRQ_TIMER && virq !== VIRQ_DEBUG && virq !== 7 && virq !== 13;
}

/** The identifier of the cell that says where a VIRQ is bound. */
export function virqPortId(domid: number, vcpu: number, virq: number): string {
  return `${domid}/${vcpu}/${virq}`;
}

/** The port a VIRQ is bound to, or 0. */
export function virqPort(cells: Cells, domid: number, vcpu: number, virq: number): number {
  return cells.get(virqPortCell, virqPortId(domid, vcpu, virq))?.port ?? 0;
}

/** The domain that handles a global VIRQ. */
export function globalVirqHandler(cells: Cells, virq: number): number {
  return cells.get(globalVirqHandlerCell, virq)?.domid ?? hardwareDomid;
}

/** Raises a global VIRQ with its handler (send_global_virq). `why` is for the trace. */
export function sendGlobalVirq(host: Host, virq: number, why: string): void {
  const domid = globalVirqHandler(host, virq);
  const port = virqPort(host, domid, 0, virq);
  host.emit("virq", { virq, why, domid, port });
  if (port !== 0) setPending(host, domid, port);
}

/** Raises a VIRQ with one vCPU (send_guest_vcpu_virq). */
export function sendVcpuVirq(host: Host, domid: number, vcpu: number, virq: number): void {
  const port = virqPort(host, domid, vcpu, virq);
  if (port !== 0) setPending(host, domid, port);
}
