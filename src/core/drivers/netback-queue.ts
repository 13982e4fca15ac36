// SPDX-License-Identifier: Apache-2.0
//
// Connecting a netback queue to what its frontend offers, and letting go of it:
// which waits until nobody uses the frontend's pages any more (Linux
// drivers/net/xen-netback/interface.c, xenvif_connect_data, xenvif_disconnect_data).

import { must } from "../engine/cells.ts";
import { isFailure } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { bindInterdomain, close } from "../hypervisor/event-channel-op.ts";
import { GrantStatus, mapGrantRef } from "../hypervisor/grant-table-op.ts";
import { evtchnPort } from "../hypervisor/port.ts";
import { kthreadRun, kthreadStop } from "../xenbus/kthread.ts";
import type { DeviceArgs } from "../xenbus/device.ts";
import { netbackCell, netbackQueueCell, netbackStatsCell } from "./netback-cells.ts";
import type { MappedRing, NetbackQueue } from "./netback-cells.ts";
import { xenvifDeallocKthread, xenvifKthreadGuestRx, xenvifPoll } from "./netback-threads.ts";
import { unmapFrontendPage } from "./unmap.ts";

/** What a frontend offers for one queue. */
export interface QueueOffer {
  txRef: number;
  rxRef: number;
  txPort: number;
  rxPort: number;
}

/** A ring that the grant table does not map, and its status. */
export interface NotGranted {
  readonly status: number;
  readonly ref: number;
}

/** The caller as the hypervisor and its ledger know it: the driver's name in the kernel. */
function kernel(domid: number, name: string): { domid: number; process: string } {
  return { domid, process: `kernel ${name}` };
}

function mapRing(
  host: Host,
  domid: number,
  name: string,
  frontend: number,
  ref: number,
): MappedRing | NotGranted {
  const { status, handle, mfn } = mapGrantRef(host, kernel(domid, name), { domid: frontend, ref });
  return status === GrantStatus.okay ? { handle, mfn } : { status, ref };
}

function unmapRing(host: Host, domid: number, name: string, ring: MappedRing): void {
  unmapFrontendPage(host, kernel(domid, name), { handle: ring.handle });
}

/** Maps a queue's rings, binds its ports, starts its threads. What was done is undone where something fails. */
export function xenvifConnectData(
  host: Host,
  domid: number,
  device: string,
  at: number,
  offer: QueueOffer,
): void | NotGranted | Failure {
  const vif = must(host, netbackCell, device);
  const name = `${vif.name}-q${at}`;
  const txRing = mapRing(host, domid, vif.name, vif.frontend, offer.txRef);
  if ("status" in txRing) return txRing;
  const rxRing = mapRing(host, domid, vif.name, vif.frontend, offer.rxRef);
  if ("status" in rxRing) {
    unmapRing(host, domid, vif.name, txRing);
    return rxRing;
  }
  const ports = bindPorts(host, domid, vif, offer);
  if (isFailure(ports)) {
    unmapRing(host, domid, vif.name, txRing);
    unmapRing(host, domid, vif.name, rxRing);
    return ports;
  }
  startQueue(host, domid, `${device}/${at}`, { name, txRing, rxRing, ...ports });
}

function bindPorts(
  host: Host,
  domid: number,
  vif: { name: string; frontend: number },
  offer: QueueOffer,
): { txPort: number; rxPort: number } | Failure {
  const tx = bindInterdomain(host, kernel(domid, vif.name), {
    remoteDomid: vif.frontend,
    remotePort: offer.txPort,
  });
  if (isFailure(tx)) return tx;
  if (offer.rxPort === offer.txPort) return { txPort: tx.port, rxPort: tx.port };
  const rx = bindInterdomain(host, kernel(domid, vif.name), {
    remoteDomid: vif.frontend,
    remotePort: offer.rxPort,
  });
  if (!isFailure(rx)) return { txPort: tx.port, rxPort: rx.port };
  close(host, kernel(domid, vif.name), { port: tx.port });
  return rx;
}

type NewQueue = Pick<NetbackQueue, "name" | "txRing" | "rxRing" | "txPort" | "rxPort">;

function startQueue(host: Host, domid: number, queue: string, made: NewQueue): void {
  const thread = (what: string): string => `dom${domid}/${made.name}-${what}`;
  host.add(netbackQueueCell, queue, {
    ...made,
    rxThread: thread("guest-rx"),
    deallocThread: thread("dealloc"),
    napi: thread("napi"),
    txReqCons: 0,
    txRspProd: 0,
    inflightPackets: 0,
    dealloc: [],
  });
  host.add(netbackStatsCell, queue, {
    rx_gso_checksum_fixup: 0,
    tx_zerocopy_sent: 0,
    tx_zerocopy_success: 0,
    tx_zerocopy_fail: 0,
    tx_frag_overflow: 0,
  });
  kthreadRun(host, domid, `${made.name}-guest-rx`, xenvifKthreadGuestRx, {
    domid,
    queue,
    thread: thread("guest-rx"),
  });
  kthreadRun(host, domid, `${made.name}-dealloc`, xenvifDeallocKthread, {
    domid,
    queue,
    thread: thread("dealloc"),
  });
  kthreadRun(host, domid, `${made.name}-napi`, xenvifPoll, { domid, queue, thread: thread("napi") });
}

function unbindPorts(host: Host, domid: number, queue: string): void {
  const { txPort, rxPort } = must(host, netbackQueueCell, queue);
  for (const port of new Set([txPort, rxPort])) {
    if (evtchnPort(host, domid, port) !== undefined) close(host, { domid, process: "kernel" }, { port });
  }
}

/**
 * Disconnects all queues of an interface. Stopping a dealloc thread takes as long
 * as packets are on their way: whoever calls waits that long.
 */
export const xenvifDisconnectData = routine(
  "xenvif_disconnect_data",
  (a: DeviceArgs) => ({ ...a, queues: [] as string[], queue: "", napi: "", rxThread: "", deallocThread: "" }),
  ({ step, each, call }) => [
    step("xenvif_carrier_off", (host, l) => {
      const vif = host.edit(netbackCell, l.device);
      vif.carrier = false;
      l.queues = Array.from({ length: vif.queues }, (_, at) => `${l.device}/${at}`);
    }),
    each(
      "num_queues",
      (l) => l.queues,
      (l, queue) => {
        l.queue = queue;
      },
      [
        step("xenvif_disconnect_queue", (host, l) => {
          const { napi, rxThread, deallocThread } = must(host, netbackQueueCell, l.queue);
          l.napi = napi;
          l.rxThread = rxThread;
          l.deallocThread = deallocThread;
        }),
        call("napi_disable", kthreadStop, (l) => ({ thread: l.napi })),
        call("stop guest-rx", kthreadStop, (l) => ({ thread: l.rxThread })),
        call("stop dealloc", kthreadStop, (l) => ({ thread: l.deallocThread })),
        step("xenvif_unmap_frontend_data_rings", (host, l) => {
          const { txRing, rxRing } = must(host, netbackQueueCell, l.queue);
          const { name } = must(host, netbackCell, l.device);
          unbindPorts(host, l.domid, l.queue);
          unmapRing(host, l.domid, name, txRing);
          unmapRing(host, l.domid, name, rxRing);
          host.drop(netbackQueueCell, l.queue);
          host.drop(netbackStatsCell, l.queue);
        }),
      ],
    ),
    step("num_queues = 0", (host, l) => {
      host.edit(netbackCell, l.device).queues = 0;
    }),
  ],
);
