// SPDX-License-Identifier: Apache-2.0
//
// GNTTABOP: grant tables as hypercalls (xen/common/grant_table.c,
// do_grant_table_op), and what a kernel does in its own table without one.
// Errors of single operations are GNTST_* in `status`, as in the real call.

import { must } from "../engine/cells.ts";
import { isFailure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { targeted, traced } from "./caller.ts";
import type { Caller } from "./caller.ts";
import { grantTableCell, maptrackCell } from "./grant-cells.ts";
import { grantCopy } from "./grant-copy.ts";
import type { CopySide } from "./grant-copy.ts";
import type { GrantStatusCode } from "./grant-status.ts";
import * as gnttab from "./grant-table.ts";
import {
  GTF_permit_access,
  GTF_reading,
  GTF_readonly,
  GTF_writing,
  readEntry,
  writeEntry,
} from "./grant-entry.ts";
import { GNTMAP_host_map, GNTMAP_readonly, GrantStatus } from "./grant-table.ts";
import type { GrantMapping } from "./grant-table.ts";

/**
 * Maps a page that `domid` grants to the caller's domain. The default is a writable mapping for the processor.
 *
 * @param by who makes the hypercall where that is not the caller, whose the mapping is
 */
export function mapGrantRef(
  host: Host,
  caller: Caller,
  { domid, ref, flags = GNTMAP_host_map }: { domid: number; ref: number; flags?: number },
  by: Caller = caller,
): GrantMapping {
  const mapping = gnttab.mapGrantRef(host, caller.domid, caller.process, domid, ref, flags);
  traced(host, by, "grant_table_op map_grant_ref", domid, { ref, flags }, mapping.status, () => ({
    handle: mapping.handle,
  }));
  return mapping;
}

/** Ends a mapping of the caller's domain. */
export function unmapGrantRef(
  host: Host,
  caller: Caller,
  { handle }: { handle: number },
): { status: GrantStatusCode } {
  const track = host.get(maptrackCell, `${caller.domid}/${handle}`);
  const of = track === undefined ? { dom: -1, ref: -1 } : { dom: track.domid, ref: track.ref };
  const status = gnttab.unmapGrantRef(host, caller.domid, handle);
  traced(host, caller, "grant_table_op unmap_grant_ref", of.dom, { ref: of.ref, handle }, status);
  return { status };
}

/** Copies at most a page between pages, each granted to the caller's domain or its own. */
export function copy(
  host: Host,
  caller: Caller,
  { source, dest, length }: { source: CopySide; dest: CopySide; length: number },
): { status: GrantStatusCode } {
  return { status: grantCopy(host, caller.domid, source, dest, length) };
}

/** Gives a domain at least `nrFrames` grant frames and says which machine frames they are. */
export function setupTable(
  host: Host,
  caller: Caller,
  { domid, nrFrames }: { domid: number; nrFrames: number },
): { status: GrantStatusCode; frames: number[] } {
  const d = targeted(host, caller, domid);
  const failed = (status: GrantStatusCode): { status: GrantStatusCode; frames: number[] } => ({
    status,
    frames: [],
  });
  if (isFailure(d))
    return failed(d.errno === "ESRCH" ? GrantStatus.bad_domain : GrantStatus.permission_denied);
  const grown = gnttab.growTable(host, d.domid, nrFrames);
  traced(host, caller, "grant_table_op setup_table", d.domid, { nr_frames: nrFrames }, grown);
  if (isFailure(grown)) return failed(GrantStatus.general_error);
  return { status: GrantStatus.okay, frames: must(host, grantTableCell, d.domid).frames.slice(0, nrFrames) };
}

/** How many grant frames a domain has and may have. */
export function querySize(
  host: Host,
  caller: Caller,
  { domid }: { domid: number },
): { status: GrantStatusCode; nrFrames: number; maxNrFrames: number } {
  const d = targeted(host, caller, domid);
  if (isFailure(d)) {
    return {
      status: d.errno === "ESRCH" ? GrantStatus.bad_domain : GrantStatus.permission_denied,
      nrFrames: 0,
      maxNrFrames: 0,
    };
  }
  const { frames, maxGrantFrames } = must(host, grantTableCell, d.domid);
  return { status: GrantStatus.okay, nrFrames: frames.length, maxNrFrames: maxGrantFrames };
}

/** A kernel lets `to` map a frame of its own: it writes the entry, no hypercall (gnttab_grant_foreign_access_ref). */
export function grantAccess(
  host: Host,
  domid: number,
  ref: number,
  to: number,
  gfn: number,
  readonly = false,
): boolean {
  return writeEntry(host, domid, ref, {
    flags: GTF_permit_access | (readonly ? GTF_readonly : 0),
    domid: to,
    frame: gfn,
  });
}

/** A kernel takes an entry back: false while somebody maps it (gnttab_end_foreign_access_ref). */
export function endAccess(host: Host, domid: number, ref: number): boolean {
  const entry = readEntry(host, domid, ref);
  if (entry === undefined || (entry.flags & (GTF_reading | GTF_writing)) !== 0) return false;
  return writeEntry(host, domid, ref, { flags: 0, domid: 0, frame: 0 });
}

export { GNTMAP_host_map, GNTMAP_readonly, GrantStatus };
