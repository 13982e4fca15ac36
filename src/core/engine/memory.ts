// SPDX-License-Identifier: Apache-2.0
//
// Contents of machine frames as cells: what simulation and exploration use. Only
// what was written exists, in lines of 256 bytes, so that a ring's index does
// not cost a whole page to copy and hash.

import { cellType } from "./cells.ts";
import type { Cells } from "./cells.ts";
import { assert } from "./errno.ts";
import type { Memory } from "./host.ts";

const PAGE_BYTES = 4096;
const LINE_BYTES = 256;
const LINES = PAGE_BYTES / LINE_BYTES;
/** Frames under one entry of the index of what was written: 1 GiB worth. */
const SPAN = 1 << 18;

/** 256 bytes of a frame that were written to; numbered through the machine's memory. */
const lineCell = cellType<{ bytes: Uint8Array }>("memory-line");
/** Which lines below one span exist: discarding finds them without knowing the others. */
const spanCell = cellType<{ lines: number[] }>("memory-span");

/** Frame contents kept in a host's cells. */
export class CellMemory implements Memory {
  readonly #cells: Cells;
  readonly #keepsStale: boolean;

  constructor(cells: Cells, keepsStale = false) {
    this.#cells = cells;
    this.#keepsStale = keepsStale;
  }

  read(mfn: number, offset: number, length: number): Uint8Array {
    assertWithin(offset, length);
    const bytes = new Uint8Array(length);
    for (let done = 0; done < length;) {
      const { line, from, count } = part(mfn, offset + done, length - done);
      const content = this.#cells.get(lineCell, line);
      if (content !== undefined) bytes.set(content.bytes.subarray(from, from + count), done);
      done += count;
    }
    return bytes;
  }

  write(mfn: number, offset: number, bytes: Uint8Array): void {
    assertWithin(offset, bytes.length);
    for (let done = 0; done < bytes.length;) {
      const { line, from, count } = part(mfn, offset + done, bytes.length - done);
      this.#line(line).set(bytes.subarray(done, done + count), from);
      done += count;
    }
  }

  stale(mfn: number, offset: number, length: number): void {
    if (!this.#keepsStale) this.write(mfn, offset, new Uint8Array(length));
  }

  dirtied(): boolean {
    return true;
  }

  isZero(mfn: number): boolean {
    for (let line = mfn * LINES; line < (mfn + 1) * LINES; line++)
      if (this.#cells.get(lineCell, line)?.bytes.some((byte) => byte !== 0) === true) return false;
    return true;
  }

  discard(mfn: number, count: number): void {
    const first = mfn * LINES;
    const last = (mfn + count) * LINES;
    for (let span = Math.floor(mfn / SPAN); span * SPAN < mfn + count; span++) {
      const written = this.#cells.get(spanCell, span)?.lines;
      if (written === undefined) continue;
      const gone = written.filter((line) => line >= first && line < last);
      if (gone.length === 0) continue;
      for (const line of gone) this.#cells.drop(lineCell, line);
      if (gone.length === written.length) this.#cells.drop(spanCell, span);
      else this.#cells.edit(spanCell, span).lines = written.filter((line) => line < first || line >= last);
    }
  }

  #line(line: number): Uint8Array {
    if (this.#cells.get(lineCell, line) !== undefined) return this.#cells.edit(lineCell, line).bytes;
    const span = Math.floor(line / LINES / SPAN);
    if (this.#cells.get(spanCell, span) === undefined) this.#cells.add(spanCell, span, { lines: [line] });
    else {
      // Kept sorted: which line was written first is no part of the state.
      const { lines } = this.#cells.edit(spanCell, span);
      let at = lines.length;
      while (at > 0 && (lines[at - 1] as number) > line) at--;
      lines.splice(at, 0, line);
    }
    return this.#cells.add(lineCell, line, { bytes: new Uint8Array(LINE_BYTES) }).bytes;
  }
}

function part(mfn: number, offset: number, left: number): { line: number; from: number; count: number } {
  const from = offset % LINE_BYTES;
  return {
    line: mfn * LINES + Math.floor(offset / LINE_BYTES),
    from,
    count: Math.min(left, LINE_BYTES - from),
  };
}

function assertWithin(offset: number, length: number): void {
  assert(
    offset >= 0 && length >= 0 && offset + length <= PAGE_BYTES,
    `bytes ${offset}+${length} leave the frame`,
  );
}
