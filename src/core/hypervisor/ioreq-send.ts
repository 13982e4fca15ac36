// SPDX-License-Identifier: Apache-2.0
//
// A vCPU's access to an emulated device: it is sent to the IOREQ server that
// emulates it, and the vCPU stays in the hypervisor until the answer has come
// (xen/common/ioreq.c: ioreq_server_select, ioreq_send, wait_for_io).

import * as X from "../../abi/4.17/constants.ts";
import { ioreq } from "../../abi/4.17/layout.ts";
import { bytesOf, setBig, viewOf, zeroed } from "../../abi/struct.ts";
import { must } from "../engine/cells.ts";
import type { Cells } from "../engine/cells.ts";
import type { Host } from "../engine/host.ts";
import { hvmMemoryCell } from "./hvm-memory-cell.ts";
import { ioreqServerCell, ioreqServerId, ioreqServersOf } from "./ioreq.ts";
import type { IoRangeKind } from "./ioreq.ts";
import { p2mType } from "./p2m.ts";
import { evtchnPort, setPending } from "./port.ts";
import { rangesetContains } from "./rangeset.ts";
import { endShutdownDeferral, startShutdownDeferral } from "./shutdown.ts";
import { changeVcpu, domainVcpu, VPF_blocked_in_xen } from "./vcpu.ts";

/** An access of a vCPU's. */
export interface IoAccess {
  kind: IoRangeKind;
  /** The port, the guest address, or the PCI function as `segment << 16 | bus << 8 | devfn`. */
  address: number;
  /** Which register of a PCI function. */
  register: number;
  size: 1 | 2 | 4;
  dir: "read" | "write";
  data: number;
}

/** Where the state and the flags of a request are: the byte before its type. */
const FLAGS = ioreq.type.offset - 1;
const STATE_MASK = 15;
const DIR_READ = 1 << 5;

const types: { readonly [kind in IoRangeKind]: number } = {
  port: X.IOREQ_TYPE_PIO,
  memory: X.IOREQ_TYPE_COPY,
  pci: X.IOREQ_TYPE_PCI_CONFIG,
};

/** What is sent: bits 0 to 31 of a PCI access's address are the register. */
function encode({ kind, address, register, size, dir, data }: IoAccess, port: number): Uint8Array {
  const view = zeroed(ioreq);
  setBig(view, ioreq.addr, kind === "pci" ? (BigInt(address) << 32n) | BigInt(register) : BigInt(address));
  ioreq.data.set(view, data);
  ioreq.count.set(view, 1);
  ioreq.size.set(view, size);
  ioreq.vp_eport.set(view, port);
  ioreq.type.set(view, types[kind]);
  view.setUint8(FLAGS, (dir === "read" ? DIR_READ : 0) | X.STATE_IOREQ_READY);
  return bytesOf(view);
}

/** The server that emulates what is accessed, the one made last first; -1 where none does. */
export function ioreqServerSelect(
  cells: Cells,
  domid: number,
  { kind, address, size, dir }: Pick<IoAccess, "kind" | "address" | "size" | "dir">,
): number {
  if (
    kind === "memory" &&
    dir === "write" &&
    p2mType(cells, domid, Math.floor(address / 4096)) === "ioreq_server"
  )
    return cells.get(hvmMemoryCell, domid)?.typeServer ?? -1;
  const last = kind === "pci" ? address : address + size - 1;
  const range = { start: BigInt(address), end: BigInt(last) };
  for (const [id, { enabled, ranges }] of [...ioreqServersOf(cells, domid)].toReversed())
    if (enabled && rangesetContains(ranges[kind], range)) return id;
  return -1;
}

/**
 * Sends a vCPU's access to a server and holds the vCPU in the hypervisor. False
 * where its domain is shutting down, or the server's page or port is not what
 * it should be: nothing is sent then.
 */
export function ioreqSend(host: Host, domid: number, vcpu: number, id: number, access: IoAccess): boolean {
  if (!startShutdownDeferral(host, domid, vcpu)) return false;
  const { ioreq: page, ports } = must(host, ioreqServerCell, ioreqServerId(domid, id));
  const port = ports[vcpu] ?? 0;
  const at = vcpu * ioreq.sizeof;
  const before = viewOf(host.memory.read(page.mfn, at, ioreq.sizeof));
  if ((before.getUint8(FLAGS) & STATE_MASK) !== X.STATE_IOREQ_NONE || ioreq.vp_eport.get(before) !== port) {
    endShutdownDeferral(host, domid, vcpu);
    return false;
  }
  changeVcpu(host, domid, vcpu, (v) => void (v.pauseFlags |= VPF_blocked_in_xen));
  host.memory.write(page.mfn, at, encode(access, port));
  const chn = evtchnPort(host, domid, port);
  if (chn?.state === "interdomain") setPending(host, chn.remoteDomid, chn.remotePort);
  return true;
}

/** Whether a vCPU waits in the hypervisor for a device model. */
export function isBlockedInXen(cells: Cells, domid: number, vcpu: number): boolean {
  return ((domainVcpu(cells, domid, vcpu)?.pauseFlags ?? 0) & VPF_blocked_in_xen) !== 0;
}

/**
 * A vCPU was woken: the answer to what it sent, as many bytes as it asked for.
 * Null where there is none yet; it waits on.
 */
export function ioreqAnswer(
  host: Host,
  domid: number,
  vcpu: number,
  id: number,
  size: number,
): { data: number } | null {
  const server = host.get(ioreqServerCell, ioreqServerId(domid, id));
  // An emulator that died with the request leaves all ones.
  let data = 0xffffffff;
  if (server !== undefined) {
    const at = vcpu * ioreq.sizeof;
    const view = viewOf(host.memory.read(server.ioreq.mfn, at, ioreq.sizeof));
    const state = view.getUint8(FLAGS) & STATE_MASK;
    if (state !== X.STATE_IORESP_READY && state !== X.STATE_IOREQ_NONE) {
      changeVcpu(host, domid, vcpu, (v) => void (v.pauseFlags |= VPF_blocked_in_xen));
      return null;
    }
    if (state === X.STATE_IORESP_READY) {
      data = view.getUint32(ioreq.data.offset, true);
      const idle = Uint8Array.of(view.getUint8(FLAGS) & ~STATE_MASK);
      host.memory.write(server.ioreq.mfn, at + FLAGS, idle);
    }
  }
  endShutdownDeferral(host, domid, vcpu);
  return { data: size === 4 ? data : data & (2 ** (8 * size) - 1) };
}
