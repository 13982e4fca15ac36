// SPDX-License-Identifier: Apache-2.0
//
// Grant tables (xen/common/grant_table.c): entries are bytes the guest writes
// into its frames; who maps one pins it. Nothing takes a mapping back from its
// mapper: the granter can only ask, and wait.

import { must } from "../engine/cells.ts";
import type { Cells } from "../engine/cells.ts";
import { assert, fail, isFailure } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { findNextBit, findPrevBit } from "./bitmap.ts";
import { domainById, domainCell } from "./domain.ts";
import { PIN, pinEntry, unpinEntry } from "./grant-pin.ts";
import { GrantStatus } from "./grant-status.ts";
import type { GrantStatusCode } from "./grant-status.ts";
import { activeGrantCell, activeRefs, grantTableCell, handlesInUse, maptrackCell } from "./grant-cells.ts";
import type { ActiveGrant, Maptrack } from "./grant-cells.ts";
import { allocHeapPages } from "./heap.ts";
import { takesType } from "./mapping.ts";
import { noteMapping } from "./mapping-cells.ts";
import { MAPTRACK_PER_PAGE, forgetHandle, getMaptrackHandle, maptrackLimit, takeHandle } from "./maptrack.ts";
import { getPage, getPageAndType, putPage, putPageAndType, shareXenPage } from "./page.ts";
import type { PageHolder } from "./page.ts";

export { GrantStatus };

export const GNTMAP_device_map = 1;
export const GNTMAP_host_map = 2;
export const GNTMAP_readonly = 4;

/** Limits of the host (gnttab_max_frames, gnttab_max_maptrack_frames). */
export const MAX_GRANT_FRAMES = 64;
export const MAX_MAPTRACK_FRAMES = 1024;

/**
 * Gives a new domain its grant table with one frame (grant_table_init). Counts
 * below 0 mean the host's limit.
 *
 * @returns EINVAL for a version or a size beyond what the host allows, ENOMEM
 */
export function grantTableInit(
  host: Host,
  domid: number,
  maxFrames: number,
  maxMaptrack: number,
  maxVersion: number,
): 0 | Failure {
  const maxGrantFrames = maxFrames < 0 ? MAX_GRANT_FRAMES : maxFrames;
  const maxMaptrackFrames = maxMaptrack < 0 ? MAX_MAPTRACK_FRAMES : maxMaptrack;
  if (maxVersion < 1 || maxVersion > 2) return fail("EINVAL");
  if (maxGrantFrames < 1 || maxGrantFrames > MAX_GRANT_FRAMES || maxMaptrackFrames > MAX_MAPTRACK_FRAMES)
    return fail("EINVAL");
  host.add(grantTableCell, domid, {
    version: 1,
    maxVersion: maxVersion,
    maxGrantFrames,
    maxMaptrackFrames,
    frames: [],
    statusFrames: [],
    maptrackVcpus: [],
  });
  const grown = growTable(host, domid, 1);
  if (isFailure(grown)) host.drop(grantTableCell, domid);
  return grown;
}

/** Shares frames with the domain until it has `wanted` (gnttab_grow_table): EINVAL beyond its limit, ENOMEM. */
export function growTable(host: Host, domid: number, wanted: number): 0 | Failure {
  const { frames, maxGrantFrames } = must(host, grantTableCell, domid);
  if (
    wanted > maxGrantFrames ||
    (wanted > frames.length && must(host, domainCell, domid).isDying !== "alive")
  )
    return fail("EINVAL");
  while (must(host, grantTableCell, domid).frames.length < wanted) {
    const mfn = allocHeapPages(host, 0);
    if (mfn < 0) return fail("ENOMEM");
    shareXenPage(host, domid, mfn, "gnttab_grow_table");
    host.edit(grantTableCell, domid).frames.push(mfn);
  }
  return 0;
}

function pinIncrement(flags: number): number {
  const readonly = (flags & GNTMAP_readonly) !== 0;
  const host = (flags & GNTMAP_host_map) === 0 ? 0 : readonly ? PIN.hostRead : PIN.hostWrite;
  const device = (flags & GNTMAP_device_map) === 0 ? 0 : readonly ? PIN.deviceRead : PIN.deviceWrite;
  return (host + device) >>> 0;
}

/** How many page references a mapping of those flags holds: one each for the host and the device part. */
function parts(flags: number): number {
  return ((flags & GNTMAP_host_map) === 0 ? 0 : 1) + ((flags & GNTMAP_device_map) === 0 ? 0 : 1);
}

/** What a successful map gives: the handle that names it and the frame that is mapped. */
export interface GrantMapping {
  status: GrantStatusCode;
  handle: number;
  mfn: number;
}

