// SPDX-License-Identifier: Apache-2.0
//
// netback's way with packets: a guest's page is mapped and handed on as it is;
// when nobody uses it any more, the dealloc thread unmaps it and answers the
// guest (Linux drivers/net/xen-netback/netback.c, rx.c).

import { must } from "../engine/cells.ts";
import type { Cells } from "../engine/cells.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { evtchnSend } from "../hypervisor/event-channel.ts";
import { GNTMAP_host_map, GNTMAP_readonly, GrantStatus, mapGrantRef } from "../hypervisor/grant-table-op.ts";
import { consumeEvent, eventPending } from "../hypervisor/port.ts";
import { kthreadShouldStop } from "../xenbus/kthread.ts";
import { readU32 } from "../xenstore/wire.ts";
import { netbackQueueCell, netbackStatsCell } from "./netback-cells.ts";
import type { NetbackQueue } from "./netback-cells.ts";
import { txLayout } from "./netfront-cells.ts";
import { sendSkb } from "./packets.ts";
import { produceResponse, readSlot, requestsConsumed, requestsProduced } from "./ring.ts";
import { unmapFrontendPage } from "./unmap.ts";

const XEN_NETIF_RSP_OKAY = 0;
const XEN_NETIF_RSP_ERROR = 0xffff;

/** A slot's response: id, status. */
function txResponse(id: number, status: number): Uint8Array {
  return new Uint8Array([id & 0xff, id >> 8, status & 0xff, status >> 8]);
}

function respond(host: Host, domid: number, queue: NetbackQueue, id: number, status: number): void {
  const response = txResponse(id, status);
  const notify = produceResponse(host.memory, queue.txRing.mfn, txLayout, queue.txRspProd, response);
  queue.txRspProd++;
  if (notify) evtchnSend(host, domid, queue.txPort);
}

/** Maps one packet's page and hands it on, without copying it. */
function forwardPacket(host: Host, domid: number, id: string, queue: NetbackQueue): void {
  const request = readSlot(host.memory, queue.txRing.mfn, txLayout, queue.txReqCons);
  queue.txReqCons++;
  const ref = readU32(request, 0);
  const requestId = (request[8] as number) | ((request[9] as number) << 8);
  const frontend = frontendOf(queue.name);
  const mapped = mapGrantRef(
    host,
    { domid, process: `kernel ${queue.name}` },
    { domid: frontend, ref, flags: GNTMAP_host_map | GNTMAP_readonly },
  );
  if (mapped.status !== GrantStatus.okay) return respond(host, domid, queue, requestId, XEN_NETIF_RSP_ERROR);
  queue.inflightPackets++;
  host.edit(netbackStatsCell, id).tx_zerocopy_sent++;
  sendSkb(host, domid, id, { handle: mapped.handle, requestId });
}

function frontendOf(name: string): number {
  return Number(/^vif(\d+)\./.exec(name)?.[1]);
}

/** What a NAPI poll takes from the ring, one packet a step: its softirq may be interrupted between them. */
export const xenvifPoll = routine(
  "xenvif_poll",
  (a: { domid: number; queue: string; thread: string }) => ({ ...a, more: false, ended: false }),
  ({ repeatUntil, waitFor, step }) => [
    repeatUntil("napi_disable", (l) => l.ended, [
      waitFor("napi_schedule", (host, l) => {
        const { txPort } = must(host, netbackQueueCell, l.queue);
        return l.more || kthreadShouldStop(host, l.thread) || eventPending(host, l.domid, txPort);
      }),
      step("xenvif_tx_action", (host, l) => {
        const found = must(host, netbackQueueCell, l.queue);
        l.ended = kthreadShouldStop(host, l.thread);
        if (l.ended) return;
        consumeEvent(host, l.domid, found.txPort);
        const produced = requestsProduced(host.memory, found.txRing.mfn);
        const waiting = (produced - found.txReqCons) >>> 0;
        l.more = waiting > 1 && waiting <= txLayout.slots;
        if (waiting > 0 && waiting <= txLayout.slots)
          forwardPacket(host, l.domid, l.queue, host.edit(netbackQueueCell, l.queue));
        // xenvif_napi_schedule_or_enable_events
        if (l.more) return;
        const { txRing, txReqCons } = must(host, netbackQueueCell, l.queue);
        requestsConsumed(host.memory, txRing.mfn, txReqCons);
      }),
    ]),
  ],
);

/** Whether the dealloc thread may stop: it was told to, and no packet is on its way. */
function deallocShouldStop(cells: Cells, thread: string, queue: string): boolean {
  return kthreadShouldStop(cells, thread) && must(cells, netbackQueueCell, queue).inflightPackets === 0;
}

/** Unmaps what came back, and answers the guest. */
export const xenvifDeallocKthread = routine(
  "xenvif_dealloc_kthread",
  (a: { domid: number; queue: string; thread: string }) => ({ ...a, stop: false }),
  ({ repeatUntil, waitFor, step }) => [
    repeatUntil("for (;;)", (l) => l.stop, [
      waitFor("wait_event dealloc_wq", (host, l) => {
        const queue = host.get(netbackQueueCell, l.queue);
        return queue === undefined || queue.dealloc.length > 0 || deallocShouldStop(host, l.thread, l.queue);
      }),
      step("xenvif_tx_dealloc_action", (host, l) => {
        const queue = host.edit(netbackQueueCell, l.queue);
        const [first] = queue.dealloc;
        if (first !== undefined) {
          queue.dealloc.shift();
          unmapFrontendPage(
            host,
            { domid: l.domid, process: `kernel ${queue.name}` },
            { handle: first.handle },
          );
          respond(host, l.domid, queue, first.id, XEN_NETIF_RSP_OKAY);
          queue.inflightPackets--;
        }
        l.stop = queue.dealloc.length === 0 && deallocShouldStop(host, l.thread, l.queue);
      }),
    ]),
  ],
);

/** Packets for the guest: there are none but those of other guests on the bridge, which are not modelled. */
export const xenvifKthreadGuestRx = routine(
  "xenvif_kthread_guest_rx",
  (a: { domid: number; queue: string; thread: string }) => ({ ...a }),
  ({ waitFor, step }) => [
    waitFor("xenvif_wait_for_rx_work", (host, l) => kthreadShouldStop(host, l.thread)),
    step("xenvif_rx_queue_purge", () => {}),
  ],
);
