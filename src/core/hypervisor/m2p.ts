// SPDX-License-Identifier: Apache-2.0
//
// The machine-to-physical table in memory, where a toolstack that saves or
// restores a PV domain maps it from DOMID_XEN. What it says is kept with the
// frames' owners (frames.ts); its pages exist from the first time that somebody
// asks where they are.

import { cellType } from "../engine/cells.ts";
import type { Cells } from "../engine/cells.ts";
import type { Host } from "../engine/host.ts";
import { machineOf, maxPage } from "./machine.ts";

/** Bytes of an entry, entries of a frame. */
const ENTRY_BYTES = 8;
const FRAME_ENTRIES = 512;
/** Frames of one of the large pages the table is made of. */
export const EXTENT_FRAMES = 512;

/** There where the table is in memory. By 0. */
const m2pTableCell = cellType<{ firstMfn: number; frames: number }>("m2p-table");

/**
 * The table's frames lie beyond the machine's memory, as nothing of it was given
 * up for them: whole large pages.
 */
export function m2pLayout(cells: Cells): { firstMfn: number; frames: number } {
  const pages = maxPage(machineOf(cells));
  const large = (frames: number): number => Math.ceil(frames / EXTENT_FRAMES) * EXTENT_FRAMES;
  return { firstMfn: large(pages), frames: large(Math.ceil(pages / FRAME_ENTRIES)) };
}

/** Writes consecutive entries of the table, where it is in memory: `gfn`, `gfn + 1`, … or none. */
export function writeM2p(host: Host, mfn: number, count: number, gfn: number): void {
  const table = host.get(m2pTableCell, 0);
  if (table === undefined) return;
  for (let done = 0; done < count;) {
    const slot = (mfn + done) % FRAME_ENTRIES;
    const part = Math.min(count - done, FRAME_ENTRIES - slot);
    const entries = new DataView(new ArrayBuffer(part * ENTRY_BYTES));
    for (let i = 0; i < part; i++)
      entries.setBigUint64(i * ENTRY_BYTES, gfn < 0 ? 2n ** 64n - 1n : BigInt(gfn + done + i), true);
    const frame = table.firstMfn + Math.floor((mfn + done) / FRAME_ENTRIES);
    host.memory.write(frame, slot * ENTRY_BYTES, new Uint8Array(entries.buffer));
    done += part;
  }
}

/** Whether a frame is one of the table's, and the table in memory. */
export function isM2pFrame(cells: Cells, mfn: number): boolean {
  const table = cells.get(m2pTableCell, 0);
  return table !== undefined && mfn >= table.firstMfn && mfn < table.firstMfn + table.frames;
}

/** From here on the table is in memory; false where it was already. */
export function placeM2p(host: Host): boolean {
  if (host.get(m2pTableCell, 0) !== undefined) return false;
  host.add(m2pTableCell, 0, m2pLayout(host));
  return true;
}
