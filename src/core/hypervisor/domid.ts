// SPDX-License-Identifier: Apache-2.0
//
// Domain identifiers: the reserved ones, and who gets which next.

import { cellType, must } from "../engine/cells.ts";
import type { Cells } from "../engine/cells.ts";
import { assert, fail } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import { bitmap, findNextZeroBit, testAndClearBit, testAndSetBit } from "./bitmap.ts";
import type { Bitmap } from "./bitmap.ts";
import { domlist } from "./domain.ts";
import { versionOf } from "./machine.ts";

/** Identifiers from here on are system domains' and placeholders (public/xen.h). */
export const DOMID_FIRST_RESERVED = 0x7ff0;
export const DOMID_SELF = 0x7ff0;
/** Owns what Xen itself has: its tables are mapped in its name. */
export const DOMID_XEN = 0x7ff2;
export const DOMID_INVALID = 0x7ff4;
export const DOMID_ANY = 0x7ff5;

/** The identifier given out last when none was asked for. */
export const domidRoverCell = cellType<{ rover: number }>("domid-rover");

/** Identifiers in use until _domain_destroy (HEAD's domid_bitmap). 4.17 asks the domain list instead. */
const domidBitmap = bitmap("domid", 3);

/** How often an identifier has been used: what makes a domain's unique_id unique. */
export const incarnationCell = cellType<{ count: number }>("domid-incarnation");

function inUse(cells: Cells): Bitmap {
  return versionOf(cells).domidAllocator === "bitmap" ? domidBitmap : domlist;
}

/**
 * Chooses the identifier of a new domain. An explicit one (1 … 0x7fef) is given
 * if it is free, else EEXIST; it does not move the rover. Any other value means
 * the next free one after the rover, from 1 again after 0x7fef; ENOMEM when none
 * is free. (domctl.c, XEN_DOMCTL_createdomain; recording m.)
 */
export function domidAlloc(cells: Cells, asked: number): number | Failure {
  const used = inUse(cells);
  if (asked > 0 && asked < DOMID_FIRST_RESERVED) {
    return findNextZeroBit(cells, used, asked) === asked ? take(cells, asked) : fail("EEXIST");
  }
  const { rover } = must(cells, domidRoverCell, 0);
  let next = findNextZeroBit(cells, used, rover + 1);
  if (next < 0 || next >= DOMID_FIRST_RESERVED) next = findNextZeroBit(cells, used, 1);
  // The one given out last comes round only when no other is free, and then not even it.
  if (next < 0 || next >= DOMID_FIRST_RESERVED || next === rover) return fail("ENOMEM");
  cells.edit(domidRoverCell, 0).rover = next;
  return take(cells, next);
}

/** Reserves dom0's identifier, which no allocation gives out. */
export function domidReserve(cells: Cells, domid: number): void {
  take(cells, domid);
}

function take(cells: Cells, domid: number): number {
  if (inUse(cells) === domidBitmap) testAndSetBit(cells, domidBitmap, domid);
  if (cells.get(incarnationCell, domid) === undefined) cells.add(incarnationCell, domid, { count: 1 });
  else cells.edit(incarnationCell, domid).count++;
  return domid;
}

/** The identifier may be used again (domid.c, domid_free). Nothing to do where the domain list decides. */
export function domidFree(cells: Cells, domid: number): void {
  if (inUse(cells) !== domidBitmap) return;
  assert(testAndClearBit(cells, domidBitmap, domid), `d${domid} freed twice`);
}
