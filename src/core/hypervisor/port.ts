// SPDX-License-Identifier: Apache-2.0
//
// Event channel ports: one end each of a domain's channels, and the pending and
// mask bit that in Xen lie in memory shared with the guest.

import { cellType, must } from "../engine/cells.ts";
import type { Cells, DeepReadonly } from "../engine/cells.ts";
import type { Host } from "../engine/host.ts";
import { post } from "../engine/mailbox.ts";
import { bitmap } from "./bitmap.ts";
import type { Bitmap } from "./bitmap.ts";
import { changeVcpu, domainVcpu, VPF_blocked } from "./vcpu.ts";

/** ECS_* of xen/sched.h; a free port has no cell. Debug key e prints the number. */
export const portStates = ["free", "reserved", "unbound", "interdomain", "pirq", "virq", "ipi"] as const;
export type PortState = (typeof portStates)[number];

/** One end of a channel. Fields that its state does not use are 0. */
export interface Port {
  state: PortState;
  notifyVcpu: number;
  /** Xen itself takes the events (IOREQ servers): 1, else 0. */
  xenConsumer: number;
  /** unbound: who may bind; interdomain: who has bound. */
  remoteDomid: number;
  remotePort: number;
  virq: number;
  pirq: number;
  pending: boolean;
  masked: boolean;
}

export const portCell = cellType<Port>("port");

/** A domain's event channels as a whole. Its cell's identifier is the domid. */
export interface EvtchnTable {
  /** 2-level bitmaps until the guest sets up a FIFO queue. */
  abi: "2l" | "fifo";
  maxPort: number;
  /** Ports there is room for: whole buckets up to the highest it ever had. A port that was one stays one (XSA-338). */
  validPorts: number;
  /** Where a reset that was restarted goes on, 0 while none is under way. */
  nextEvtchn: number;
}

export const evtchnTableCell = cellType<EvtchnTable>("evtchn-table");

/** Which port a vCPU's VIRQ is bound to; a global one is vCPU 0's. Identifier: `domid/vcpu/virq`. */
export const virqPortCell = cellType<{ port: number }>("virq-port");

/** The identifier of a port's cell. */
export function portId(domid: number, port: number): string {
  return `${domid}/${port}`;
}

/** Ports of a domain that are not free. */
export function portsInUse(domid: number): Bitmap {
  return bitmap(`ports/${domid}`, 4);
}

/** A domain's port, or undefined where it is free. */
export function evtchnPort(cells: Cells, domid: number, port: number): DeepReadonly<Port> | undefined {
  return cells.get(portCell, portId(domid, port));
}

/** Whether an event waits at a port and may be delivered: what a handler's thread waits for. Reads one cell. */
export function eventPending(cells: Cells, domid: number, port: number): boolean {
  const chn = evtchnPort(cells, domid, port);
  return chn !== undefined && chn.pending && !chn.masked;
}

/** Takes the event waiting at a port, as the guest's upcall does, and says whether there was one. */
export function consumeEvent(host: Host, domid: number, port: number): boolean {
  const chn = evtchnPort(host, domid, port);
  if (chn === undefined || !chn.pending || chn.masked) return false;
  host.edit(portCell, portId(domid, port)).pending = false;
  const v = domainVcpu(host, domid, chn.notifyVcpu);
  if (v === undefined || (!v.upcallPending && !v.upcallMask)) return true;
  changeVcpu(host, domid, chn.notifyVcpu, (w) => {
    w.upcallPending = false;
    w.upcallMask = false;
  });
  return true;
}

/** Marks an event pending and wakes the vCPU that takes it, unless it is masked (evtchn_port_set_pending). */
export function setPending(host: Host, domid: number, port: number): void {
  const chn = must(host, portCell, portId(domid, port));
  if (chn.pending) return;
  host.edit(portCell, portId(domid, port)).pending = true;
  if (!chn.masked) deliver(host, domid, port, chn.notifyVcpu);
}

/** Takes a mask away; what was pending behind it is delivered now (evtchn_port_unmask). */
export function unmaskPort(host: Host, domid: number, port: number): void {
  const chn = must(host, portCell, portId(domid, port));
  if (!chn.masked) return;
  host.edit(portCell, portId(domid, port)).masked = false;
  if (chn.pending) deliver(host, domid, port, chn.notifyVcpu);
}

/**
 * Ports whose events the kernel's upcall hands on at once, and the mailbox they
 * go to as port numbers: those bound through Linux's /dev/xen/evtchn
 * (drivers/xen/evtchn.c, evtchn_interrupt). Identifier: `domid/port`.
 */
export const upcallCell = cellType<{ mailbox: string; masks: boolean }>("evtchn-upcall");

/**
 * Has a port's events handed to a mailbox from now on, and the one that waits
 * already. Where it `masks`, no other follows until the port is unmasked.
 */
export function setUpcall(host: Host, domid: number, port: number, mailbox: string, masks = false): void {
  host.add(upcallCell, portId(domid, port), { mailbox, masks });
  upcall(host, domid, port);
}

/** The interrupt handler of a port that has an upcall. */
function upcall(host: Host, domid: number, port: number): void {
  const { mailbox, masks } = must(host, upcallCell, portId(domid, port));
  if (!consumeEvent(host, domid, port)) return;
  if (masks) maskPort(host, domid, port);
  post(host, mailbox, port);
}

function deliver(host: Host, domid: number, port: number, vcpu: number): void {
  notify(host, domid, vcpu);
  if (host.get(upcallCell, portId(domid, port)) !== undefined) upcall(host, domid, port);
}

/** Masks a port: the guest writes its mask bit, no hypercall. */
export function maskPort(host: Host, domid: number, port: number): void {
  if (!must(host, portCell, portId(domid, port)).masked)
    host.edit(portCell, portId(domid, port)).masked = true;
}

function notify(host: Host, domid: number, vcpu: number): void {
  const v = domainVcpu(host, domid, vcpu);
  if (v === undefined || (v.upcallPending && (v.pauseFlags & VPF_blocked) === 0)) return;
  changeVcpu(host, domid, vcpu, (w) => {
    w.upcallPending = true;
    w.pauseFlags &= ~VPF_blocked;
  });
}
