// SPDX-License-Identifier: Apache-2.0
//
// A kernel's own grant table: which references are free, and pages it lets
// others map (Linux drivers/xen/grant-table.c).

import { cellType, must } from "../engine/cells.ts";
import { assert, fail, isFailure } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { grantTableCell } from "../hypervisor/grant-cells.ts";
import { endAccess, grantAccess, GrantStatus, setupTable } from "../hypervisor/grant-table-op.ts";
import { allocPage, freePage } from "./pages.ts";
import { initRing } from "./ring.ts";

/** References below are the toolstack's: console, xenstore (GNTTAB_NR_RESERVED_ENTRIES). */
const RESERVED = 8;
const ENTRIES_PER_FRAME = 512;

/** A kernel's free references, by domid. */
export interface Gnttab {
  /** No reference from here on was ever used. */
  next: number;
  /** Used once and free again, the next to be taken last. */
  free: number[];
  /** Pages that somebody still maps although their device is gone: `gnttab_add_deferred`. */
  deferred: { ref: number; mfn: number }[];
}

export const gnttabCell = cellType<Gnttab>("gnttab");

/** A page another domain may map, and the reference to it. */
export interface GrantedPage {
  ref: number;
  mfn: number;
}

function gnttabOf(host: Host, domid: number): Gnttab {
  return host.get(gnttabCell, domid) === undefined
    ? host.add(gnttabCell, domid, { next: RESERVED, free: [], deferred: [] })
    : host.edit(gnttabCell, domid);
}

/** Takes references: free ones first, then new ones, for which the table grows. ENOSPC where it may not. */
export function allocGrantReferences(host: Host, domid: number, count: number): number[] | Failure {
  const gnttab = gnttabOf(host, domid);
  const missing = Math.max(0, count - gnttab.free.length);
  const frames = Math.ceil((gnttab.next + missing) / ENTRIES_PER_FRAME);
  if (must(host, grantTableCell, domid).frames.length < frames) {
    const { status } = setupTable(host, { domid, process: "kernel" }, { domid, nrFrames: frames });
    if (status !== GrantStatus.okay) return fail("ENOSPC");
  }
  return Array.from({ length: count }, () => gnttab.free.pop() ?? gnttab.next++);
}

/** Gives references back. */
export function freeGrantReferences(host: Host, domid: number, refs: readonly number[]): void {
  gnttabOf(host, domid).free.push(...refs);
}

/** Lets a domain map a page, by a reference that was taken. */
export function grantForeignAccess(
  host: Host,
  domid: number,
  ref: number,
  to: number,
  gfn: number,
  readonly = false,
): void {
  assert(grantAccess(host, domid, ref, to, gfn, readonly), `d${domid} has no grant entry ${ref}`);
}

/**
 * Takes pages back from who may map them, and frees them. A page that is still
 * mapped stays, with its reference, until somebody asks again.
 */
export function endForeignAccess(host: Host, domid: number, pages: readonly GrantedPage[]): void {
  const gnttab = gnttabOf(host, domid);
  const waiting = [...gnttab.deferred, ...pages];
  gnttab.deferred = [];
  for (const { ref, mfn } of waiting) {
    if (endAccess(host, domid, ref)) {
      gnttab.free.push(ref);
      freePage(host, domid, mfn);
    } else gnttab.deferred.push({ ref, mfn });
  }
}

/** A page that a domain may map. ENOMEM, ENOSPC where there is no page or no reference left. */
export function grantPage(host: Host, domid: number, to: number, readonly = false): GrantedPage | Failure {
  const refs = allocGrantReferences(host, domid, 1);
  if (isFailure(refs)) return refs;
  const [ref] = refs as [number];
  const page = allocPage(host, domid);
  if (isFailure(page)) {
    freeGrantReferences(host, domid, refs);
    return page;
  }
  grantForeignAccess(host, domid, ref, to, page.gfn, readonly);
  return { ref, mfn: page.mfn };
}

/** A new, empty ring that the backend may map (xenbus_setup_ring). */
export function setupRing(host: Host, domid: number, to: number): GrantedPage | Failure {
  const ring = grantPage(host, domid, to);
  if (!isFailure(ring)) initRing(host.memory, ring.mfn);
  return ring;
}
