// SPDX-License-Identifier: Apache-2.0
//
// Cells by text, for those that come and go with every transaction. A Map that
// is full of what has gone is copied into a new one and refers to it: once one of
// these is old, all that follow stay with what they held, until the old ones are
// collected. Here what goes makes room at once, and nothing is copied but to grow.

import type { CellTable } from "../engine/cells.ts";

const SIZE_MIN = 64;

function nothing(size: number): undefined[] {
  return Array.from({ length: size }, () => undefined);
}

/** A hash of any text; `seed` makes it unforeseeable. */
export function textHash(seed: number, text: string): number {
  let hash = seed;
  let at = 0;
  for (const end = text.length - 3; at < end; at += 4) {
    const low = text.charCodeAt(at) | (text.charCodeAt(at + 1) << 8);
    hash = Math.imul(
      hash ^ low ^ (text.charCodeAt(at + 2) << 16) ^ (text.charCodeAt(at + 3) << 24),
      0x9e3779b1,
    );
    hash ^= hash >>> 15;
  }
  for (; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  hash = Math.imul(hash ^ text.length ^ (hash >>> 15), 0x85ebca6b);
  return hash ^ (hash >>> 13);
}

/** A table with open addressing: what stands where its hash says, or a little behind. */
export class TextTable implements CellTable {
  #ids: (string | undefined)[] = nothing(SIZE_MIN);
  #contents: (object | undefined)[] = nothing(SIZE_MIN);
  #hashes = new Int32Array(SIZE_MIN);
  #mask = SIZE_MIN - 1;
  #count = 0;
  readonly #hash: (id: string) => number;
  /** What was looked for last: a request asks for the same several times. */
  #lastId = "";
  #lastHash = 0;
  /** Where that is, or would be; -1 where it may have moved. */
  #lastAt = -1;

  /** @param hash of an identifier; quick for those asked for lately */
  constructor(hash: (id: string) => number) {
    this.#hash = hash;
    this.#lastHash = hash("");
  }

  get count(): number {
    return this.#count;
  }

  /** Whether a text with that hash may be there; where not, it is not. */
  mayHave(hash: number): boolean {
    for (let at = hash & this.#mask; this.#ids[at] !== undefined; at = (at + 1) & this.#mask)
      if (this.#hashes[at] === hash) return true;
    return false;
  }

  ids(): string[] {
    return this.#ids.filter((id) => id !== undefined);
  }

  get(id: string): object | undefined {
    return this.#contents[this.#find(id)];
  }

  add(id: string, content: object): object | undefined {
    let at = this.#find(id);
    if (this.#contents[at] !== undefined) return undefined;
    if (2 * ++this.#count > this.#mask) {
      this.#grow();
      at = this.#find(id);
    }
    this.#ids[at] = id;
    this.#contents[at] = content;
    this.#hashes[at] = this.#lastHash;
    return content;
  }

  drop(id: string): boolean {
    let hole = this.#find(id);
    if (this.#contents[hole] === undefined) return false;
    const mask = this.#mask;
    // Those behind it that would not be found any more move up.
    for (let at = (hole + 1) & mask; this.#contents[at] !== undefined; at = (at + 1) & mask) {
      const hash = this.#hashes[at] as number;
      if (((at - hash) & mask) < ((at - hole) & mask)) continue;
      this.#ids[hole] = this.#ids[at];
      this.#contents[hole] = this.#contents[at];
      this.#hashes[hole] = hash;
      hole = at;
    }
    this.#ids[hole] = undefined;
    this.#contents[hole] = undefined;
    this.#lastAt = -1;
    this.#count--;
    return true;
  }

  /** Where it is, or the free place where it would be. */
  #find(id: string): number {
    if (id !== this.#lastId) {
      this.#lastId = id;
      this.#lastHash = this.#hash(id);
    } else if (this.#lastAt >= 0) return this.#lastAt;
    const hash = this.#lastHash;
    const ids = this.#ids;
    for (let at = hash & this.#mask; ; at = (at + 1) & this.#mask) {
      const there = ids[at];
      if (there === undefined || (this.#hashes[at] === hash && there === id)) return (this.#lastAt = at);
    }
  }

  #grow(): void {
    const [ids, contents, hashes] = [this.#ids, this.#contents, this.#hashes];
    const size = 2 * ids.length;
    this.#ids = nothing(size);
    this.#contents = nothing(size);
    this.#hashes = new Int32Array(size);
    this.#mask = size - 1;
    this.#lastAt = -1;
    for (let from = 0; from < ids.length; from++) {
      if (contents[from] === undefined) continue;
      let at = (hashes[from] as number) & this.#mask;
      while (this.#contents[at] !== undefined) at = (at + 1) & this.#mask;
      this.#ids[at] = ids[from];
      this.#contents[at] = contents[from];
      this.#hashes[at] = hashes[from] as number;
    }
  }
}
