// SPDX-License-Identifier: Apache-2.0
//
// What a guest's own instructions reach. Whoever controls a domain may take a frame
// from it that its kernel goes on using: then nothing is at that address.

import type { Cells } from "../engine/cells.ts";
import type { Host, Memory } from "../engine/host.ts";
import { domainById, hardwareDomid, pagingModeTranslate } from "./domain.ts";
import { frameOwner } from "./frames.ts";
import { mfnToGfn } from "./memory-op.ts";
import { NO_FRAME } from "./runs.ts";

/** Frames as somebody reads and writes them. */
export type Pages = Pick<Memory, "read" | "write" | "stale">;

/** Whether a domain has a frame still, at an address if it is a translated one. */
function isThere(cells: Cells, domid: number, mfn: number): boolean {
  const d = domainById(cells, domid);
  if (d === undefined || frameOwner(cells, mfn) !== domid) return false;
  return !pagingModeTranslate(d) || mfnToGfn(cells, mfn) !== NO_FRAME;
}

/**
 * Memory as a kernel reaches it. Frames that it has no more read as ones, and nothing
 * can be written to them (hvm_mmio_internal's null_handler): whose they are now is not
 * touched. A kernel here knows frames by their machine's number: one that was put in a
 * frame's place is not found either, where a real one would read and write that. Holds
 * for as long as nobody changes the domain's memory: a part of a step.
 */
export function guestPages(host: Host, domid: number): Pages {
  const { memory } = host;
  if (domid === hardwareDomid) return memory;
  let [known, there] = [NO_FRAME, false];
  const has = (mfn: number): boolean => {
    if (mfn !== known) [known, there] = [mfn, isThere(host, domid, mfn)];
    return there;
  };
  return {
    read: (mfn, offset, length) =>
      has(mfn) ? memory.read(mfn, offset, length) : new Uint8Array(length).fill(0xff),
    write: (mfn, offset, bytes) => {
      if (has(mfn)) memory.write(mfn, offset, bytes);
    },
    stale: (mfn, offset, length) => {
      if (has(mfn)) memory.stale(mfn, offset, length);
    },
  };
}
