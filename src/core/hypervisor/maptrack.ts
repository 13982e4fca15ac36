// SPDX-License-Identifier: Apache-2.0
//
// Handles of what a domain maps of others' grants: a list for each vCPU, in pages
// of 256 (xen/common/grant_table.c: get_maptrack_handle, steal_maptrack_handle).

import { must } from "../engine/cells.ts";
import type { Cells } from "../engine/cells.ts";
import { clearBit, findNextZeroBit, setBit } from "./bitmap.ts";
import { domainCell } from "./domain.ts";
import { grantTableCell, handlesInUse, maptrackCell } from "./grant-cells.ts";
import type { Maptrack } from "./grant-cells.ts";

export const MAPTRACK_PER_PAGE = 256;

/**
 * The vCPU a process or kernel thread is on when it maps. No processor runs here,
 * and on Xen it is its kernel's choice: it is always the same, by its name.
 */
function vcpuOf(cells: Cells, domid: number, process: string): number {
  const { nrVcpus } = must(cells, domainCell, domid);
  if (nrVcpus < 2) return 0;
  let hash = 0;
  for (const letter of process.replace(/\.\d+$/, "")) hash = (hash * 31 + letter.charCodeAt(0)) % 65_521;
  return hash % nrVcpus;
}

/** The first handle of a vCPU's pages that is free; -1 where only one is: the end of the list stays. */
function freeHandle(cells: Cells, domid: number, owners: readonly number[], vcpu: number): number {
  let first = -1;
  for (const [page, owner] of owners.entries()) {
    if (owner !== vcpu) continue;
    const end = (page + 1) * MAPTRACK_PER_PAGE;
    for (let from = page * MAPTRACK_PER_PAGE; from < end; from++) {
      const free = findNextZeroBit(cells, handlesInUse(domid), from);
      if (free < 0 || free >= end) break;
      if (first >= 0) return first;
      first = free;
      from = free;
    }
  }
  return -1;
}

/**
 * A free handle for a mapping of a process: of its vCPU, whose pages grow by one
 * where they are used up, or of another vCPU's where there may be no more pages;
 * -1 where there is none.
 */
export function getMaptrackHandle(cells: Cells, domid: number, process: string): number {
  const { maptrackVcpus: owners, maxMaptrackFrames } = must(cells, grantTableCell, domid);
  const vcpu = vcpuOf(cells, domid, process);
  const own = freeHandle(cells, domid, owners, vcpu);
  if (own >= 0) return own;
  if (owners.length < maxMaptrackFrames) {
    const fresh = owners.length * MAPTRACK_PER_PAGE;
    cells.edit(grantTableCell, domid).maptrackVcpus.push(vcpu);
    return fresh;
  }
  for (const other of new Set(owners)) {
    const stolen = freeHandle(cells, domid, owners, other);
    if (stolen >= 0) return stolen;
  }
  return -1;
}

/** How many handles there are pages for (`maptrack_limit`). */
export function maptrackLimit(cells: Cells, domid: number): number {
  return must(cells, grantTableCell, domid).maptrackVcpus.length * MAPTRACK_PER_PAGE;
}

/** A handle names a mapping from here on. */
export function takeHandle(cells: Cells, domid: number, handle: number, track: Maptrack): void {
  setBit(cells, handlesInUse(domid), handle);
  cells.add(maptrackCell, `${domid}/${handle}`, track);
}

/** A handle names nothing any more (put_maptrack_handle). */
export function forgetHandle(cells: Cells, domid: number, handle: number): void {
  cells.drop(maptrackCell, `${domid}/${handle}`);
  clearBit(cells, handlesInUse(domid), handle);
}
