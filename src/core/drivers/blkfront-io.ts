// SPDX-License-Identifier: Apache-2.0
//
// A guest reading its disk: pages are granted, a request goes into the ring, the
// interrupt's handler finds the answer (Linux drivers/block/xen-blkfront.c,
// blkif_queue_rq, blkif_interrupt).

import { must } from "../engine/cells.ts";
import type { Cells } from "../engine/cells.ts";
import { fail, isFailure } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { evtchnSend } from "../hypervisor/event-channel.ts";
import { guestPages } from "../hypervisor/guest-access.ts";
import { consumeEvent, eventPending } from "../hypervisor/port.ts";
import { deviceOf } from "../xenbus/device.ts";
import {
  BLKIF_OP_READ,
  BLKIF_RSP_OKAY,
  blkifLayout,
  decodeResponse,
  encodeRequest,
  SEGMENTS_MAX,
} from "./blkif.ts";
import { blkfrontCell, blkfrontRingCell } from "./blkfront-cells.ts";
import type { BlkfrontRing } from "./blkfront-cells.ts";
import { endForeignAccess, grantPage } from "./gnttab.ts";
import type { GrantedPage } from "./gnttab.ts";
import { produceRequest, readSlot, responsesConsumed, responsesProduced } from "./ring.ts";

/** Pages for a request: those that stayed granted first, then new ones. */
function getGrants(
  host: Host,
  domid: number,
  ring: BlkfrontRing,
  to: number,
  count: number,
): GrantedPage[] | Failure {
  const pages: GrantedPage[] = [];
  while (pages.length < count) {
    const kept = ring.persistent.pop();
    if (kept !== undefined) {
      pages.push(kept);
      continue;
    }
    const page = grantPage(host, domid, to);
    if (isFailure(page)) {
      ring.persistent.push(...pages);
      return page;
    }
    pages.push(page);
  }
  return pages;
}

/** Puts a read of so many pages into a ring; its id. Fails where the guest has no pages for it. */
function queueRead(
  host: Host,
  domid: number,
  device: string,
  ringId: string,
  sector: number,
  pages: number,
): number | Failure {
  const ring = host.edit(blkfrontRingCell, ringId);
  const granted = getGrants(host, domid, ring, deviceOf(host, device).otherendId, pages);
  if (isFailure(granted)) return granted;
  let id = 0;
  while (ring.requests.some((request) => request.id === id)) id++;
  ring.requests.push({ id, pages: granted, done: false, status: 0 });
  const request = encodeRequest({
    operation: BLKIF_OP_READ,
    id,
    sector,
    refs: granted.map(({ ref }) => ref),
  });
  const notify = produceRequest(guestPages(host, domid), ring.ring.mfn, blkifLayout, ring.reqProd, request);
  ring.reqProd++;
  if (notify) evtchnSend(host, domid, ring.port);
  return id;
}

/** Takes the answers out of a ring (blkif_interrupt). */
function blkifInterrupt(host: Host, domid: number, ringId: string): void {
  const { port } = must(host, blkfrontRingCell, ringId);
  consumeEvent(host, domid, port);
  const ring = host.edit(blkfrontRingCell, ringId);
  const produced = responsesProduced(guestPages(host, domid), ring.ring.mfn);
  for (; ring.rspCons !== produced && (produced - ring.rspCons) >>> 0 <= blkifLayout.slots; ring.rspCons++) {
    const { id, status } = decodeResponse(
      readSlot(guestPages(host, domid), ring.ring.mfn, blkifLayout, ring.rspCons),
    );
    const request = ring.requests.find((other) => other.id === id && !other.done);
    if (request === undefined) continue;
    request.done = true;
    request.status = status;
  }
  responsesConsumed(guestPages(host, domid), ring.ring.mfn, ring.rspCons);
}

function isAnswered(cells: Cells, ringId: string, id: number): boolean {
  return cells.get(blkfrontRingCell, ringId)?.requests.find((request) => request.id === id)?.done ?? true;
}

/** Forgets an answered request; its pages stay granted where the backend keeps them mapped. */
function finishRequest(host: Host, domid: number, device: string, ringId: string, id: number): number {
  const ring = host.edit(blkfrontRingCell, ringId);
  const at = ring.requests.findIndex((request) => request.id === id);
  const [request] = ring.requests.splice(at, 1);
  if (request === undefined) return BLKIF_RSP_OKAY;
  if (must(host, blkfrontCell, device).persistent) ring.persistent.push(...request.pages);
  else endForeignAccess(host, domid, request.pages);
  return request.status;
}

interface ReadLocals {
  domid: number;
  device: string;
  sector: number;
  pages: number;
  ring: string;
  id: number;
  port: number;
  answered: boolean;
}

/**
 * One request for up to eleven pages of 4096 bytes. Fails with EIO where the backend says so, ENXIO without a
 * disk, ENOMEM without pages.
 */
const readRequest = routine(
  "blkif_queue_rq",
  (a: { domid: number; device: string; sector: number; pages: number }): ReadLocals => ({
    ...a,
    ring: `${a.device}/0`,
    id: 0,
    port: 0,
    answered: false,
  }),
  ({ step, repeatUntil, waitFor }) => [
    step("blkif_queue_request", (host, l) => {
      if (host.get(blkfrontCell, l.device)?.connected !== true) return fail("ENXIO");
      const id = queueRead(host, l.domid, l.device, l.ring, l.sector, l.pages);
      if (isFailure(id)) return id;
      l.id = id;
      l.port = must(host, blkfrontRingCell, l.ring).port;
      return undefined;
    }),
    repeatUntil("answered", (l) => l.answered, [
      waitFor(
        "io_schedule",
        (host, l) => eventPending(host, l.domid, l.port) || isAnswered(host, l.ring, l.id),
      ),
      step("blkif_interrupt", (host, l) => {
        if (host.get(blkfrontRingCell, l.ring) === undefined) return fail("ENXIO");
        blkifInterrupt(host, l.domid, l.ring);
        l.answered = isAnswered(host, l.ring, l.id);
        return l.answered && finishRequest(host, l.domid, l.device, l.ring, l.id) !== BLKIF_RSP_OKAY
          ? fail("EIO")
          : undefined;
      }),
    ]),
  ],
);

/** Reads so many pages from the disk's start on, as many at a time as fit into a request. */
export const blkfrontRead = routine(
  "blkdev_read",
  (a: { domid: number; device: string; pages: number }) => ({ ...a, done: 0 }),
  ({ repeatUntil, call }) => [
    repeatUntil("all pages", (l) => l.done >= l.pages, [
      call(
        "submit_bio",
        readRequest,
        (l) => ({
          domid: l.domid,
          device: l.device,
          sector: l.done * 8,
          pages: Math.min(SEGMENTS_MAX, l.pages - l.done),
        }),
        (l) => {
          l.done += Math.min(SEGMENTS_MAX, l.pages - l.done);
        },
      ),
    ]),
  ],
);
