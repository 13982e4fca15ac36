// SPDX-License-Identifier: Apache-2.0
//
// Copying between granted pages: the pages are pinned for the call only
// (xen/common/grant_table.c, gnttab_copy).

import type { Host } from "../engine/host.ts";
import { domainById } from "./domain.ts";
import { PIN, pinEntry, unpinEntry } from "./grant-pin.ts";
import { GrantStatus } from "./grant-status.ts";
import type { GrantStatusCode } from "./grant-status.ts";
import { getGfn } from "./pod-populate.ts";
import { pageOf } from "./page.ts";

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

/** One granted page and where in it. */
export interface GrantedPlace {
  domid: number;
  ref: number;
  offset: number;
}

/** Bytes of a granted page, for a process whose own memory is no domain's. */
export function readGranted(
  host: Host,
  user: number,
  source: GrantedPlace,
  length: number,
): { status: GrantStatusCode; bytes: Uint8Array } {
  const { status, mfn } = copyFrame(host, user, source, true);
  if (status !== GrantStatus.okay) return { status, bytes: new Uint8Array() };
  const bytes = host.memory.read(mfn, source.offset, length);
  releaseCopy(host, source, true);
  return { status, bytes };
}

/** Puts a process's bytes into a granted page. */
export function writeGranted(
  host: Host,
  user: number,
  dest: GrantedPlace,
  bytes: Uint8Array,
): { status: GrantStatusCode } {
  const { status, mfn } = copyFrame(host, user, dest, false);
  if (status !== GrantStatus.okay) return { status };
  host.memory.write(mfn, dest.offset, bytes);
  releaseCopy(host, dest, false);
  return { status };
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
    const mfn = getGfn(host, d, side.gfn, user);
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
