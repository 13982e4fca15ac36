// SPDX-License-Identifier: Apache-2.0
//
// Event channels: making, binding and closing them (xen/common/event_channel.c).

import { must } from "../engine/cells.ts";
import type { Cells, DeepReadonly } from "../engine/cells.ts";
import { assert, fail, isFailure } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { findNextBit, findNextZeroBit, findPrevBit, setBit, testAndClearBit } from "./bitmap.ts";
import { resetChangedDomains } from "./changed-domains.ts";
import { domainCell, domainInfoCell } from "./domain.ts";
import type { Domain } from "./domain.ts";
import { getDomain, putDomain } from "./free.ts";
import { versionOf } from "./machine.ts";
import {
  evtchnPort,
  evtchnTableCell,
  portCell,
  portId,
  portsInUse,
  setPending,
  virqPortCell,
} from "./port.ts";
import type { EvtchnTable, Port } from "./port.ts";
import { changeVcpu, domainVcpu, VPF_blocked_in_xen } from "./vcpu.ts";
import {
  globalVirqHandler,
  globalVirqHandlerCell,
  NR_VIRQS,
  VIRQ_DOM_EXC,
  virqIsGlobal,
  virqPort,
  virqPortId,
} from "./virq.ts";

/** Ports a restartable operation closes before it looks whether somebody waits. */
const PORTS_PER_SLICE = 64;

/** Most ports that queues can address (EVTCHN_FIFO_NR_CHANNELS). */
export const FIFO_CHANNELS = 131072;

/** Gives a new domain its event channels; port 0 is never handed out (evtchn_init). */
export function evtchnInit(cells: Cells, domid: number, maxPort: number): void {
  const table: EvtchnTable = { abi: "2l", maxPort, validPorts: PORTS_PER_BUCKET, nextEvtchn: 0 };
  cells.add(evtchnTableCell, domid, table);
  addPort(cells, domid, 0, { state: "reserved" });
}

function addPort(cells: Cells, domid: number, port: number, fields: Partial<Port>): void {
  setBit(cells, portsInUse(domid), port);
  if (port >= must(cells, evtchnTableCell, domid).validPorts)
    cells.edit(evtchnTableCell, domid).validPorts =
      (Math.floor(port / PORTS_PER_BUCKET) + 1) * PORTS_PER_BUCKET;
  cells.add(portCell, portId(domid, port), {
    state: "unbound",
    notifyVcpu: 0,
    xenConsumer: 0,
    remoteDomid: 0,
    remotePort: 0,
    virq: 0,
    pirq: 0,
    pending: false,
    masked: false,
    ...fields,
  });
}

function freePort(cells: Cells, domid: number, port: number): void {
  testAndClearBit(cells, portsInUse(domid), port);
  cells.drop(portCell, portId(domid, port));
}

/** Ports Xen allocates at a time (EVTCHNS_PER_BUCKET). */
const PORTS_PER_BUCKET = 64;

/** How many ports a domain has room for (valid_evtchns). */
export function validPorts(cells: Cells, domid: number): number {
  return must(cells, evtchnTableCell, domid).validPorts;
}

/** How many ports the domain's kernel can address: two levels of words of its own size, or queues (max_evtchns). */
function maxEvtchns(cells: Cells, domid: number): number {
  if (must(cells, evtchnTableCell, domid).abi === "fifo") return FIFO_CHANNELS;
  return must(cells, domainInfoCell, domid).addressSize ** 2;
}

/** The lowest free port: EINVAL for a dying domain, ENOSPC when its limit is reached (get_free_port). */
export function getFreePort(cells: Cells, domid: number): number | Failure {
  if (must(cells, domainCell, domid).isDying !== "alive") return fail("EINVAL");
  const { maxPort } = must(cells, evtchnTableCell, domid);
  const port = findNextZeroBit(cells, portsInUse(domid), 1);
  return port < 0 || port > maxPort || port >= maxEvtchns(cells, domid) ? fail("ENOSPC") : port;
}

/** Makes a port that `remoteDomid` may bind; `xenVcpu` where Xen itself takes its events for that vCPU. */
export function allocUnbound(
  cells: Cells,
  domid: number,
  remoteDomid: number,
  xenVcpu?: number,
): number | Failure {
  const port = getFreePort(cells, domid);
  if (isFailure(port)) return port;
  addPort(cells, domid, port, {
    remoteDomid,
    notifyVcpu: xenVcpu ?? 0,
    xenConsumer: xenVcpu === undefined ? 0 : 1,
  });
  return port;
}

