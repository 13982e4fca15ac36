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
import { grantTableCell } from "../grant-cells.ts";
import { acquireIoreqFrames, emulated, IOREQ_FRAMES } from "../ioreq-op.ts";
import { isM2pFrame } from "../m2p.ts";
import { mapFrame, unmapFrame } from "../mapping.ts";
import { acquireGrantFrames, mapForeign, unmapForeign } from "../memory-op.ts";
import { operation, query } from "./operation.ts";

/** What became of each page: its machine frame, or why there is none. */
export type MappedPage = number | { errno: Errno };

/** Xen's own frames that may be mapped: the machine-to-physical table. They are never freed: nobody holds them. */
function m2pPage(host: Host): (mfn: number) => MappedPage {
  return (mfn) => (isM2pFrame(host, mfn) ? mfn : { errno: "EINVAL" });
}

/** IOCTL_PRIVCMD_MMAPBATCH_V2: every page has a result of its own; ESRCH, EPERM for all of them. */
export const mapBatch = operation(
  "privcmd mmapbatch",
  (
    host,
    caller,
    { domid, gfns, readonly }: { domid: number; gfns: readonly number[]; readonly: boolean },
  ) => {
    if (domid === DOMID_XEN) return isPrivileged(host, caller) ? gfns.map(m2pPage(host)) : fail("EPERM");
    const d = targeted(host, caller, domid);
    if (isFailure(d)) return d;
    return gfns.map((gfn): MappedPage => {
      const mapped = mapForeign(host, caller, { domid, gfn, readonly });
      return isFailure(mapped) ? { errno: mapped.errno } : mapped.mfn;
    });
  },
);

/** Pages of a batch are no longer mapped. */
export const unmapBatch = operation(
  "privcmd unmap",
  (host, caller, { mfns, readonly }: { mfns: readonly number[]; readonly: boolean }) => {
    for (const mfn of mfns) if (!isM2pFrame(host, mfn)) unmapForeign(host, caller, { mfn, readonly });
    return 0;
  },
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
  (host, caller, { domid }: { domid: number }) => {
    const d = targeted(host, caller, domid);
    return isFailure(d) ? d : must(host, grantTableCell, d.domid).maxGrantFrames;
  },
);

/** How many an IOREQ server can have; EINVAL for a PV domain. */
export const ioreqServerSize = query(
  "privcmd resource_size ioreq_server",
  (host, caller, { domid }: { domid: number }) => {
    const d = emulated(host, caller, domid);
    return isFailure(d) ? d : IOREQ_FRAMES;
  },
);
