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
import { clearBit, findNextBit, findNextZeroBit, findPrevBit, setBit } from "./bitmap.ts";
import { domainById, domainCell } from "./domain.ts";
import {
  GTF_permit_access,
  GTF_reading,
  GTF_readonly,
  GTF_sub_page,
  GTF_type_mask,
  GTF_writing,
  readEntry,
  writeFlags,
} from "./grant-entry.ts";
import { activeGrantCell, activeRefs, grantTableCell, handlesInUse, maptrackCell } from "./grant-cells.ts";
import type { ActiveGrant, Maptrack } from "./grant-cells.ts";
import { allocHeapPages } from "./heap.ts";
import { noteMapping, takesType } from "./mapping.ts";
import { gfnToMfn } from "./p2m.ts";
import { getPage, getPageAndType, pageOf, putPage, putPageAndType, shareXenPage } from "./page.ts";

export const GNTMAP_device_map = 1;
export const GNTMAP_host_map = 2;
export const GNTMAP_readonly = 4;

/** GNTST_* of public/grant_table.h. */
export const GrantStatus = {
  okay: 0,
  general_error: -1,
  bad_domain: -2,
  bad_gntref: -3,
  bad_handle: -4,
  bad_virt_addr: -5,
  bad_dev_addr: -6,
  no_device_space: -7,
  permission_denied: -8,
  bad_page: -9,
  bad_copy_arg: -10,
  address_too_big: -11,
  eagain: -12,
} as const;
export type GrantStatusCode = (typeof GrantStatus)[keyof typeof GrantStatus];

const MAPTRACK_PER_PAGE = 256;

/** Limits of the host (gnttab_max_frames, gnttab_max_maptrack_frames). */
export const MAX_GRANT_FRAMES = 64;
export const MAX_MAPTRACK_FRAMES = 1024;

const PIN = { hostWrite: 1, hostRead: 1 << 8, deviceWrite: 1 << 16, deviceRead: 1 << 24 } as const;
const PIN_WRITABLE = 0x00ff00ff;

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
    maxVersion: maxVersion as 1 | 2,
    maxGrantFrames,
    maxMaptrackFrames,
    frames: [],
    statusFrames: [],
    maptrackLimit: 0,
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

/** Pins an entry for use: checks what the guest allows and marks it in use (_set_status_v1, get_paged_frame). */
function pinEntry(
  host: Host,
  user: number,
  granter: number,
  ref: number,
  readonly: boolean,
  increment: number,
): ActiveGrant | GrantStatusCode {
  const entry = readEntry(host, granter, ref);
  if (entry === undefined) return GrantStatus.bad_gntref;
  const id = `${granter}/${ref}`;
  const act = host.get(activeGrantCell, id);
  if (act !== undefined && (act.domid !== user || overflows(act.pin, increment)))
    return GrantStatus.general_error;
  if (act === undefined || (!readonly && (act.pin & PIN_WRITABLE) === 0)) {
    const permitted =
      (entry.flags & (GTF_type_mask | GTF_sub_page)) === GTF_permit_access && entry.domid === user;
    if (act === undefined && !permitted) return GrantStatus.general_error;
    if (!readonly && (entry.flags & GTF_readonly) !== 0) return GrantStatus.general_error;
    writeFlags(host, granter, ref, entry.flags | GTF_reading | (readonly ? 0 : GTF_writing));
  }
  if (act !== undefined) {
    const edited = host.edit(activeGrantCell, id);
    edited.pin = (edited.pin + increment) >>> 0;
    return edited;
  }
  const mfn = gfnToMfn(host, must(host, domainCell, granter), entry.frame);
  if (mfn < 0 || pageOf(host, mfn)?.owner !== granter) {
    writeFlags(host, granter, ref, entry.flags);
    return GrantStatus.bad_page;
  }
  setBit(host, activeRefs(granter), ref);
  return host.add(activeGrantCell, id, { domid: user, mfn, gfn: entry.frame, pin: increment });
}

function overflows(pin: number, increment: number): boolean {
  return [0, 8, 16, 24].some(
    (shift) => ((increment >>> shift) & 0xff) !== 0 && ((pin >>> shift) & 0x80) !== 0,
  );
}