/**
 * Binds a new local port to a remote one that waits for this domain; an event is pending at once, in case
 * one got lost.
 */
export function bindInterdomain(
  host: Host,
  domid: number,
  remoteDomid: number,
  remotePort: number,
): number | Failure {
  const port = getFreePort(host, domid);
  if (isFailure(port)) return port;
  const remote = evtchnPort(host, remoteDomid, remotePort);
  if (remote?.state !== "unbound" || remote.remoteDomid !== domid) return fail("EINVAL");
  addPort(host, domid, port, { state: "interdomain", remoteDomid, remotePort });
  const rchn = host.edit(portCell, portId(remoteDomid, remotePort));
  rchn.state = "interdomain";
  rchn.remoteDomid = domid;
  rchn.remotePort = port;
  setPending(host, domid, port);
  return port;
}

/**
 * Binds a virtual interrupt of one of the domain's own vCPUs, each at most once: EINVAL, ENOENT, EEXIST,
 * ENOSPC; EBUSY where another domain handles it (4.21).
 */
export function bindVirq(
  cells: Cells,
  d: DeepReadonly<Domain>,
  virq: number,
  vcpu: number,
): number | Failure {
  if (virq < 0 || virq >= NR_VIRQS || (virqIsGlobal(virq) && vcpu !== 0)) return fail("EINVAL");
  if (vcpu >= d.nrVcpus) return fail("ENOENT");
  if (virqIsGlobal(virq) && globalVirqHandler(cells, virq) !== d.domid && versionOf(cells).strictGlobalVirqs)
    return fail("EBUSY");
  if (cells.get(virqPortCell, virqPortId(d.domid, vcpu, virq)) !== undefined) return fail("EEXIST");
  const port = getFreePort(cells, d.domid);
  if (isFailure(port)) return port;
  addPort(cells, d.domid, port, { state: "virq", virq, notifyVcpu: vcpu });
  cells.add(virqPortCell, virqPortId(d.domid, vcpu, virq), { port });
  return port;
}

/** Makes a port a vCPU of the domain sends itself events through. */
export function bindIpi(cells: Cells, d: DeepReadonly<Domain>, vcpu: number): number | Failure {
  if (vcpu >= d.nrVcpus) return fail("ENOENT");
  const port = getFreePort(cells, d.domid);
  if (isFailure(port)) return port;
  addPort(cells, d.domid, port, { state: "ipi", notifyVcpu: vcpu });
  return port;
}

/** Binds a physical interrupt; who has which is the device's affair. */
export function bindPirq(cells: Cells, domid: number, pirq: number): number | Failure {
  const port = getFreePort(cells, domid);
  if (isFailure(port)) return port;
  addPort(cells, domid, port, { state: "pirq", pirq });
  return port;
}

/** Frees a port; the other end of a channel waits for this domain again (evtchn_close). */
export function closePort(host: Host, domid: number, port: number, guest: boolean): 0 | Failure {
  const chn = evtchnPort(host, domid, port);
  if (chn === undefined || chn.state === "reserved" || (guest && chn.xenConsumer !== 0))
    return fail("EINVAL");
  if (chn.state === "virq") closeVirq(host, domid, chn);
  if (chn.state === "interdomain") {
    const remote = host.edit(portCell, portId(chn.remoteDomid, chn.remotePort));
    assert(
      remote.state === "interdomain" && remote.remoteDomid === domid,
      `d${domid} port ${port} has one end`,
    );
    remote.state = "unbound";
    remote.remotePort = 0;
  }
  freePort(host, domid, port);
  return 0;
}

function closeVirq(host: Host, domid: number, { virq, notifyVcpu }: DeepReadonly<Port>): void {
  host.drop(virqPortCell, virqPortId(domid, virqIsGlobal(virq) ? 0 : notifyVcpu, virq));
  if (virq === VIRQ_DOM_EXC && globalVirqHandler(host, virq) === domid) resetChangedDomains(host);
}

/** Sends an event through a port: to the other end, or to the domain itself for an IPI; into the void while unbound. */
export function evtchnSend(host: Host, domid: number, port: number): 0 | Failure {
  const chn = evtchnPort(host, domid, port);
  if (chn === undefined || chn.xenConsumer !== 0) return fail("EINVAL");
  switch (chn.state) {
    case "interdomain":
      notifyRemote(host, chn.remoteDomid, chn.remotePort);
      return 0;
    case "ipi":
      setPending(host, domid, port);
      return 0;
    case "unbound":
      return 0;
    default:
      return fail("EINVAL");
  }
}

