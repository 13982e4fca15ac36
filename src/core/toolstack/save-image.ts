// SPDX-License-Identifier: Apache-2.0
//
// What of a suspended domain goes into a save file: where its memory is, what
// its guest was. Contents of memory that only the guest's kernel knows of are in
// the guest's part.

import type { Cells, Plain } from "../engine/cells.ts";
import { must } from "../engine/cells.ts";
import { isFailure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { domainById, pagingModeTranslate } from "../hypervisor/domain.ts";
import { ownedFrames } from "../hypervisor/frames.ts";
import { isPod, isRam, p2m } from "../hypervisor/p2m.ts";
import { populateFramesAsked } from "../hypervisor/page-tables.ts";
import { podCounts } from "../hypervisor/pod-cell.ts";
import { NO_FRAME, runsOf } from "../hypervisor/runs.ts";
import { guestCell } from "../guest/guest.ts";
import { fieldsOf, isCount, savedGuestOf } from "../guest/saved-guest.ts";
import { mfnToGfn } from "../hypervisor/memory-op.ts";
import { dom0 } from "./libxl-ctx.ts";
import type { Stretch } from "./populate.ts";

/** Frames that are asked for at once (MAX_BATCH_SIZE). */
const BATCH = 1024;

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

/** Where a domain has memory, or would have by touching it, by guest frame numbers. */
function guestMemory(cells: Cells, domid: number): Stretch[] {
  const d = domainById(cells, domid);
  if (d === undefined) return [];
  const stretches: Stretch[] = [];
  if (pagingModeTranslate(d)) {
    for (const { start, count, tag } of runsOf(cells, p2m(domid)))
      if (isRam(tag) || isPod(tag)) stretches.push({ start, pages: count });
  } else {
    for (const { value, count } of runsOf(cells, ownedFrames(domid))) {
      if (value !== NO_FRAME) stretches.push({ start: value, pages: count });
    }
  }
  return joined(stretches);
}

/**
 * Reads a domain's memory: what was to be populated on demand is, for Xen is asked what it is
 * (xg_sr_save.c, write_batch). Frames there is no memory for are not there.
 */
export function readMemory(host: Host, process: string, domid: number): Stretch[] {
  const memory = guestMemory(host, domid);
  if (podCounts(host, domid).entries === 0) return memory;
  const there: Stretch[] = [];
  for (const { start, pages } of memory)
    for (let at = start; at < start + pages; at += BATCH) {
      const gfns = Array.from({ length: Math.min(BATCH, start + pages - at) }, (_, i) => at + i);
      const uses = populateFramesAsked(host, dom0(process), { domid, gfns });
      if (isFailure(uses)) continue;
      for (const [i, { present }] of uses.entries()) if (present) there.push({ start: at + i, pages: 1 });
    }
  return joined(there);
}

/** A suspended domain's image. Its kernel must be there still. */
export function saveImage(cells: Cells, domid: number, guest: Plain, memory: Stretch[]): SavedImage {
  const { type, nrVcpus, storeMfn, consoleMfn } = must(cells, guestCell, domid);
  return {
    type,
    nrVcpus,
    memory,
    storePfn: mfnToGfn(cells, storeMfn),
    consolePfn: mfnToGfn(cells, consoleMfn),
    guest,
  };
}
