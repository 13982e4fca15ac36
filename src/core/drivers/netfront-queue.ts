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
import { netfrontCell, netfrontQueueCell, rxLayout, txLayout } from "./netfront-cells.ts";

/** Makes a queue: references for every slot first, then the rings, then the ports. */
export function setupNetfront(host: Host, domid: number, queue: string, to: number): void | Failure {
  const txRefs = allocGrantReferences(host, domid, txLayout.slots);
  const rxRefs = allocGrantReferences(host, domid, rxLayout.slots);
  const txRing = setupRing(host, domid, to);
  const rxRing = setupRing(host, domid, to);
  const kernel = { domid, process: "kernel" };
  const tx = allocUnbound(host, kernel, { domid, remoteDomid: to });
  if (isFailure(tx)) return tx;
  const rx = allocUnbound(host, kernel, { domid, remoteDomid: to });
  if (isFailure(rx)) return rx;
  host.add(netfrontQueueCell, queue, {
    txRing,
    rxRing,
    txPort: tx.port,
    rxPort: rx.port,
    txRefs,
    rxRefs,
    sent: [],
    txProd: 0,
    txRspCons: 0,
  });
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
