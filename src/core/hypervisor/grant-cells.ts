// SPDX-License-Identifier: Apache-2.0
//
// What a grant table consists of: its frames, the entries somebody has mapped,
// and what the domain itself maps of others.

import { cellType } from "../engine/cells.ts";
import { bitmap } from "./bitmap.ts";
import type { Bitmap } from "./bitmap.ts";

/** A domain's grant table; the identifier is its domid. */
export interface GrantTable {
  version: 1 | 2;
  maxVersion: number;
  maxGrantFrames: number;
  maxMaptrackFrames: number;
  /** Machine frames the guest writes its entries into. */
  frames: number[];
  statusFrames: number[];
  /** Whose of the domain's vCPUs each page of 256 handles is. */
  maptrackVcpus: number[];
}

export const grantTableCell = cellType<GrantTable>("grant-table");

/**
 * An entry that is mapped: who maps which frame how often. `pin` counts as in
 * Xen, a byte each: host rw, host ro, device rw, device ro, from the low end.
 * Identifier: `granter/ref`.
 */
export interface ActiveGrant {
  domid: number;
  mfn: number;
  gfn: number;
  pin: number;
}

export const activeGrantCell = cellType<ActiveGrant>("active-grant");

/** A mapping its mapper can name by handle. Identifier: `mapper/handle`. */
export interface Maptrack {
  /** The granter. */
  domid: number;
  ref: number;
  /** GNTMAP_* that are still mapped. */
  flags: number;
  /** The process that mapped it: who to ask. */
  process: string;
}

export const maptrackCell = cellType<Maptrack>("maptrack", { provenance: ["process"] });

/** References of a domain's table that are mapped by somebody. */
export function activeRefs(domid: number): Bitmap {
  return bitmap(`active-grants/${domid}`, 4);
}

/** Handles of what a domain maps. */
export function handlesInUse(domid: number): Bitmap {
  return bitmap(`maptrack/${domid}`, 4);
}
