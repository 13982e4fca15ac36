// SPDX-License-Identifier: Apache-2.0
//
// A guest sending packets: each is a page the backend may map until it answers
// (Linux drivers/net/xen-netfront.c, xennet_start_xmit, xennet_tx_buf_gc).

import { must } from "../engine/cells.ts";
import { isFailure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { evtchnSend } from "../hypervisor/event-channel.ts";
import { endAccess } from "../hypervisor/grant-table-op.ts";
import { guestPages } from "../hypervisor/guest-access.ts";
import { consumeEvent } from "../hypervisor/port.ts";
import { deviceOf, devicesOn } from "../xenbus/device.ts";
import { writeU32 } from "../xenstore/wire.ts";
import { grantForeignAccess } from "./gnttab.ts";
import { netfrontCell, netfrontQueueCell, txLayout } from "./netfront-cells.ts";
import { allocPage, freePage } from "./pages.ts";
import { produceRequest, readSlot, responsesConsumed, responsesProduced } from "./ring.ts";

const PACKET_BYTES = 98;

/** struct xen_netif_tx_request: gref, offset, flags, id, size. */
function txRequest(ref: number, id: number): Uint8Array {
  const bytes = new Uint8Array(txLayout.slotBytes);
  writeU32(bytes, 0, ref);
  bytes[8] = id & 0xff;
  bytes[9] = id >> 8;
  bytes[10] = PACKET_BYTES;
  return bytes;
}

/** Takes the answers out of the ring: their pages are the guest's alone again. */
function txBufGc(host: Host, domid: number, id: string): void {
  const queue = host.edit(netfrontQueueCell, id);
  consumeEvent(host, domid, queue.txPort);
  const produced = responsesProduced(guestPages(host, domid), queue.txRing.mfn);
  for (
    ;
    queue.txRspCons !== produced && (produced - queue.txRspCons) >>> 0 <= txLayout.slots;
    queue.txRspCons++
  ) {
    const response = readSlot(guestPages(host, domid), queue.txRing.mfn, txLayout, queue.txRspCons);
    const requestId = (response[0] as number) | ((response[1] as number) << 8);
    const at = queue.sent.findIndex((packet) => packet.id === requestId);
    if (at < 0) continue;
    const [{ page }] = queue.sent.splice(at, 1) as [(typeof queue.sent)[number]];
    endAccess(host, domid, page.ref);
    queue.txRefs.push(page.ref);
    freePage(host, domid, page.mfn);
  }
  responsesConsumed(guestPages(host, domid), queue.txRing.mfn, queue.txRspCons);
}

/** Sends one packet through an interface's first queue; nothing where it has no carrier, no room or no page. */
function startXmit(host: Host, domid: number, device: string): void {
  const netfront = must(host, netfrontCell, device);
  if (!netfront.carrier || netfront.queues === 0) return;
  const id = `${device}/0`;
  txBufGc(host, domid, id);
  const queue = host.edit(netfrontQueueCell, id);
  const ref = queue.txRefs.pop();
  if (ref === undefined) return;
  const page = allocPage(host, domid);
  if (isFailure(page)) {
    queue.txRefs.push(ref);
    return;
  }
  const { gfn, mfn } = page;
  grantForeignAccess(host, domid, ref, deviceOf(host, device).otherendId, gfn, true);
  let requestId = 0;
  while (queue.sent.some((packet) => packet.id === requestId)) requestId++;
  queue.sent.push({ id: requestId, page: { ref, mfn } });
  const request = txRequest(ref, requestId);
  const notify = produceRequest(guestPages(host, domid), queue.txRing.mfn, txLayout, queue.txProd, request);
  queue.txProd++;
  if (notify) evtchnSend(host, domid, queue.txPort);
}

/** Sends a packet through every interface of a guest. */
export function sendPackets(host: Host, domid: number): void {
  for (const device of devicesOn(host, domid, "frontend")) {
    if (host.get(netfrontCell, device) !== undefined) startXmit(host, domid, device);
  }
}
