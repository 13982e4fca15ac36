// SPDX-License-Identifier: Apache-2.0
//
// /dev/xen/evtchn of a domain's kernel (Linux, drivers/xen/evtchn.c): each opener
// has ports of its own, and is told of events on them in the order they came. A
// port told of stays masked until its user writes it back.

import { cellType, must } from "../../engine/cells.ts";
import { fail, isFailure } from "../../engine/errno.ts";
import type { Failure } from "../../engine/errno.ts";
import type { Host } from "../../engine/host.ts";
import { addMailbox, mailboxCell, takeMessage } from "../../engine/mailbox.ts";
import type { Caller } from "../caller.ts";
import { DOMID_FIRST_RESERVED } from "../domid.ts";
import { FIFO_CHANNELS } from "../event-channel.ts";
import * as evtchn from "../event-channel-op.ts";
import { portId, setUpcall, upcallCell } from "../port.ts";
import { operation } from "./operation.ts";

/** An open device. Ports are in the order of binding. */
interface EvtchnUser {
  domid: number;
  ports: number[];
  /** The only domain it may bind to, once restricted; null for any. */
  restrictedTo: number | null;
}

const evtchnUserCell = cellType<EvtchnUser>("evtchn-user");

/** How often ports are held beside by their users, by port. */
const heldPortCell = cellType<{ count: number; unbound: boolean }>("evtchn-held");

/** Where the events of a user's ports go, until they are read. */
export function evtchnMailbox(user: number): string {
  return `evtchn/${user}`;
}

/** Which open device is meant. */
export interface OfUser {
  user: number;
}

/** Opens the device. */
export const openEvtchn = operation("evtchn open", (host, { domid }, { user }: OfUser) => {
  addMailbox(host, evtchnMailbox(user));
  host.add(evtchnUserCell, user, { domid, ports: [], restrictedTo: null });
  return 0;
});

/** evtchn_bind_to_user */
function bind(host: Host, caller: Caller, user: number, bound: evtchn.BoundPort | Failure): number | Failure {
  if (isFailure(bound)) return bound;
  host.edit(evtchnUserCell, user).ports.push(bound.port);
  setUpcall(host, caller.domid, bound.port, evtchnMailbox(user), true);
  return bound.port;
}

/** Whether a restricted user may have to do with that domain: EACCES if not. */
function permitted(host: Host, user: number, domid: number): 0 | Failure {
  const { restrictedTo } = must(host, evtchnUserCell, user);
  return restrictedTo === null || restrictedTo === domid ? 0 : fail("EACCES");
}

/** IOCTL_EVTCHN_BIND_VIRQ: the port, or EACCES for a restricted user and the hypercall's errors. */
export const bindUserVirq = operation(
  "evtchn bind_virq",
  (host, caller, { user, virq }: OfUser & { virq: number }) => {
    if (must(host, evtchnUserCell, user).restrictedTo !== null) return fail("EACCES");
    return bind(host, caller, user, evtchn.bindVirq(host, caller, { virq, vcpu: 0 }));
  },
);

/** IOCTL_EVTCHN_BIND_INTERDOMAIN */
export const bindUserInterdomain = operation(
  "evtchn bind_interdomain",
  (host, caller, { user, remoteDomid, remotePort }: OfUser & { remoteDomid: number; remotePort: number }) => {
    const may = permitted(host, user, remoteDomid);
    if (isFailure(may)) return may;
    return bind(host, caller, user, evtchn.bindInterdomain(host, caller, { remoteDomid, remotePort }));
  },
);

/** IOCTL_EVTCHN_BIND_UNBOUND_PORT */
export const bindUserUnbound = operation(
  "evtchn bind_unbound_port",
  (host, caller, { user, remoteDomid }: OfUser & { remoteDomid: number }) => {
    const may = permitted(host, user, remoteDomid);
    if (isFailure(may)) return may;
    return bind(host, caller, user, evtchn.allocUnbound(host, caller, { domid: caller.domid, remoteDomid }));
  },
);

function isUsers(host: Host, user: number, port: number): boolean {
  return must(host, evtchnUserCell, user).ports.includes(port);
}

/** A port its user has unbound stays open while others hold it (unbind_from_irq). */
function unbind(host: Host, caller: Caller, port: number): void {
  const id = portId(caller.domid, port);
  host.drop(upcallCell, id);
  if (host.get(heldPortCell, id) === undefined) evtchn.close(host, caller, { port });
  else host.edit(heldPortCell, id).unbound = true;
}

