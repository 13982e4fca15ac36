// SPDX-License-Identifier: Apache-2.0
//
// Making netfront's queues and taking them apart: rings, references, event
// channels (Linux xen-netfront.c, xennet_create_queues, setup_netfront,
// xennet_disconnect_backend).

import { must } from "../engine/cells.ts";
import { isFailure } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { allocUnbound, close } from "../hypervisor/event-channel-op.ts";
import { evtchnPort } from "../hypervisor/port.ts";
import { allocGrantReferences, endForeignAccess, freeGrantReferences, setupRing } from "./gnttab.ts";
import type { GrantedPage } from "./gnttab.ts";
import { netfrontCell, netfrontQueueCell, rxLayout, txLayout } from "./netfront-cells.ts";
import type { NetfrontQueue } from "./netfront-cells.ts";

/** Makes a queue: references for every slot first, then the rings, then the ports. */
export function setupNetfront(host: Host, domid: number, queue: string, to: number): void | Failure {
  const undo: (() => void)[] = [];
  const made = takeParts(host, domid, to, undo);
  if (isFailure(made)) {
    for (const back of undo.toReversed()) back();
    return made;
  }
  host.add(netfrontQueueCell, queue, { ...made, sent: [], txProd: 0, txRspCons: 0 });
}

type QueueParts = Pick<NetfrontQueue, "txRefs" | "rxRefs" | "txRing" | "rxRing" | "txPort" | "rxPort">;

/** What a queue is made of; `undo` gets what gives back what was taken before something failed. */
function takeParts(host: Host, domid: number, to: number, undo: (() => void)[]): QueueParts | Failure {
  const refs = (count: number): number[] | Failure => {
    const taken = allocGrantReferences(host, domid, count);
    if (!isFailure(taken)) undo.push(() => freeGrantReferences(host, domid, taken));
    return taken;
  };
  const ring = (): GrantedPage | Failure => {
    const taken = setupRing(host, domid, to);
    if (!isFailure(taken)) undo.push(() => endForeignAccess(host, domid, [taken]));
    return taken;
  };
  const kernel = { domid, process: "kernel" };
  const port = (): number | Failure => {
    const taken = allocUnbound(host, kernel, { domid, remoteDomid: to });
    if (isFailure(taken)) return taken;
    undo.push(() => void close(host, kernel, taken));
    return taken.port;
  };
  const txRefs = refs(txLayout.slots);
  if (isFailure(txRefs)) return txRefs;
  const rxRefs = refs(rxLayout.slots);
  if (isFailure(rxRefs)) return rxRefs;
  const txRing = ring();
  if (isFailure(txRing)) return txRing;
  const rxRing = ring();
  if (isFailure(rxRing)) return rxRing;
  const txPort = port();
  if (isFailure(txPort)) return txPort;
  const rxPort = port();
  if (isFailure(rxPort)) return rxPort;
  return { txRefs, rxRefs, txRing, rxRing, txPort, rxPort };
}

/** Takes a device's queues apart: the backend may still have their pages mapped, which then stay until it has not. */
export function disconnectBackend(host: Host, domid: number, device: string): void {
  const { queues } = must(host, netfrontCell, device);
  for (let at = 0; at < queues; at++) {
    const id = `${device}/${at}`;
    const { txRing, rxRing, txPort, rxPort, txRefs, rxRefs, sent } = must(host, netfrontQueueCell, id);
    for (const port of [txPort, rxPort])
      if (evtchnPort(host, domid, port) !== undefined) close(host, { domid, process: "kernel" }, { port });
    endForeignAccess(host, domid, [txRing, rxRing, ...sent.map(({ page }) => page)]);
    freeGrantReferences(host, domid, [...rxRefs, ...txRefs]);
    host.drop(netfrontQueueCell, id);
  }
  const netfront = host.edit(netfrontCell, device);
  netfront.queues = 0;
  netfront.carrier = false;
}
