// SPDX-License-Identifier: Apache-2.0
//
// Version 1 grant entries: bytes in the granter's frames that its kernel and the
// hypervisor both write.

import type { Cells } from "../engine/cells.ts";
import { assert } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { grantTableCell } from "./grant-cells.ts";

export const GTF_permit_access = 1;
export const GTF_readonly = 4;
export const GTF_reading = 8;
export const GTF_writing = 16;
export const GTF_type_mask = 3;
export const GTF_sub_page = 0x100;

/** Bytes of a version 1 entry: flags, domid (16 bits each), frame (32 bits). */
const ENTRY_BYTES = 8;
const ENTRIES_PER_FRAME = 4096 / ENTRY_BYTES;
/** An entry as its guest wrote it. */
export interface GrantEntry {
  flags: number;
  domid: number;
  frame: number;
}

function entryPlace(cells: Cells, domid: number, ref: number): { mfn: number; offset: number } | undefined {
  const mfn = cells.get(grantTableCell, domid)?.frames[Math.floor(ref / ENTRIES_PER_FRAME)];
  return mfn === undefined || ref < 0 ? undefined : { mfn, offset: (ref % ENTRIES_PER_FRAME) * ENTRY_BYTES };
}

/** Reads an entry as it lies in memory; undefined beyond the table. */
export function readEntry(host: Host, domid: number, ref: number): GrantEntry | undefined {
  const place = entryPlace(host, domid, ref);
  if (place === undefined) return undefined;
  const bytes = host.memory.read(place.mfn, place.offset, ENTRY_BYTES);
  const view = new DataView(bytes.buffer, bytes.byteOffset, ENTRY_BYTES);
  return { flags: view.getUint16(0, true), domid: view.getUint16(2, true), frame: view.getUint32(4, true) };
}

/** Writes an entry, as the guest's kernel does; false beyond the table. */
export function writeEntry(
  host: Host,
  domid: number,
  ref: number,
  { flags, domid: to, frame }: GrantEntry,
): boolean {
  const place = entryPlace(host, domid, ref);
  if (place === undefined) return false;
  const view = new DataView(new ArrayBuffer(ENTRY_BYTES));
  view.setUint16(0, flags, true);
  view.setUint16(2, to, true);
  view.setUint32(4, frame, true);
  host.memory.write(place.mfn, place.offset, new Uint8Array(view.buffer));
  return true;
}

/** Changes the flags of an entry that is there, as the hypervisor does to mark it in use. */
export function writeFlags(host: Host, domid: number, ref: number, flags: number): void {
  const place = entryPlace(host, domid, ref);
  assert(place !== undefined, `d${domid} has no grant ${ref}`);
  host.memory.write(place.mfn, place.offset, Uint8Array.of(flags & 0xff, flags >> 8));
}
