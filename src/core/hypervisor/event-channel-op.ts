// SPDX-License-Identifier: Apache-2.0
//
// EVTCHNOP: event channels as hypercalls (xen/common/event_channel.c,
// do_event_channel_op). Ports are the caller's domain's own except where a
// domid is given.

import { fail, isFailure } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { targeted, traced } from "./caller.ts";
import type { Caller } from "./caller.ts";
import * as evtchn from "./event-channel.ts";
import { domainById } from "./domain.ts";
import { DOMID_SELF } from "./domid.ts";
import { initChangedDomains } from "./changed-domains.ts";
import { evtchnPort, evtchnTableCell, portCell, portId, unmaskPort } from "./port.ts";
import type { PortState } from "./port.ts";
import { globalVirqHandler, VIRQ_DOM_EXC, virqIsGlobal } from "./virq.ts";

/** The port a binding made. */
export interface BoundPort {
  port: number;
}

function bound(
  host: Host,
  caller: Caller,
  op: string,
  domid: number,
  args: { [name: string]: number },
  port: number | Failure,
): BoundPort | Failure {
  const result = isFailure(port) ? port : { port };
  return traced(host, caller, `evtchn_op ${op}`, domid, args, result, ({ port: made }) => ({ port: made }));
}

/** The caller's own domain where DOMID_SELF stands for it. */
function self(caller: Caller, domid: number): number {
  return domid === DOMID_SELF ? caller.domid : domid;
}

/**
 * Makes a port in a domain that `remoteDomid` may bind: EPERM unless it is the caller's or the caller
 * controls it. EINVAL, ENOSPC.
 */
export function allocUnbound(
  host: Host,
  caller: Caller,
  { domid, remoteDomid }: { domid: number; remoteDomid: number },
): BoundPort | Failure {
  const d = targeted(host, caller, domid);
  const port = isFailure(d) ? d : evtchn.allocUnbound(host, d.domid, self(caller, remoteDomid));
  return bound(host, caller, "alloc_unbound", self(caller, domid), { remote: remoteDomid }, port);
}

/** Connects a new port of the caller's to one that waits for it: ESRCH, EINVAL, ENOSPC. */
export function bindInterdomain(
  host: Host,
  caller: Caller,
  { remoteDomid, remotePort }: { remoteDomid: number; remotePort: number },
): BoundPort | Failure {
  const remote = self(caller, remoteDomid);
  const port =
    domainById(host, remote) === undefined
      ? fail("ESRCH")
      : evtchn.bindInterdomain(host, caller.domid, remote, remotePort);
  return bound(host, caller, "bind_interdomain", remote, { port: remotePort }, port);
}

/**
 * Binds a VIRQ of one of the caller's vCPUs: EINVAL, ENOENT, EEXIST, ENOSPC; EBUSY where another domain
 * handles it (4.21).
 */
export function bindVirq(
  host: Host,
  caller: Caller,
  { virq, vcpu }: { virq: number; vcpu: number },
): BoundPort | Failure {
  const d = domainById(host, caller.domid);
  const port = d === undefined ? fail("ESRCH") : evtchn.bindVirq(host, d, virq, vcpu);
  if (!isFailure(port) && virq === VIRQ_DOM_EXC && globalVirqHandler(host, virq) === caller.domid)
    initChangedDomains(host);
  return bound(host, caller, "bind_virq", caller.domid, { virq, vcpu }, port);
}

/** Makes a port for interrupts between the caller's vCPUs. */
export function bindIpi(host: Host, caller: Caller, { vcpu }: { vcpu: number }): BoundPort | Failure {
  const d = domainById(host, caller.domid);
  return bound(
    host,
    caller,
    "bind_ipi",
    caller.domid,
    { vcpu },
    d === undefined ? fail("ESRCH") : evtchn.bindIpi(host, d, vcpu),
  );
}

/** Binds a physical interrupt of the caller's. */
export function bindPirq(host: Host, caller: Caller, { pirq }: { pirq: number }): BoundPort | Failure {
  return bound(host, caller, "bind_pirq", caller.domid, { pirq }, evtchn.bindPirq(host, caller.domid, pirq));
}

/** Closes a port of the caller's: EINVAL where it is free or Xen's. */
export function close(host: Host, caller: Caller, { port }: BoundPort): 0 | Failure {
  return traced(
    host,
    caller,
    "evtchn_op close",
    caller.domid,
    { port },
    evtchn.closePort(host, caller.domid, port, true),
  );
}

