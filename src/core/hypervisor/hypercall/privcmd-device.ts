// SPDX-License-Identifier: Apache-2.0
//
// /dev/xen/privcmd of dom0's kernel (Linux, drivers/xen/privcmd.c): maps other
// domains' frames, and frames the hypervisor shares, into a process.

import { must } from "../../engine/cells.ts";
import { fail, isFailure } from "../../engine/errno.ts";
import type { Errno, Failure } from "../../engine/errno.ts";
import type { Host } from "../../engine/host.ts";
import { isPrivileged, targeted } from "../caller.ts";
import type { Caller } from "../caller.ts";
import { DOMID_XEN } from "../domid.ts";
import { lastMissingFrame, mapForeignBatch, mapsNothing, unmapForeignBatch } from "../foreign-map.ts";
import type { MappedFrames } from "../foreign-map.ts";
import { eachRun } from "../frame-runs.ts";
import type { FrameRuns } from "../frame-runs.ts";
import { grantTableCell } from "../grant-cells.ts";
import { acquireIoreqFrames, emulated, IOREQ_FRAMES } from "../ioreq-op.ts";
import { isM2pFrame } from "../m2p.ts";
import { mapFrame, unmapFrame } from "../mapping.ts";
import { acquireGrantFrames } from "../memory-op.ts";
import { NO_FRAME } from "../runs.ts";
import { operation, query } from "./operation.ts";

/** Xen's own frames that may be mapped: the machine-to-physical table. They are never freed: nobody holds them. */
function m2pFrames(host: Host, gfns: FrameRuns): MappedFrames {
  const mfns: number[] = [];
  const errors: { page: number; count: number; errno: Errno }[] = [];
  let page = 0;
  for (const [first, count] of eachRun(gfns)) {
    const there = isM2pFrame(host, first) && isM2pFrame(host, first + count - 1);
    mfns.push(there ? first : NO_FRAME, count);
    if (!there) errors.push({ page, count, errno: "EINVAL" });
    page += count;
  }
  return { mfns, errors };
}

/** IOCTL_PRIVCMD_MMAPBATCH_V2: every page has a result of its own; ESRCH, EPERM for all of them. */
export const mapBatch = operation(
  "privcmd mmapbatch",
  (
    host,
    caller,
    { domid, gfns, readonly }: { domid: number; gfns: FrameRuns; readonly: boolean },
  ): MappedFrames | Failure => {
    if (domid === DOMID_XEN) return isPrivileged(host, caller) ? m2pFrames(host, gfns) : fail("EPERM");
    return mapForeignBatch(host, caller, { domid, gfns, readonly });
  },
);

/** Whether a batch has no frame to map: each page's result is EINVAL then. */
export const batchMapsNothing = query(
  "privcmd mmapbatch nothing",
  (host, caller, { domid, gfns }: { domid: number; gfns: FrameRuns }) =>
    mapsNothing(host, caller, domid, gfns),
);

/** The last frame before the next that is there, from one that is not. */
export const lastMissing = query(
  "privcmd last missing frame",
  (host, caller, { domid, gfn }: { domid: number; gfn: number }) =>
    lastMissingFrame(host, caller, domid, gfn),
);

/** Pages of a batch are no longer mapped. */
export const unmapBatch = operation(
  "privcmd unmap",
  (host, caller, { mfns, readonly }: { mfns: FrameRuns; readonly: boolean }) =>
    unmapForeignBatch(host, caller, { mfns, readonly }),
);

/** Frames of a domain's that the hypervisor has: `id` says which of several there are of that kind. */
export interface Resource {
  domid: number;
  id: number;
  frame: number;
  count: number;
}

/** Maps all frames of a resource or none. */
function mapAll(
  host: Host,
  caller: Caller,
  { domid, count }: Resource,
  acquired: { mfns: number[] } | Failure,
): { mfns: number[] } | Failure {
  if (isFailure(acquired)) return acquired;
  if (acquired.mfns.length !== count) return fail("EINVAL");
  const done: number[] = [];
  for (const mfn of acquired.mfns) {
    const mapped = mapFrame(host, caller.domid, caller.process, "foreign map", domid, mfn, false);
    if (isFailure(mapped)) return undo(host, caller, done, mapped);
    done.push(mfn);
  }
  return acquired;
}

/** IOCTL_PRIVCMD_MMAP_RESOURCE of grant frames, all or none; the errors of XENMEM_acquire_resource. */
export const mapGrantTable = operation(
  "privcmd mmap_resource grant_table",
  (host, caller, resource: Resource) => {
    const { domid, id, frame, count } = resource;
    if (id !== 0) return fail("EOPNOTSUPP");
    return mapAll(
      host,
      caller,
      resource,
      acquireGrantFrames(host, caller, { domid, frame, nrFrames: count }),
    );
  },
);

/** … of the pages that an IOREQ server shares with its device model. */
export const mapIoreqServer = operation(
  "privcmd mmap_resource ioreq_server",
  (host, caller, resource: Resource) => {
    const { domid, id, frame, count } = resource;
    return mapAll(
      host,
      caller,
      resource,
      acquireIoreqFrames(host, caller, { domid, id, frame, nrFrames: count }),
    );
  },
);

function undo(host: Host, caller: Caller, done: readonly number[], failure: Failure): Failure {
  for (const mfn of done) unmapFrame(host, caller.domid, caller.process, "foreign map", mfn, false);
  return failure;
}

/** How many frames a grant table can have: the answer to a request without an address. */
export const grantTableSize = query(
  "privcmd resource_size grant_table",
  (host, caller, { domid, id }: { domid: number; id: number }) => {
    const d = targeted(host, caller, domid);
    if (isFailure(d)) return d;
    return id === 0 ? must(host, grantTableCell, d.domid).maxGrantFrames : fail("EOPNOTSUPP");
  },
);

/** How many an IOREQ server can have; EINVAL for a PV domain. */
export const ioreqServerSize = query(
  "privcmd resource_size ioreq_server",
  (host, caller, { domid }: { domid: number; id: number }) => {
    const d = emulated(host, caller, domid);
    return isFailure(d) ? d : IOREQ_FRAMES;
  },
);