/**
 * Closes a dying domain's ports from the top, 64 a call, then gives up the
 * global VIRQs it handles (evtchn_destroy). ERESTART while ports are left.
 */
export function evtchnDestroy(host: Host, domid: number): "done" | "ERESTART" {
  const ports = portsInUse(domid);
  for (let closed = 0; ; closed++) {
    const port = findPrevBit(host, ports, 32 ** ports.levels - 1);
    if (port <= 0) break;
    if (closed === PORTS_PER_SLICE) return "ERESTART";
    closePort(host, domid, port, false);
  }
  freePort(host, domid, 0);
  clearGlobalVirqHandlers(host, domid);
  return "done";
}

/**
 * Makes a domain the handler of a global VIRQ; a reference on it is held until
 * another takes over. EINVAL for a VIRQ that has none; since 4.21 also for a
 * dying domain, and EBUSY while the present handler has it bound.
 */
export function setGlobalVirqHandler(host: Host, domid: number, virq: number): 0 | Failure {
  if (virq < 0 || virq >= NR_VIRQS || !virqIsGlobal(virq)) return fail("EINVAL");
  const old = host.get(globalVirqHandlerCell, virq)?.domid;
  if (old === domid) return 0;
  if (versionOf(host).strictGlobalVirqs) {
    if (must(host, domainCell, domid).isDying !== "alive") return fail("EINVAL");
    if (virqPort(host, globalVirqHandler(host, virq), 0, virq) !== 0) return fail("EBUSY");
  }
  const holder = virqHolder(virq);
  const taken = getDomain(host, domid, { holder, kind: "global virq", op: "set_global_virq_handler" });
  if (!taken) return fail("EINVAL");
  if (old === undefined) host.add(globalVirqHandlerCell, virq, { domid });
  else {
    host.edit(globalVirqHandlerCell, virq).domid = domid;
    putDomain(host, old, holder, "global virq");
  }
  return 0;
}

/** A global VIRQ in a ledger: "xen/virq8". */
function virqHolder(virq: number): string {
  return `xen/virq${virq}`;
}

function clearGlobalVirqHandlers(host: Host, domid: number): void {
  for (let virq = 0; virq < NR_VIRQS; virq++) {
    if (host.get(globalVirqHandlerCell, virq)?.domid !== domid) continue;
    host.drop(globalVirqHandlerCell, virq);
    putDomain(host, domid, virqHolder(virq), "global virq");
  }
}

/**
 * Closes all ports Xen itself does not use, 64 a call (evtchn_reset). The domain
 * must be the caller's own or paused: EINVAL else. EBUSY while another reset is
 * under way.
 */
export function evtchnReset(
  host: Host,
  caller: number,
  domid: number,
  resuming: boolean,
): "done" | "ERESTART" | Failure {
  if (caller !== domid && must(host, domainCell, domid).controllerPauseCount === 0) return fail("EINVAL");
  const table = host.edit(evtchnTableCell, domid);
  if (!resuming && table.nextEvtchn !== 0) return fail("EBUSY");
  let port = resuming ? table.nextEvtchn : 1;
  for (let closed = 0; ; closed++) {
    port = findNextBit(host, portsInUse(domid), port);
    if (port < 0) break;
    if (closed === PORTS_PER_SLICE) {
      table.nextEvtchn = port;
      return "ERESTART";
    }
    closePort(host, domid, port, true);
    port++;
  }
  table.nextEvtchn = 0;
  table.abi = "2l";
  return "done";
}

/** An event reaches the other end: for Xen itself it wakes the vCPU that waits, nothing is pending there. */
function notifyRemote(host: Host, domid: number, port: number): void {
  const { xenConsumer, notifyVcpu } = must(host, portCell, portId(domid, port));
  if (xenConsumer === 0) return setPending(host, domid, port);
  const v = domainVcpu(host, domid, notifyVcpu);
  if (v === undefined || (v.pauseFlags & VPF_blocked_in_xen) === 0) return;
  changeVcpu(host, domid, notifyVcpu, (w) => void (w.pauseFlags &= ~VPF_blocked_in_xen));
}