/** Sends an event through a port of the caller's. Not traced: it is what drivers do all the time. */
export function send(host: Host, caller: Caller, { port }: BoundPort): 0 | Failure {
  return evtchn.evtchnSend(host, caller.domid, port);
}

/** What is known of a port. */
export interface PortStatus {
  status: Exclude<PortState, "free" | "reserved"> | "closed";
  vcpu: number;
  /** unbound, interdomain: the other domain. */
  domid: number;
  /** interdomain: the other port. */
  remotePort: number;
  virq: number;
  pirq: number;
}

/** Asks about a port: ESRCH, EINVAL beyond those there are, EACCES for one of Xen's, EPERM (evtchn_status). */
export function status(
  host: Host,
  caller: Caller,
  { domid, port }: { domid: number; port: number },
): PortStatus | Failure {
  const d = domainById(host, self(caller, domid));
  if (d === undefined) return fail("ESRCH");
  if (port >= evtchn.validPorts(host, d.domid)) return fail("EINVAL");
  const chn = evtchnPort(host, d.domid, port);
  if (chn !== undefined && chn.xenConsumer !== 0) return fail("EACCES");
  const may = targeted(host, caller, domid);
  if (isFailure(may)) return may;
  if (chn === undefined || chn.state === "reserved" || chn.state === "free") {
    return { status: "closed", vcpu: 0, domid: 0, remotePort: 0, virq: 0, pirq: 0 };
  }
  const { state, notifyVcpu: vcpu, remoteDomid, remotePort, virq, pirq } = chn;
  return { status: state, vcpu, domid: remoteDomid, remotePort, virq, pirq };
}

/** Unmasks a port of the caller's and delivers what is pending there: EINVAL beyond those there are. */
export function unmask(host: Host, caller: Caller, { port }: BoundPort): 0 | Failure {
  if (port >= evtchn.validPorts(host, caller.domid)) return fail("EINVAL");
  if (evtchnPort(host, caller.domid, port) !== undefined) unmaskPort(host, caller.domid, port);
  return 0;
}

/** Chooses the vCPU that takes a port's events: ENOENT, EINVAL where the port's kind fixes it. */
export function bindVcpu(
  host: Host,
  caller: Caller,
  { port, vcpu }: { port: number; vcpu: number },
): 0 | Failure {
  const d = domainById(host, caller.domid);
  if (d === undefined || vcpu >= d.nrVcpus) return fail("ENOENT");
  const chn = evtchnPort(host, caller.domid, port);
  if (chn === undefined || chn.xenConsumer !== 0) return fail("EINVAL");
  const free =
    chn.state === "virq" ? virqIsGlobal(chn.virq) : ["unbound", "interdomain", "pirq"].includes(chn.state);
  if (!free) return fail("EINVAL");
  host.edit(portCell, portId(caller.domid, port)).notifyVcpu = vcpu;
  return traced(host, caller, "evtchn_op bind_vcpu", caller.domid, { port, vcpu }, 0);
}

/** The caller's kernel sets up FIFO queues: 131072 ports instead of 4096 (EVTCHNOP_init_control of its first vCPU). */
export function initControl(host: Host, caller: Caller): 0 {
  host.edit(evtchnTableCell, caller.domid).abi = "fifo";
  return traced(host, caller, "evtchn_op init_control", caller.domid, {}, 0) as 0;
}

/** Closes a domain's ports, 64 a slice: ESRCH, EPERM, EINVAL unless it is paused or the caller's, EBUSY. */
export const reset = routine(
  "evtchn_reset",
  (a: { caller: Caller; domid: number }) => ({ ...a, resuming: false, more: true }),
  ({ step, repeatUntil }) => [
    repeatUntil("hypercall_create_continuation", (l) => !l.more, [
      step("evtchn_reset slice", (host, l) => {
        const d = targeted(host, l.caller, l.domid);
        const result = isFailure(d) ? d : evtchn.evtchnReset(host, l.caller.domid, d.domid, l.resuming);
        l.more = result === "ERESTART";
        l.resuming = true;
        if (l.more) return undefined;
        traced(
          host,
          l.caller,
          "evtchn_op reset",
          self(l.caller, l.domid),
          {},
          isFailure(result) ? result : 0,
        );
        return isFailure(result) ? result : undefined;
      }),
    ]),
  ],
);