/** Maps a page another domain grants (map_grant_ref). Errors are in `status`, as in the hypercall. */
export function mapGrantRef(
  host: Host,
  mapper: number,
  process: string,
  granter: number,
  ref: number,
  flags: number,
): GrantMapping {
  const failed = (status: GrantStatusCode): GrantMapping => ({ status, handle: -1, mfn: -1 });
  const increment = pinIncrement(flags);
  if (increment === 0) return failed(GrantStatus.bad_gntref);
  const ld = must(host, domainCell, mapper);
  if (ld.type !== "pv" && (flags & GNTMAP_device_map) !== 0) return failed(GrantStatus.general_error);
  const rd = domainById(host, granter);
  if (rd === undefined) return failed(GrantStatus.bad_domain);
  const handle = getMaptrackHandle(host, mapper, process);
  if (handle < 0) return failed(GrantStatus.no_device_space);
  const readonly = (flags & GNTMAP_readonly) !== 0;
  const act = pinEntry(host, mapper, granter, ref, readonly, increment);
  if (typeof act === "number") return failed(act);
  const { mfn } = act;
  if (!takeReferences(host, mapper, process, granter, mfn, flags)) {
    unpinEntry(host, granter, ref, increment);
    return failed(GrantStatus.general_error);
  }
  takeHandle(host, mapper, handle, { domid: granter, ref, flags, process });
  return { status: GrantStatus.okay, handle, mfn };
}

/** A mapping's references on the page: all or none. */
function takeReferences(
  host: Host,
  mapper: number,
  process: string,
  granter: number,
  mfn: number,
  flags: number,
): boolean {
  const holder: PageHolder = { holder: `d${mapper}/${process}`, kind: "grant map", op: "map_grant_ref" };
  const typed = takesType(host, mapper, granter, (flags & GNTMAP_readonly) !== 0);
  for (let taken = 0; taken < parts(flags); taken++) {
    const got = typed
      ? getPageAndType(host, mfn, granter, "writable", holder)
      : getPage(host, mfn, granter, holder);
    if (got) continue;
    assert(taken === 0, `page ${mfn} was lost between two references`);
    return false;
  }
  return true;
}

function dropReferences(
  host: Host,
  mapper: number,
  { process, domid: granter, flags }: Maptrack,
  mfn: number,
  count: number,
): void {
  const put = takesType(host, mapper, granter, (flags & GNTMAP_readonly) !== 0) ? putPageAndType : putPage;
  for (let i = 0; i < count; i++) put(host, mfn, `d${mapper}/${process}`, "grant map");
}

/** Ends a mapping by its handle (unmap_common, unmap_common_complete). The granter may be freed by it. */
export function unmapGrantRef(host: Host, mapper: number, handle: number): GrantStatusCode {
  const track = host.get(maptrackCell, `${mapper}/${handle}`);
  if (track === undefined) return GrantStatus.bad_handle;
  const { mfn } = must(host, activeGrantCell, `${track.domid}/${track.ref}`);
  forgetHandle(host, mapper, handle);
  unpinEntry(host, track.domid, track.ref, pinIncrement(track.flags));
  dropReferences(host, mapper, track, mfn, parts(track.flags));
  return GrantStatus.okay;
}

/**
 * Ends what a dying domain maps of others, from the highest handle, a page of
 * handles a call (gnttab_release_mappings). A PV domain's mappings stay in its
 * page tables until those are taken apart.
 */
export function gnttabReleaseMappings(host: Host, domid: number): "done" | "ERESTART" {
  const handles = handlesInUse(domid);
  const limit = maptrackLimit(host, domid);
  const below = Math.max(limit - MAPTRACK_PER_PAGE, 0);
  for (
    let handle = findPrevBit(host, handles, limit);
    handle >= below;
    handle = findPrevBit(host, handles, handle)
  ) {
    releaseMapping(host, domid, handle);
    if (handle === 0) break;
  }
  if (limit > 0) host.edit(grantTableCell, domid).maptrackVcpus.pop();
  return below > 0 ? "ERESTART" : "done";
}

function releaseMapping(host: Host, domid: number, handle: number): void {
  const track = must(host, maptrackCell, `${domid}/${handle}`);
  const { mfn } = must(host, activeGrantCell, `${track.domid}/${track.ref}`);
  forgetHandle(host, domid, handle);
  unpinEntry(host, track.domid, track.ref, pinIncrement(track.flags));
  const inPageTables = must(host, domainCell, domid).type === "pv" && (track.flags & GNTMAP_host_map) !== 0;
  if (inPageTables) {
    const readonly = (track.flags & GNTMAP_readonly) !== 0;
    noteMapping(host, domid, { process: track.process, kind: "grant map", readonly }, mfn);
  }
  dropReferences(host, domid, track, mfn, parts(track.flags) - (inPageTables ? 1 : 0));
}

/** A domain's entries that somebody has mapped, by reference. */
export function* activeGrants(cells: Cells, domid: number): Generator<[number, Readonly<ActiveGrant>]> {
  const refs = activeRefs(domid);
  for (let ref = findNextBit(cells, refs, 0); ref >= 0; ref = findNextBit(cells, refs, ref + 1)) {
    yield [ref, must(cells, activeGrantCell, `${domid}/${ref}`)];
  }
}

/** What a domain that is reset is told about grants others still map: at most ten (grant_table_warn_active_grants). */
export function warnActiveGrants(cells: Cells, domid: number): string[] {
  const lines = [...activeGrants(cells, domid)].map(
    ([ref, { mfn }]) =>
      `d${domid} has active grant ${ref.toString(16)} (MFN: 0x${mfn.toString(16).padStart(5, "0")})`,
  );
  return lines.length <= 10
    ? lines
    : [...lines.slice(0, 10), `d${domid} has too many (${lines.length}) active grants to report`];
}
