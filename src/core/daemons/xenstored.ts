// SPDX-License-Identifier: Apache-2.0
//
// xenstored as a process of dom0: the store of core/xenstore, reached through
// sockets and through the rings of the domains that were introduced to it
// (tools/xenstore/xenstored_core.c, xenstored_domain.c).

import { cellType, must } from "../engine/cells.ts";
import { isFailure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { addMailbox, hasMessage, post, takeMessage } from "../engine/mailbox.ts";
import { routine } from "../engine/routine.ts";
import { spawnThread } from "../engine/thread.ts";
import { getDomainState } from "../hypervisor/domctl.ts";
import * as evtchn from "../hypervisor/event-channel-op.ts";
import { versionOf } from "../hypervisor/machine.ts";
import { setUpcall } from "../hypervisor/port.ts";
import { VIRQ_DOM_EXC } from "../hypervisor/virq.ts";
import { FIRST_SOCKET, outputType } from "../xenstore/output.ts";
import { flushRing, hasRequest, type Ring, serveRing } from "../xenstore/ring-service.ts";
import {
  connectSocket,
  disconnect,
  domainsChanged,
  expireEvents,
  outputLength,
  receive,
  startStore,
  takeOutput,
  writeRateDeadline,
} from "../xenstore/store.ts";
import type { StoreOptions } from "../xenstore/store.ts";
import { isOverdrawn, writeReserve } from "../xenstore/write-rate.ts";
import { HEADER_SIZE, PAYLOAD_MAX, readU32 } from "../xenstore/wire.ts";
import {
  closeByServer,
  isOpen,
  readyMailbox,
  sendToClient,
  serverLooks,
  serverReceives,
  serverTakes,
  tellServer,
} from "./unix-socket.ts";
import { clientCell, clientSocketCell } from "./xenstored-clients.ts";
import {
  bindRing,
  mappedRingCell,
  ringOf,
  ringPortCell,
  storeOf,
  XENSTORED,
  XENSTORED_CALLER,
} from "./xenstored-ports.ts";

export { XENSTORED } from "./xenstored-ports.ts";

/** What the process holds beside its store: the port of VIRQ_DOM_EXC. */
const processCell = cellType<{ virqPort: number }>("xenstored-process");

/**
 * Domains that time will do something to: they do not take what they have to
 * take, or have written more than they may.
 */
interface Slow {
  domids: number[];
  /** When it will, by what was known when one of them was dealt with last. */
  due: number | null;
  /** How many domains shared the credit for writes then. */
  sharers: number;
}

const slowCell = cellType<Slow>("xenstored-slow", { deadlines: ["due"] });

const MAILBOX = readyMailbox(XENSTORED);

/**
 * How many of the bytes belong to the first message; 0 while it is not whole.
 * A length that cannot be is left to the store, which ends the connection.
 */
function firstMessage(bytes: Uint8Array): number {
  if (bytes.length < HEADER_SIZE) return 0;
  const length = readU32(bytes, 12);
  if (length > PAYLOAD_MAX) return bytes.length;
  return bytes.length >= HEADER_SIZE + length ? HEADER_SIZE + length : 0;
}

/** Sends what connections have to take, as far as there is room (handle_output). */
function flush(host: Host, conns: ReadonlySet<number>): void {
  for (const conn of conns) {
    const waiting = outputLength(host, conn);
    if (waiting === 0) continue;
    const socket = host.get(clientSocketCell, conn)?.socket;
    if (socket === undefined) {
      lookAtRing(host, conn);
      continue;
    }
    const bytes = new Uint8Array(waiting);
    takeOutput(storeOf(host), conn, bytes, 0, waiting);
    if (isOpen(host, socket)) sendToClient(host, socket, bytes);
  }
}

/** Sends a domain what there is room for; it may have to be served again for having taken something. */
function lookAtRing(host: Host, domid: number): void {
  const ring = ringOf(host, domid);
  if (ring === undefined) return;
  const store = storeOf(host);
  flushRing(store, domid, ring);
  if (hasRequest(store, domid, ring)) serveAgain(host, domid);
}

/** Whether time will do something to a domain. */
function isSlow(host: Host, domid: number): boolean {
  return ringOf(host, domid) !== undefined && (outputLength(host, domid) > 0 || isOverdrawn(host, domid));
}

/** Notes which of the domains that were dealt with time will do something to, and when. */
function noteSlow(host: Host, conns: Iterable<number>): void {
  for (const domid of conns) {
    if (domid >= FIRST_SOCKET) continue;
    const { domids } = must(host, slowCell, 0);
    const isNoted = domids.includes(domid);
    if (isSlow(host, domid)) setSlow(host, isNoted ? [...domids] : [...domids, domid]);
    else if (isNoted)
      setSlow(
        host,
        domids.filter((other) => other !== domid),
      );
  }
}

function setSlow(host: Host, domids: number[]): void {
  const slow = host.edit(slowCell, 0);
  slow.domids = domids;
  slow.due = nextDue(host, domids);
  slow.sharers = writeReserve(host).domains;
}

/** Does what is due: events that were not taken in time are dropped, and who has credit again is read from. */
function serveSlow(host: Host): void {
  const { domids } = must(host, slowCell, 0);
  if (domids.length === 0 || !isDue(host)) return;
  const store = storeOf(host);
  for (const domid of domids) {
    if (ringOf(host, domid) === undefined) continue;
    expireEvents(store, domid);
    if (writeRateDeadline(store, domid) === host.now) serveAgain(host, domid);
  }
  setSlow(
    host,
    domids.filter((domid) => isSlow(host, domid)),
  );
}

/** Whether it is time, or credit came earlier than by time alone: from the reserve, or since fewer share it. */
function isDue(host: Host): boolean {
  const { due, sharers } = must(host, slowCell, 0);
  const { credit, domains } = writeReserve(host);
  return (due !== null && due <= host.now) || credit > 0 || domains < sharers;
}

/** When something is due for the first of these domains, or null (initialize_fds). */
function nextDue(host: Host, domids: readonly number[]): number | null {
  const store = storeOf(host);
  let next = Infinity;
  for (const domid of domids) {
    next = Math.min(next, host.get(outputType, domid)?.eventDeadline ?? Infinity);
    next = Math.min(next, writeRateDeadline(store, domid) ?? Infinity);
  }
  return next === Infinity ? null : next;
}

/** Microseconds until something is due, or null. */
function untilDue(host: Host): number | null {
  const { domids, due } = must(host, slowCell, 0);
  if (domids.length === 0) return null;
  if (isDue(host)) return 0;
  return due === null ? null : due - host.now;
}

/** One request of a client on a socket, or its end (handle_input). */
function serveSocket(host: Host, socket: string, queued: Set<number>): void {
  if (!isOpen(host, socket)) return;
  const conn = host.get(clientCell, socket)?.conn ?? acceptSocket(host, socket, queued);
  const { bytes, closed } = serverReceives(host, socket);
  const length = firstMessage(bytes);
  if (length === 0) {
    if (closed) dropClient(host, socket, conn, queued);
    return;
  }
  const request = bytes.length === length ? bytes : bytes.slice(0, length);
  serverTakes(host, socket, length);
  if (receive(storeOf(host, queued), conn, request) === "failed")
    return dropClient(host, socket, conn, queued);
  // Each client has its turn: what is left of one comes after the others.
  if (bytes.length > length || closed) tellServer(host, socket);
}

function acceptSocket(host: Host, socket: string, queued: Set<number>): number {
  const store = storeOf(host, queued);
  const conn = connectSocket(store);
  host.add(clientCell, socket, { conn });
  host.add(clientSocketCell, conn, { socket });
  return conn;
}

function dropClient(host: Host, socket: string, conn: number, queued: Set<number>): void {
  flush(host, new Set([conn]));
  disconnect(storeOf(host, queued), conn);
  queued.delete(conn);
  host.drop(clientCell, socket);
  host.drop(clientSocketCell, conn);
  closeByServer(host, socket);
}

/** One request of a domain on its ring, or the room it made there. */
function serveDomain(host: Host, domid: number, queued: Set<number>): void {
  if (must(host, mappedRingCell, domid).again) host.edit(mappedRingCell, domid).again = false;
  const ring = ringOf(host, domid) as Ring;
  if (serveRing(storeOf(host, queued), domid, ring)) serveAgain(host, domid);
}

/** Each has its turn: what is left in a ring comes after what waits already. */
function serveAgain(host: Host, domid: number): void {
  const mapped = host.get(mappedRingCell, domid);
  if (mapped === undefined || mapped.again) return;
  host.edit(mappedRingCell, domid).again = true;
  post(host, MAILBOX, mapped.port);
}

/** The domains the hypervisor says have changed, or undefined where it cannot say (before Xen 4.21). */
function changedDomains(host: Host): number[] | undefined {
  if (!versionOf(host).changedDomainBitmap) return undefined;
  const changed: number[] = [];
  for (;;) {
    const state = getDomainState(host, XENSTORED_CALLER);
    if (isFailure(state)) return changed;
    changed.push(state.domid);
  }
}

function serve(host: Host): void {
  serveSlow(host);
  if (!hasMessage(host, MAILBOX)) return;
  const queued = new Set<number>();
  const what = takeMessage(host, MAILBOX);
  if (typeof what === "string") {
    serverLooks(host, what);
    serveSocket(host, what, queued);
  } else if (what === must(host, processCell, 0).virqPort)
    domainsChanged(storeOf(host, queued), changedDomains(host));
  else {
    const domid = host.get(ringPortCell, what as number)?.domid;
    if (domid !== undefined) {
      serveDomain(host, domid, queued);
      queued.add(domid);
    }
  }
  flush(host, queued);
  noteSlow(host, queued);
}

const xenstored = routine(
  "xenstored",
  (a: { dom0Port: number; dom0Mfn: number }) => ({ ...a, untilDue: null as number | null }),
  ({ step, forever, waitFor }) => [
    step("domain_init", (host, l) => {
      const virq = evtchn.bindVirq(host, XENSTORED_CALLER, { virq: VIRQ_DOM_EXC, vcpu: 0 });
      if (isFailure(virq)) return virq;
      host.add(processCell, 0, { virqPort: virq.port });
      host.add(slowCell, 0, { domids: [], due: null, sharers: 0 });
      setUpcall(host, 0, virq.port, MAILBOX);
      const failure = bindRing(host, 0, l.dom0Port, { mfn: l.dom0Mfn, handle: null });
      if (failure !== undefined) return failure;
      // Tells dom0's kernel that xenstored is there (dom0_init).
      evtchn.send(host, XENSTORED_CALLER, { port: must(host, mappedRingCell, 0).port });
      return undefined;
    }),
    forever("main", [
      waitFor("poll", (host) => hasMessage(host, MAILBOX), {
        timeout: (l) => l.untilDue,
        timedOut: () => {},
      }),
      step("handle_event, handle_input, handle_output", (host, l) => {
        serve(host);
        l.untilDue = untilDue(host);
      }),
    ]),
  ],
);

/**
 * Starts xenstored. Clients connect to the server named `XENSTORED`.
 *
 * @param dom0Mfn frame of the page that dom0's kernel shares with it (/proc/xen/xsd_kva)
 * @param dom0Port unbound port of dom0 for its ring's events (/proc/xen/xsd_port)
 */
export function startXenstored(
  host: Host,
  dom0Mfn: number,
  dom0Port: number,
  options: StoreOptions = {},
): void {
  addMailbox(host, MAILBOX);
  startStore(storeOf(host), { version: versionOf(host).name, ...options });
  spawnThread(host, XENSTORED, xenstored, { dom0Port, dom0Mfn });
}