/**
 * Who wants to signal a port later holds it until then (evtchn_get): EINVAL for one that no user has
 * bound.
 */
export const holdPort = operation("evtchn get", (host, { domid }, { port }: { port: number }) => {
  const id = portId(domid, port);
  const held = host.get(heldPortCell, id);
  if (held === undefined && host.get(upcallCell, id) === undefined) return fail("EINVAL");
  if (held === undefined) host.add(heldPortCell, id, { count: 1, unbound: false });
  else host.edit(heldPortCell, id).count++;
  return 0;
});

/** Lets a held port go; one that its user has unbound is closed with the last (evtchn_put). */
export function evtchnPut(host: Host, caller: Caller, port: number): void {
  const id = portId(caller.domid, port);
  const held = host.edit(heldPortCell, id);
  if (--held.count > 0) return;
  const { unbound } = held;
  host.drop(heldPortCell, id);
  if (unbound) evtchn.close(host, caller, { port });
}

export const releasePort = operation("evtchn put", (host, caller, { port }: { port: number }) => {
  evtchnPut(host, caller, port);
  return 0;
});

/** IOCTL_EVTCHN_UNBIND: EINVAL for what can be no port, ENOTCONN for one that is not this user's. */
export const unbindUser = operation(
  "evtchn unbind",
  (host, caller, { user, port }: OfUser & { port: number }) => {
    if (port >= FIFO_CHANNELS) return fail("EINVAL");
    if (!isUsers(host, user, port)) return fail("ENOTCONN");
    const mine = host.edit(evtchnUserCell, user);
    mine.ports = mine.ports.filter((other) => other !== port);
    unbind(host, caller, port);
    return 0;
  },
);

/** IOCTL_EVTCHN_NOTIFY: ENOTCONN for a port that is not this user's. */
export const notifyUser = operation(
  "evtchn notify",
  (host, caller, { user, port }: OfUser & { port: number }) => {
    if (!isUsers(host, user, port)) return fail("ENOTCONN");
    // Nobody looks at what becomes of it (notify_remote_via_evtchn).
    evtchn.send(host, caller, { port });
    return 0;
  },
);

/** IOCTL_EVTCHN_RESTRICT_DOMID, once: EACCES afterwards; EINVAL for dom0 and for numbers no domain has. */
export const restrictUser = operation(
  "evtchn restrict",
  (host, _caller, { user, domid }: OfUser & { domid: number }) => {
    if (must(host, evtchnUserCell, user).restrictedTo !== null) return fail("EACCES");
    if (domid === 0 || domid >= DOMID_FIRST_RESERVED) return fail("EINVAL");
    host.edit(evtchnUserCell, user).restrictedTo = domid;
    return 0;
  },
);

/** The user wrote ports back: their next events are told again. Others' ports are skipped. */
export const unmaskUser = operation(
  "evtchn unmask",
  (host, caller, { user, ports }: OfUser & { ports: readonly number[] }) => {
    for (const port of ports) if (isUsers(host, user, port)) evtchn.unmask(host, caller, { port });
    return 0;
  },
);

/** The user was told of that many events. */
export const eventsTold = operation(
  "evtchn read",
  (host, _caller, { user, count }: OfUser & { count: number }) => {
    for (let told = 0; told < count; told++) takeMessage(host, evtchnMailbox(user));
    return 0;
  },
);

/** The device is closed, and all ports bound through it (evtchn_release). */
export const closeEvtchn = operation("evtchn release", (host, caller, { user }: OfUser) => {
  for (const port of must(host, evtchnUserCell, user).ports.toSorted((a, b) => a - b))
    unbind(host, caller, port);
  host.drop(evtchnUserCell, user);
  host.drop(mailboxCell, evtchnMailbox(user));
  return 0;
});

/** Forgets the open devices of a domain that is no more, whose ports the hypervisor has closed. */
export function forgetEvtchnUsers(host: Host, domid: number): void {
  for (const user of host.ids(evtchnUserCell).map(Number)) {
    const open = must(host, evtchnUserCell, user);
    if (open.domid !== domid) continue;
    for (const port of open.ports) host.drop(upcallCell, portId(domid, port));
    host.drop(evtchnUserCell, user);
    host.drop(mailboxCell, evtchnMailbox(user));
  }
  for (const id of host.ids(heldPortCell))
    if (String(id).startsWith(portId(domid, 0).slice(0, -1))) host.drop(heldPortCell, id);
}
