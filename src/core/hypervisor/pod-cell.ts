// SPDX-License-Identifier: Apache-2.0
//
// What the hypervisor keeps of a translated domain whose memory is populated on
// demand (struct p2m_domain, pod). How many entries are outstanding is counted by
// p2m.ts, wherever an entry comes or goes; the cache is in pod-cache.ts.

import { cellType } from "../engine/cells.ts";
import type { Cells } from "../engine/cells.ts";

/** Frames populated last that are looked at again (NR_POD_MRP_ENTRIES). */
export const RECENT_MAX = 32;

/** Guest frames populated at once: how many, and the first. */
export interface Populated {
  gfn: number;
  superpage: boolean;
}

interface Pod {
  /** Guest frames that are still to be populated (`entry_count`). */
  entries: number;
  /** Frames in the cache (`count`). */
  cached: number;
  /** The highest guest frame that was populated by a touch. */
  maxGuest: number;
  /** Where the next sweep for zero pages begins, downwards; 0 for `maxGuest`. */
  reclaimSingle: number;
  /** Nothing was left at the last touch, and all that there is had been looked at. */
  exhausted: boolean;
  /** A ring of those populated last (`mrp`); null where one was looked at again. */
  recent: (Populated | null)[];
  recentAt: number;
}

/** By domid, where a domain has or had anything to be populated on demand. */
export const podCell = cellType<Pod>("pod");

/** What is kept of a domain, to be changed. */
export function editPod(cells: Cells, domid: number): Pod {
  if (cells.get(podCell, domid) === undefined)
    cells.add(podCell, domid, {
      entries: 0,
      cached: 0,
      maxGuest: 0,
      reclaimSingle: 0,
      exhausted: false,
      recent: Array.from({ length: RECENT_MAX }, () => null),
      recentAt: 0,
    });
  return cells.edit(podCell, domid);
}

/** A domain's outstanding entries and the frames in its cache: both 0 for most domains. */
export function podCounts(cells: Cells, domid: number): { entries: number; cached: number } {
  const { entries, cached } = cells.get(podCell, domid) ?? { entries: 0, cached: 0 };
  return { entries, cached };
}

/** Forgets it with its domain. */
export function dropPod(cells: Cells, domid: number): void {
  if (cells.get(podCell, domid) !== undefined) cells.drop(podCell, domid);
}