/** Takes pins away; what nobody uses any more is no longer marked in use (reduce_status_for_pin). */
function unpinEntry(host: Host, granter: number, ref: number, decrement: number): void {
  const id = `${granter}/${ref}`;
  const act = host.edit(activeGrantCell, id);
  act.pin = (act.pin - decrement) >>> 0;
  const { flags } = readEntry(host, granter, ref) ?? { flags: 0 };
  const cleared = ((act.pin & PIN_WRITABLE) === 0 ? GTF_writing : 0) | (act.pin === 0 ? GTF_reading : 0);
  if ((flags & cleared) !== 0) writeFlags(host, granter, ref, flags & ~cleared);
  if (act.pin !== 0) return;
  host.drop(activeGrantCell, id);
  clearBit(host, activeRefs(granter), ref);
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
  const handle = findNextZeroBit(host, handlesInUse(mapper), 0);
  const lgt = must(host, grantTableCell, mapper);
  if (handle < 0 || handle >= lgt.maxMaptrackFrames * MAPTRACK_PER_PAGE)
    return failed(GrantStatus.no_device_space);
  const readonly = (flags & GNTMAP_readonly) !== 0;
  const act = pinEntry(host, mapper, granter, ref, readonly, increment);
  if (typeof act === "number") return failed(act);
  const { mfn } = act;
  if (!takeReferences(host, mapper, process, granter, mfn, flags)) {
    unpinEntry(host, granter, ref, increment);
    return failed(GrantStatus.general_error);
  }
  if (handle >= lgt.maptrackLimit) host.edit(grantTableCell, mapper).maptrackLimit += MAPTRACK_PER_PAGE;
  setBit(host, handlesInUse(mapper), handle);
  host.add(maptrackCell, `${mapper}/${handle}`, { domid: granter, ref, flags, process });
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
  const holder = { holder: `d${mapper}/${process}`, kind: "grant map", op: "map_grant_ref" };
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

function forgetHandle(host: Host, mapper: number, handle: number): void {
  host.drop(maptrackCell, `${mapper}/${handle}`);
  clearBit(host, handlesInUse(mapper), handle);
}

/**
 * Ends what a dying domain maps of others, from the highest handle, a page of
 * handles a call (gnttab_release_mappings). A PV domain's mappings stay in its
 * page tables until those are taken apart.
 */
export function gnttabReleaseMappings(host: Host, domid: number): "done" | "ERESTART" {
  const handles = handlesInUse(domid);
  const { maptrackLimit } = must(host, grantTableCell, domid);
  const below = Math.max(maptrackLimit - MAPTRACK_PER_PAGE, 0);
  for (
    let handle = findPrevBit(host, handles, maptrackLimit);
    handle >= below;
    handle = findPrevBit(host, handles, handle)
  ) {
    releaseMapping(host, domid, handle);
    if (handle === 0) break;
  }
  if (maptrackLimit > 0) host.edit(grantTableCell, domid).maptrackLimit = below;
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

/** One side of a copy: a frame of the caller's own or a grant. */
export type CopySide =
  | { domid: number; gfn: number; offset: number }
  | { domid: number; ref: number; offset: number };

/** Copies bytes between two pages, granted or the caller's own; no mapping outlives the call (gnttab_copy). */
export function grantCopy(
  host: Host,
  user: number,
  source: CopySide,
  dest: CopySide,
  length: number,
): GrantStatusCode {
  if (source.offset + length > 4096 || dest.offset + length > 4096 || length < 0)
    return GrantStatus.bad_copy_arg;
  const from = copyFrame(host, user, source, true);
  if (from.status !== GrantStatus.okay) return from.status;
  const to = copyFrame(host, user, dest, false);
  if (to.status === GrantStatus.okay) {
    host.memory.write(to.mfn, dest.offset, host.memory.read(from.mfn, source.offset, length));
    releaseCopy(host, dest, false);
  }
  releaseCopy(host, source, true);
  return to.status;
}

function copyFrame(
  host: Host,
  user: number,
  side: CopySide,
  readonly: boolean,
): { status: GrantStatusCode; mfn: number } {
  const d = domainById(host, side.domid);
  if (d === undefined) return { status: GrantStatus.bad_domain, mfn: -1 };
  if (!("ref" in side)) {
    if (side.domid !== user) return { status: GrantStatus.permission_denied, mfn: -1 };
    const mfn = gfnToMfn(host, d, side.gfn);
    return mfn < 0 || pageOf(host, mfn)?.owner !== user
      ? { status: GrantStatus.bad_page, mfn: -1 }
      : { status: 0, mfn };
  }
  const act = pinEntry(host, user, side.domid, side.ref, readonly, readonly ? PIN.hostRead : PIN.hostWrite);
  return typeof act === "number" ? { status: act, mfn: -1 } : { status: GrantStatus.okay, mfn: act.mfn };
}

function releaseCopy(host: Host, side: CopySide, readonly: boolean): void {
  if ("ref" in side) unpinEntry(host, side.domid, side.ref, readonly ? PIN.hostRead : PIN.hostWrite);
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
