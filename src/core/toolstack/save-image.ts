// SPDX-License-Identifier: Apache-2.0
//
// What of a suspended domain goes into a save file: where its memory is, what
// its guest was. Contents of memory that only the guest's kernel knows of are in
// the guest's part.

import type { Cells, Plain } from "../engine/cells.ts";
import { must } from "../engine/cells.ts";
import { domainById, pagingModeTranslate } from "../hypervisor/domain.ts";
import { ownedFrames } from "../hypervisor/frames.ts";
import { p2m } from "../hypervisor/p2m.ts";
import { NO_FRAME, runsOf } from "../hypervisor/runs.ts";
import { guestCell } from "../guest/guest.ts";
import { mfnToGfn } from "../hypervisor/memory-op.ts";
import type { Stretch } from "./populate.ts";

/** A suspended domain as a file keeps it. */
export type SavedImage = {
  type: "pv" | "pvh";
  nrVcpus: number;
  /** Guest frames it had memory at. */
  memory: Stretch[];
  /** Guest frames of its rings. */
  storePfn: number;
  consolePfn: number;
  guest: Plain;
};

/** Adjoining stretches as one, in ascending order. */
function joined(stretches: Stretch[]): Stretch[] {
  const result: Stretch[] = [];
  for (const stretch of stretches.toSorted((a, b) => a.start - b.start)) {
    const last = result.at(-1);
    if (last !== undefined && last.start + last.pages === stretch.start) last.pages += stretch.pages;
    else result.push({ ...stretch });
  }
  return result;
}

/** Where a domain has memory, by guest frame numbers. */
export function guestMemory(cells: Cells, domid: number): Stretch[] {
  const d = domainById(cells, domid);
  if (d === undefined) return [];
  const stretches: Stretch[] = [];
  if (pagingModeTranslate(d)) {
    for (const { start, count, tag } of runsOf(cells, p2m(domid)))
      if (tag === "ram" || tag === "ram_ro" || tag === "ioreq_server")
        stretches.push({ start, pages: count });
  } else {
    for (const { value, count } of runsOf(cells, ownedFrames(domid))) {
      if (value !== NO_FRAME) stretches.push({ start: value, pages: count });
    }
  }
  return joined(stretches);
}

/** A suspended domain's image. Its kernel must be there still. */
export function saveImage(cells: Cells, domid: number, guest: Plain): SavedImage {
  const { type, nrVcpus, storeMfn, consoleMfn } = must(cells, guestCell, domid);
  const memory = guestMemory(cells, domid);
  return {
    type,
    nrVcpus,
    memory,
    storePfn: mfnToGfn(cells, storeMfn),
    consolePfn: mfnToGfn(cells, consoleMfn),
    guest,
  };
}
