// SPDX-License-Identifier: Apache-2.0
//
// What the hypervisor keeps of what a device model said of its domain's memory.

import { cellType } from "../engine/cells.ts";
import type { Cells } from "../engine/cells.ts";

/** A range of guest frames, both ends in it, and how it is cached. */
export interface Cacheattr {
  start: number;
  end: number;
  type: number;
}

interface HvmMemory {
  cacheattrs: Cacheattr[];
  /** Video memory that is watched. */
  vram: { first: number; nr: number } | null;
  /** The IOREQ server that writes to pages of its type are sent to; null for none. */
  typeServer: number | null;
}

/** By domid, where a device model has said anything. */
export const hvmMemoryCell = cellType<HvmMemory>("hvm-memory");

/** What is kept of a domain's memory, to be changed. */
export function editHvmMemory(cells: Cells, domid: number): HvmMemory {
  if (cells.get(hvmMemoryCell, domid) === undefined)
    cells.add(hvmMemoryCell, domid, { cacheattrs: [], vram: null, typeServer: null });
  return cells.edit(hvmMemoryCell, domid);
}

/** Forgets what was said of a domain's memory. */
export function dropHvmMemory(cells: Cells, domid: number): void {
  if (cells.get(hvmMemoryCell, domid) !== undefined) cells.drop(hvmMemoryCell, domid);
}
