// SPDX-License-Identifier: Apache-2.0
//
// blkback's thread: takes requests from a ring, maps their pages, hands them to
// the disk, answers when the disk has (Linux drivers/block/xen-blkback/blkback.c).

import { present } from "../engine/errno.ts";
import { must } from "../engine/cells.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { evtchnSend } from "../hypervisor/event-channel.ts";
import { GrantStatus, mapGrantRef } from "../hypervisor/grant-table-op.ts";
import { consumeEvent, eventPending } from "../hypervisor/port.ts";
import { kthreadShouldStop } from "../xenbus/kthread.ts";
import { bioCell, blkbackCell, blkbackRingCell } from "./blkback-cells.ts";
import type { BlkbackRing } from "./blkback-cells.ts";
import { BLKIF_RSP_ERROR, BLKIF_RSP_OKAY, blkifLayout, decodeRequest, encodeResponse } from "./blkif.ts";
import type { BlkifRequest } from "./blkif.ts";
import { diskCaller } from "./blkback-ring.ts";
import { submitBio } from "./disk.ts";
import { produceResponse, readSlot, requestsConsumed, requestsProduced } from "./ring.ts";
import { unmapFrontendPage } from "./unmap.ts";

interface RingArgs {
  domid: number;
  blkif: string;
  /** `<disk>/<number>` */
  ring: string;
}

function makeResponse(
  host: Host,
  domid: number,
  ring: BlkbackRing,
  { id, operation }: { id: number; operation: number },
  status: number,
): void {
  const notify = produceResponse(
    host.memory,
    ring.ring.mfn,
    blkifLayout,
    ring.rspProd,
    encodeResponse(id, operation, status),
  );
  ring.rspProd++;
  if (notify) evtchnSend(host, domid, ring.port);
}

/** Maps the pages of a request that are not mapped already; null where one cannot be. */
function xenBlkbkMap(
  host: Host,
  domid: number,
  blkif: string,
  ring: BlkbackRing,
  refs: readonly number[],
): number[] | null {
  const { frontend, featurePersistent } = must(host, blkbackCell, blkif);
  const caller = diskCaller(domid, blkif);
  const handles: number[] = [];
  for (const ref of refs) {
    if (ring.persistent.some((grant) => grant.ref === ref)) continue;
    const { status, handle, mfn } = mapGrantRef(host, caller, { domid: frontend, ref });
    if (status !== GrantStatus.okay) {
      for (const mapped of handles) unmapFrontendPage(host, caller, { handle: mapped });
      return null;
    }
    if (featurePersistent) insertPersistent(ring, { ref, handle, mfn });
    else handles.push(handle);
  }
  return handles;
}

function insertPersistent(ring: BlkbackRing, grant: { ref: number; handle: number; mfn: number }): void {
  const at = ring.persistent.findIndex((other) => other.ref > grant.ref);
  ring.persistent.splice(at < 0 ? ring.persistent.length : at, 0, grant);
}

/** The disk has answered: so is the guest. */
const endBlockIoOp = routine(
  "end_block_io_op",
  (a: { domid: number; bio: string }) => ({ ...a }),
  ({ step }) => [
    step("__end_block_io_op", (host, l) => {
      const { ring: id, handles, id: request, operation } = must(host, bioCell, l.bio);
      const ring = host.edit(blkbackRingCell, id);
      for (const handle of handles)
        unmapFrontendPage(host, { domid: l.domid, process: "kernel" }, { handle });
      makeResponse(host, l.domid, ring, { id: request, operation }, BLKIF_RSP_OKAY);
      ring.inflight--;
      host.drop(bioCell, l.bio);
    }),
  ],
);

/** A request with its pages mapped goes to the disk. */
const dispatchRwBlockIo = routine(
  "dispatch_rw_block_io",
  (a: RingArgs & { request: BlkifRequest }) => ({ ...a, number: "", bio: "", mapped: false }),
  ({ step, when, call }) => [
    step("xen_blkbk_map_seg", (host, l) => {
      const ring = host.edit(blkbackRingCell, l.ring);
      const handles = xenBlkbkMap(host, l.domid, l.blkif, ring, l.request.refs);
      l.mapped = handles !== null;
      l.number = must(host, blkbackCell, l.blkif).physicalDevice;
      l.bio = `${l.ring}/${l.request.id}`;
      if (handles === null) return makeResponse(host, l.domid, ring, l.request, BLKIF_RSP_ERROR);
      ring.inflight++;
      host.add(bioCell, l.bio, { ring: l.ring, id: l.request.id, operation: l.request.operation, handles });
    }),
    when("mapped", (l) => l.mapped, [
      call("submit_bio", submitBio, (l) => ({
        number: l.number,
        name: l.bio,
        endIo: endBlockIoOp.name,
        args: { domid: l.domid, bio: l.bio },
      })),
    ]),
  ],
);

/** Takes one request after another. */
const doBlockIoOp = routine(
  "__do_block_io_op",
  (a: RingArgs) => ({ ...a, request: null as BlkifRequest | null, more: true }),
  ({ repeatUntil, step, when, call }) => [
    repeatUntil("rc != rp", (l) => !l.more, [
      step("RING_COPY_REQUEST", (host, l) => {
        const ring = host.edit(blkbackRingCell, l.ring);
        const waiting = (requestsProduced(host.memory, ring.ring.mfn) - ring.reqCons) >>> 0;
        l.more = waiting > 0 && waiting <= blkifLayout.slots;
        l.request = null;
        if (waiting === 0) requestsConsumed(host.memory, ring.ring.mfn, ring.reqCons);
        if (!l.more) return;
        const request = decodeRequest(readSlot(host.memory, ring.ring.mfn, blkifLayout, ring.reqCons));
        ring.reqCons++;
        if (request.bad) makeResponse(host, l.domid, ring, request, BLKIF_RSP_ERROR);
        else l.request = request;
      }),
      when("a request", (l) => l.request !== null, [
        call("dispatch_rw_block_io", dispatchRwBlockIo, ({ domid, blkif, ring, request }) => ({
          domid,
          blkif,
          ring,
          request: present(request),
        })),
      ]),
    ]),
  ],
);

/** The thread of one ring. It ends when it is told to and has nothing under its hands. */
export const xenBlkifSchedule = routine(
  "xen_blkif_schedule",
  (a: RingArgs & { thread: string }) => ({ ...a, stop: false }),
  ({ repeatUntil, waitFor, step, when, call }) => [
    repeatUntil("kthread_should_stop", (l) => l.stop, [
      waitFor("wait_event blkif->wq", (host, l) => {
        return (
          kthreadShouldStop(host, l.thread) ||
          eventPending(host, l.domid, must(host, blkbackRingCell, l.ring).port)
        );
      }),
      step("waiting_reqs = 0", (host, l) => {
        l.stop = kthreadShouldStop(host, l.thread);
        consumeEvent(host, l.domid, must(host, blkbackRingCell, l.ring).port);
      }),
      when("go on", (l) => !l.stop, [
        call("do_block_io_op", doBlockIoOp, ({ domid, blkif, ring }) => ({ domid, blkif, ring })),
      ]),
    ]),
  ],
);
