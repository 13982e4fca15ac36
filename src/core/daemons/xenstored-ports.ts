// SPDX-License-Identifier: Apache-2.0
//
// xenstored's hands on the hypervisor: the rings it has mapped, the event
// channels it has bound, and what its store sees of both.

import { cellType, must } from "../engine/cells.ts";
import { fail, isFailure } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import type { Caller } from "../hypervisor/caller.ts";
import { domainById } from "../hypervisor/domain.ts";
import { DOMINF_dying, DOMINF_shutdown, getdomaininfo } from "../hypervisor/dominfo.ts";
import * as evtchn from "../hypervisor/event-channel-op.ts";
import { gntdevMapOne, gntdevUnmap } from "../hypervisor/gntdev.ts";
import { GrantStatus } from "../hypervisor/grant-status.ts";
import { portId, setUpcall, upcallCell } from "../hypervisor/port.ts";
import { FIRST_SOCKET } from "../xenstore/connection.ts";
import { resetRing, ringPort, setRingError, setServerFeatures } from "../xenstore/ring.ts";
import type { RingPage } from "../xenstore/ring.ts";
import type { RingSetup } from "../xenstore/ports.ts";
import type { Ring } from "../xenstore/ring-service.ts";
import type { Domains, Store, TraceLine } from "../xenstore/store.ts";
import { typeName } from "../xenstore/wire.ts";
import { clientSocketCell } from "./xenstored-clients.ts";
import { readyMailbox } from "./unix-socket.ts";

/** The server's name for clients, and the process's in hypercalls. */
export const XENSTORED = "xenstored";
export const XENSTORED_CALLER: Caller = { domid: 0, process: XENSTORED };

/** The grant every guest makes for its xenstore page (GNTTAB_RESERVED_XENSTORE). */
const GRANT_XENSTORE = 1;

/** A domain's ring as xenstored holds it, by domid. */
export interface MappedRing {
  /** xenstored's own port, bound to the domain's. */
  port: number;
  mfn: number;
  /** The grant mapping; null for dom0's page, which is no grant. */
  handle: number | null;
  /** Its port stands in the mailbox for what is left in the ring. */
  again: boolean;
}

export const mappedRingCell = cellType<MappedRing>("xenstored-ring");

/** Whose ring a port of xenstored's is for, by port. */
export const ringPortCell = cellType<{ domid: number }>("xenstored-port");

declare module "../engine/trace.ts" {
  interface TraceEvents {
    /**
     * A message as xenstored sees it, or the coming and going of a connection.
     * `who` is the process on the other end, or `dom1 kernel`; `body` the payload as latin1.
     */
    xenstore: {
      dir: "in" | "out" | "create-connection" | "destroy-connection";
      who: string;
      conn: number;
      op: string;
      reqId: number;
      txId: number;
      body: string;
    };
  }
}

/** The page of a mapped ring. */
function ringPage(host: Host, mfn: number): RingPage {
  return {
    read: (offset, length) => host.memory.read(mfn, offset, length),
    write: (offset, bytes) => host.memory.write(mfn, offset, bytes),
    stale: (offset, length) => host.memory.stale(mfn, offset, length),
  };
}

/** A mapped ring, to be served. */
export function ringOf(host: Host, domid: number): Ring | undefined {
  const mapped = host.get(mappedRingCell, domid);
  if (mapped === undefined) return undefined;
  const { mfn, port } = mapped;
  return {
    page: ringPage(host, mfn),
    notify: () => void evtchn.send(host, XENSTORED_CALLER, { port }),
  };
}

/** Binds a domain's event channel to this process, and notes the ring that goes with it. */
export function bindRing(
  host: Host,
  domid: number,
  remotePort: number,
  ring: Pick<MappedRing, "mfn" | "handle">,
): Failure | undefined {
  const bound = evtchn.bindInterdomain(host, XENSTORED_CALLER, { remoteDomid: domid, remotePort });
  if (isFailure(bound)) return bound;
  setUpcall(host, 0, bound.port, readyMailbox(XENSTORED));
  host.add(ringPortCell, bound.port, { domid });
  const { mfn, handle } = ring;
  host.add(mappedRingCell, domid, { mfn, handle, port: bound.port, again: false });
  return undefined;
}

function unbindRing(host: Host, domid: number): Pick<MappedRing, "mfn" | "handle"> {
  const { port, mfn, handle } = must(host, mappedRingCell, domid);
  host.drop(mappedRingCell, domid);
  if (port !== NO_PORT) {
    host.drop(upcallCell, portId(0, port));
    host.drop(ringPortCell, port);
    evtchn.close(host, XENSTORED_CALLER, { port });
  }
  return { mfn, handle };
}

/** A ring whose domain was introduced again with a port that cannot be bound: it stays, and nobody is told of it. */
const NO_PORT = 0;

function rebindRing(host: Host, domid: number, port: number): void {
  const { mfn, handle } = unbindRing(host, domid);
  if (bindRing(host, domid, port, { mfn, handle }) !== undefined)
    host.add(mappedRingCell, domid, { mfn, handle, port: NO_PORT, again: false });
}

function introduce(host: Host, domid: number, port: number, setup: RingSetup): Failure | undefined {
  const mapped = gntdevMapOne(host, XENSTORED_CALLER, domid, GRANT_XENSTORE);
  if (mapped.status !== GrantStatus.okay) return fail("EINVAL");
  const page = ringPage(host, mapped.mfn);
  const inPage = setup.pageNamesPort ? ringPort(page) : 0;
  const failure = bindRing(host, domid, inPage === 0 ? port : inPage, mapped);
  if (failure === undefined && setup.features !== null) setServerFeatures(page, setup.features);
  if (failure !== undefined) gntdevUnmap(host, XENSTORED_CALLER, [mapped.handle]);
  return failure;
}

function domainsOf(host: Host): Domains {
  const page = (domid: number): RingPage => ringPage(host, must(host, mappedRingCell, domid).mfn);
  return {
    info: (domid) => {
      const domain = domainById(host, domid);
      if (domain === undefined) return undefined;
      const { flags } = getdomaininfo(host, host.now, domain);
      return { shutdown: (flags & DOMINF_shutdown) !== 0, dying: (flags & DOMINF_dying) !== 0 };
    },
    introduce: (domid, _gfn, port, setup) => introduce(host, domid, port, setup),
    rebind: (domid, port) => rebindRing(host, domid, port),
    resetRing: (domid) => {
      if (resetRing(page(domid)))
        evtchn.send(host, XENSTORED_CALLER, { port: must(host, mappedRingCell, domid).port });
    },
    release: (domid) => {
      const { handle } = unbindRing(host, domid);
      if (handle !== null) gntdevUnmap(host, XENSTORED_CALLER, [handle]);
    },
    ignored: (domid, error) => {
      if (error !== null) setRingError(page(domid), error);
    },
  };
}

function observer(host: Host): (line: TraceLine) => void {
  return ({ kind, conn, type, reqId, txId, body }) => {
    const socket = host.get(clientSocketCell, conn)?.socket;
    const who = socket ?? (conn < FIRST_SOCKET ? `dom${conn} kernel` : "a new client");
    host.emit("xenstore", { dir: kind, who, conn, op: typeName(type), reqId, txId, body });
  };
}

/**
 * The store on this host during a step.
 *
 * @param queued collects connections that have something to take
 */
export function storeOf(host: Host, queued?: Set<number>): Store {
  return {
    cells: host,
    now: host.now,
    domains: domainsOf(host),
    observe: observer(host),
    queued: (conn) => void queued?.add(conn),
  };
}
