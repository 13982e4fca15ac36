// SPDX-License-Identifier: Apache-2.0
//
// What open transactions did to nodes. They come and go by the thousand, like what
// is in a TextTable, but are found by two texts, so that a path is hashed once
// whatever is looked up by it.

import type { CellId, CellTable } from "../engine/cells.ts";
import { lastOwn, takeOwnKey } from "./observation.ts";

const SIZE_MIN = 64;

function nothing(size: number): undefined[] {
  return Array.from({ length: size }, () => undefined);
}

/** Cells identified by `ownKey`, in a table with open addressing. */
export class OwnNodes implements CellTable {
  readonly #hashOf: (path: string) => number;
  #transactions: (string | undefined)[] = nothing(SIZE_MIN);
  #paths: (string | undefined)[] = nothing(SIZE_MIN);
  #contents: (object | undefined)[] = nothing(SIZE_MIN);
  #hashes = new Int32Array(SIZE_MIN);
  #mask = SIZE_MIN - 1;
  #count = 0;
  /** The transaction asked for last, and its part of a hash. */
  #last = "";
  #lastHash = 0;
  /** The number of the identifier asked for last, and where it is. */
  #lastNumber = -1;
  #lastAt = 0;

  /** @param hashOf of a path; quick for those asked for lately */
  constructor(hashOf: (path: string) => number) {
    this.#hashOf = hashOf;
  }

  get count(): number {
    return this.#count;
  }

  ids(): string[] {
    return this.#transactions.flatMap((transaction, at) =>
      transaction === undefined ? [] : [transaction + (this.#paths[at] as string)],
    );
  }

  get(id: CellId): object | undefined {
    return this.#contents[this.#find(id as string)];
  }

  add(id: CellId, content: object): object | undefined {
    let at = this.#find(id as string);
    if (this.#contents[at] !== undefined) return undefined;
    if (2 * ++this.#count > this.#mask) {
      this.#grow();
      at = this.#find(id as string);
    }
    this.#transactions[at] = lastOwn.transaction;
    this.#paths[at] = lastOwn.path;
    this.#contents[at] = content;
    this.#hashes[at] = this.#hash();
    return content;
  }

  drop(id: CellId): boolean {
    let hole = this.#find(id as string);
    if (this.#contents[hole] === undefined) return false;
    this.#lastNumber = -1;
    const mask = this.#mask;
    // Those behind it that would not be found any more move up.
    for (let at = (hole + 1) & mask; this.#contents[at] !== undefined; at = (at + 1) & mask) {
      const hash = this.#hashes[at] as number;
      if (((at - hash) & mask) < ((at - hole) & mask)) continue;
      this.#transactions[hole] = this.#transactions[at];
      this.#paths[hole] = this.#paths[at];
      this.#contents[hole] = this.#contents[at];
      this.#hashes[hole] = hash;
      hole = at;
    }
    this.#transactions[hole] = undefined;
    this.#paths[hole] = undefined;
    this.#contents[hole] = undefined;
    this.#count--;
    return true;
  }

  /** Where it is, or the free place where it would be; makes `lastOwn` that of the identifier. */
  #find(id: string): number {
    takeOwnKey(id);
    const { transaction, path, number } = lastOwn;
    if (number === this.#lastNumber) return this.#lastAt;
    const hash = this.#hash();
    let at = hash & this.#mask;
    for (; this.#contents[at] !== undefined; at = (at + 1) & this.#mask) {
      if (this.#hashes[at] === hash && this.#paths[at] === path && this.#transactions[at] === transaction)
        break;
    }
    this.#lastNumber = number;
    this.#lastAt = at;
    return at;
  }

  /** That of `lastOwn`. */
  #hash(): number {
    const { transaction, path } = lastOwn;
    if (transaction !== this.#last) {
      let hash = 0;
      for (let at = 0; at < transaction.length; at++)
        hash = Math.imul(hash ^ transaction.charCodeAt(at), 0x01000193);
      this.#last = transaction;
      this.#lastHash = hash ^ (hash >>> 15);
    }
    return Math.imul(this.#hashOf(path) ^ this.#lastHash, 0x85ebca6b);
  }

  #grow(): void {
    const [transactions, paths, contents, hashes] = [
      this.#transactions,
      this.#paths,
      this.#contents,
      this.#hashes,
    ];
    const size = 2 * contents.length;
    this.#transactions = nothing(size);
    this.#paths = nothing(size);
    this.#contents = nothing(size);
    this.#hashes = new Int32Array(size);
    this.#mask = size - 1;
    this.#lastNumber = -1;
    for (let from = 0; from < contents.length; from++) {
      if (contents[from] === undefined) continue;
      let at = (hashes[from] as number) & this.#mask;
      while (this.#contents[at] !== undefined) at = (at + 1) & this.#mask;
      this.#transactions[at] = transactions[from];
      this.#paths[at] = paths[from];
      this.#contents[at] = contents[from];
      this.#hashes[at] = hashes[from] as number;
    }
  }
}
