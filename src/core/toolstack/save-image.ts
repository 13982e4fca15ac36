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
import { fieldsOf, isCount, savedGuestOf } from "../guest/saved-guest.ts";
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

/** Guest frames are numbered below this (52 bits of address), and so many pages no machine here has. */
const FRAMES_MAX = 2 ** 40;
const PAGES_MAX = 2 ** 28;

/** Stretches in ascending order, none in another, of a size that a machine may have. */
function isMemory(value: unknown): value is Stretch[] {
  if (!Array.isArray(value)) return false;
  let [end, total] = [0, 0];
  for (const stretch of value) {
    const { start, pages } = fieldsOf(stretch);
    if (!isCount(start) || !isCount(pages) || start < end || pages > PAGES_MAX) return false;
    end = start + pages;
    total += pages;
  }
  return end <= FRAMES_MAX && total <= PAGES_MAX;
}

/** What a file holds as an image, or null where it is none: anybody may have written to it. */
export function savedImageOf(value: Plain): SavedImage | null {
  const { type, nrVcpus, memory, storePfn, consolePfn, guest } = fieldsOf(value);
  if (type !== "pv" && type !== "pvh") return null;
  if (!isCount(nrVcpus) || !isMemory(memory)) return null;
  const has = (pfn: unknown): boolean =>
    isCount(pfn) && memory.some(({ start, pages }) => pfn >= start && pfn < start + pages);
  if (!has(storePfn) || !has(consolePfn) || savedGuestOf(guest as Plain) === null) return null;
  return value as unknown as SavedImage;
}

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
