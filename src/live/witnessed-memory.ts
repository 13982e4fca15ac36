// SPDX-License-Identifier: Apache-2.0
//
// Guest memory of a host whose run is recorded. What programs outside write into
// pages that they map is no input by itself: nobody sees it happen. It becomes one
// where a step looks: a page that others may write to is, for the whole of a step,
// what it was when the step first came to it, and what has changed there since the
// host last looked is told.

import type { ForeignWrite } from "../core/engine/world.ts";
import { FileMemory } from "./guest-memory.ts";
import type { FrameRun } from "./guest-memory.ts";

const PAGE_BYTES = 4096;
/** Changes that are no further apart than this are told as one. */
const GAP_BYTES = 16;
/** So often a page is read anew where somebody writes meanwhile; who never pauses is taken as he comes. */
const READS_MAX = 100;

/** Whose steps are witnessed, and who is told. */
export interface Witness {
  /** The step being taken; null where none is: who only looks gets what is there now. */
  readonly step: () => number | null;
  readonly found: (write: ForeignWrite) => void;
}

/** Where two contents of a page differ: pieces of the later one, first to last. */
export function changes(before: Uint8Array, now: Uint8Array): { offset: number; bytes: Uint8Array }[] {
  const spans: { from: number; to: number }[] = [];
  for (let at = 0; at < now.length; at++) {
    if (before[at] === now[at]) continue;
    const last = spans.at(-1);
    if (last !== undefined && at - last.to <= GAP_BYTES) last.to = at + 1;
    else spans.push({ from: at, to: at + 1 });
  }
  return spans.map(({ from, to }) => ({ offset: from, bytes: now.slice(from, to) }));
}

/** Frame contents in files, with an eye on those that are others' too. */
export class WitnessedMemory extends FileMemory {
  readonly #witness: Witness;
  /** Pages that a process maps, or has mapped, to write to: what the host knows of them; null for zeros. */
  readonly #known = new Map<number, Uint8Array | null>();
  /** Those that the step has come to. */
  readonly #seen = new Set<number>();
  #step = -1;

  constructor(folder: string, witness: Witness) {
    super(folder);
    this.#witness = witness;
  }

  override read(mfn: number, offset: number, length: number): Uint8Array {
    const known = this.#look(mfn);
    return known === null ? super.read(mfn, offset, length) : known.slice(offset, offset + length);
  }

  override write(mfn: number, offset: number, bytes: Uint8Array): void {
    this.#look(mfn)?.set(bytes, offset);
    super.write(mfn, offset, bytes);
  }

  override discard(mfn: number, count: number): void {
    super.discard(mfn, count);
    if (this.#known.size === 0) return;
    for (let at = mfn; at < mfn + count; at++) {
      this.#known.delete(at);
      this.#seen.delete(at);
    }
  }

  override prepareToMap(runs: readonly FrameRun[], writable: boolean): boolean {
    const fresh = writable ? this.#unshared(runs) : [];
    // What the host itself has written so far, read before another can write there.
    const contents = fresh.map((mfn) => (this.isTouched(mfn) ? super.read(mfn, 0, PAGE_BYTES) : null));
    if (!super.prepareToMap(runs, writable)) return false;
    for (const [at, mfn] of fresh.entries()) this.#known.set(mfn, contents[at] as Uint8Array | null);
    return true;
  }

  #unshared(runs: readonly FrameRun[]): number[] {
    const found: number[] = [];
    for (const { mfn, pages } of runs)
      for (let at = mfn; at < mfn + pages; at++) if (!this.#known.has(at)) found.push(at);
    return found;
  }

  /** A page as the step sees it; null where the page is the host's alone, or no step is taken. */
  #look(mfn: number): Uint8Array | null {
    const before = this.#known.get(mfn);
    const step = before === undefined ? null : this.#witness.step();
    if (before === undefined || step === null) return null;
    if (step !== this.#step) {
      this.#step = step;
      this.#seen.clear();
    }
    if (before !== null && this.#seen.has(mfn)) return before;
    const now = this.#atOneMoment(mfn);
    for (const piece of changes(before ?? new Uint8Array(PAGE_BYTES), now))
      this.#witness.found({ step, mfn, ...piece });
    this.#known.set(mfn, now);
    this.#seen.add(mfn);
    return now;
  }

  /**
   * All of a page as it was at one moment. Others write while it is read: what was read first
   * could be from before, and an index behind it from after, which says that there is more.
   */
  #atOneMoment(mfn: number): Uint8Array {
    let now = super.read(mfn, 0, PAGE_BYTES);
    for (let reads = 1; reads < READS_MAX; reads++) {
      const again = super.read(mfn, 0, PAGE_BYTES);
      if (Buffer.compare(now, again) === 0) break;
      now = again;
    }
    return now;
  }
}
