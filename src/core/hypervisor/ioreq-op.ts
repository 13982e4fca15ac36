// SPDX-License-Identifier: Apache-2.0
//
// IOREQ servers as hypercalls: DMOP for device models, and the pages as a
// resource to map (xen/arch/x86/hvm/dm.c, xen/common/memory.c).

import { must } from "../engine/cells.ts";
import type { DeepReadonly } from "../engine/cells.ts";
import { fail, isFailure } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { targeted, traced } from "./caller.ts";
import type { Caller } from "./caller.ts";
import type { Domain } from "./domain.ts";
import * as ioreq from "./ioreq.ts";
import { ioreqServerCell, ioreqServerId } from "./ioreq.ts";
import type { IoreqServer } from "./ioreq.ts";

/** The HVM domain a device model means: ESRCH, EPERM, EINVAL for PV. */
export function emulated(host: Host, caller: Caller, domid: number): DeepReadonly<Domain> | Failure {
  const d = targeted(host, caller, domid);
  return isFailure(d) || d.type !== "pv" ? d : fail("EINVAL");
}

/** A server the caller's own domain made: also ENOENT, EPERM. */
export function owned(
  host: Host,
  caller: Caller,
  domid: number,
  id: number,
): { d: DeepReadonly<Domain>; server: DeepReadonly<IoreqServer> } | Failure {
  const d = emulated(host, caller, domid);
  if (isFailure(d)) return d;
  const server = host.get(ioreqServerCell, ioreqServerId(d.domid, id));
  if (server === undefined) return fail("ENOENT");
  return server.emulator === caller.domid ? { d, server } : fail("EPERM");
}

/** XEN_DMOP_create_ioreq_server: the new server's number; EINVAL, ENOSPC. */
export function createIoreqServer(
  host: Host,
  caller: Caller,
  { domid, bufioreqHandling }: { domid: number; bufioreqHandling: number },
): number | Failure {
  const d = emulated(host, caller, domid);
  const result = isFailure(d) ? d : ioreq.ioreqServerCreate(host, d, caller, bufioreqHandling);
  return traced(host, caller, "dm_op create_ioreq_server", domid, { bufioreqHandling }, result);
}

/** XEN_DMOP_destroy_ioreq_server. */
export function destroyIoreqServer(
  host: Host,
  caller: Caller,
  { domid, id }: { domid: number; id: number },
): 0 | Failure {
  const found = owned(host, caller, domid, id);
  if (!isFailure(found)) ioreq.ioreqServerDestroy(host, found.d.domid, id);
  return traced(host, caller, "dm_op destroy_ioreq_server", domid, { id }, isFailure(found) ? found : 0);
}

/** XEN_DMOP_set_ioreq_server_state. */
export function setIoreqServerState(
  host: Host,
  caller: Caller,
  { domid, id, enabled }: { domid: number; id: number; enabled: boolean },
): 0 | Failure {
  const found = owned(host, caller, domid, id);
  if (!isFailure(found)) ioreq.ioreqServerSetState(host, found.d.domid, id, enabled);
  return traced(
    host,
    caller,
    "dm_op set_ioreq_server_state",
    domid,
    { id, enabled: Number(enabled) },
    isFailure(found) ? found : 0,
  );
}

/** Accesses of one kind: ports, guest addresses, or PCI functions as `segment << 16 | bus << 8 | devfn`. */
export interface IoRange {
  domid: number;
  id: number;
  kind: ioreq.IoRangeKind | null;
  start: bigint;
  end: bigint;
}

/** A change of the ranges of a server: EINVAL for a range that ends before it begins, or a kind there is not. */
function changeRange(
  host: Host,
  caller: Caller,
  op: string,
  { domid, id, kind, start, end }: IoRange,
  change: typeof ioreq.ioreqServerMapRange,
): 0 | Failure {
  const shown = { id, type: kind ?? "?", start: `0x${start.toString(16)}`, end: `0x${end.toString(16)}` };
  const found = start > end ? fail("EINVAL") : owned(host, caller, domid, id);
  const known = isFailure(found) || kind !== null ? found : fail("EINVAL");
  const result = isFailure(known)
    ? known
    : change(host, known.d.domid, id, kind as ioreq.IoRangeKind, { start, end });
  return traced(host, caller, op, domid, shown, result);
}

/** XEN_DMOP_map_io_range_to_ioreq_server: also EEXIST, ENOMEM. */
export function mapIoRange(host: Host, caller: Caller, range: IoRange): 0 | Failure {
  const op = "dm_op map_io_range_to_ioreq_server";
  return changeRange(host, caller, op, range, ioreq.ioreqServerMapRange);
}

/** XEN_DMOP_unmap_io_range_from_ioreq_server: also ENOENT, ENOMEM. */
export function unmapIoRange(host: Host, caller: Caller, range: IoRange): 0 | Failure {
  const op = "dm_op unmap_io_range_from_ioreq_server";
  return changeRange(host, caller, op, range, ioreq.ioreqServerUnmapRange);
}

/** What XEN_DMOP_get_ioreq_server_info tells; guest frames are -1 where it has its own pages. */
export interface IoreqServerInfo {
  ioreqGfn: number;
  bufioreqGfn: number;
  bufioreqPort: number;
}

/** XEN_DMOP_get_ioreq_server_info; unless `noGfns`, guest frames are mapped for the server: EPERM, ENOMEM, EINVAL. */
export function getIoreqServerInfo(
  host: Host,
  caller: Caller,
  { domid, id, noGfns }: { domid: number; id: number; noGfns: boolean },
): IoreqServerInfo | Failure {
  const found = owned(host, caller, domid, id);
  if (isFailure(found)) return found;
  const mapped = noGfns ? 0 : ioreq.ioreqServerMapPages(host, found.d.domid, id);
  if (isFailure(mapped)) return mapped;
  const server = must(host, ioreqServerCell, ioreqServerId(found.d.domid, id));
  return {
    ioreqGfn: server.ioreq.gfn,
    bufioreqGfn: server.bufioreq.gfn,
    bufioreqPort: server.bufioreqPort,
  };
}

/** XENMEM_resource_ioreq_server_frame_*: the page for buffered requests, then that of the vCPUs. */
const FRAME_BUFIOREQ = 0;
const FRAME_IOREQ = 1;
/** Frames of the resource: a page of requests has room for all vCPUs (ioreq_server_max_frames). */
export const IOREQ_FRAMES = 2;

/**
 * Machine frames of a server's pages, made where there are none yet
 * (XENMEM_acquire_resource): whoever maps them holds them like any foreign page.
 * EPERM where the server has guest frames, ENOENT without buffered requests,
 * EINVAL beyond its pages.
 */
export function acquireIoreqFrames(
  host: Host,
  caller: Caller,
  { domid, id, frame, nrFrames }: { domid: number; id: number; frame: number; nrFrames: number },
): { mfns: number[] } | Failure {
  const found = owned(host, caller, domid, id);
  if (isFailure(found)) return found;
  const allocated = ioreq.ioreqServerAllocPages(host, found.d.domid, id);
  if (isFailure(allocated)) return allocated;
  const server = must(host, ioreqServerCell, ioreqServerId(found.d.domid, id));
  const mfns: number[] = [];
  for (let at = frame; at < frame + nrFrames; at++) {
    if (at === FRAME_BUFIOREQ && server.bufioreqHandling === 0) return fail("ENOENT");
    if (at !== FRAME_BUFIOREQ && at !== FRAME_IOREQ) return fail("EINVAL");
    mfns.push(at === FRAME_IOREQ ? server.ioreq.mfn : server.bufioreq.mfn);
  }
  return { mfns };
}
