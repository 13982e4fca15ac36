// SPDX-License-Identifier: Apache-2.0
//
// What open transactions did to nodes. They come and go by the thousand, like what
// is in a TextTable, but are found by two texts, so that a path is hashed once
// whatever is looked up by it.

import type { CellId, CellTable } from "../engine/cells.ts";
import type { TransactionNode } from "./transaction-cells.ts";

const SIZE_MIN = 64;

function nothing(size: number): undefined[] {
  return Array.from({ length: size }, () => undefined);
}

/** Where the path begins in the identifier of a cell, `<connection>/<transaction id>/<path>`. */
function pathStart(id: CellId): number {
  const text = id as string;
  return text.indexOf("/", text.indexOf("/") + 1);
}

/** Cells by transaction and path, in a table with open addressing. */
export class OwnNodes implements CellTable {
  readonly #hashOf: (path: string) => number;
  #transactions: (string | undefined)[] = nothing(SIZE_MIN);
  #paths: (string | undefined)[] = nothing(SIZE_MIN);
  #contents: (TransactionNode | undefined)[] = nothing(SIZE_MIN);
  #hashes = new Int32Array(SIZE_MIN);
  #mask = SIZE_MIN - 1;
  #count = 0;
  /** The transaction asked for last, and its part of a hash. */
  #lastTransaction = "";
  #lastHash = 0;
  /** The path that was asked for last, and where its cell is, or would be; -1 where that may have moved. */
  #lastPath = "";
  #lastAt = -1;

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

  /** The cell, or undefined. */
  at(transaction: string, path: string): TransactionNode | undefined {
    return this.#contents[this.#find(transaction, path)];
  }

  /** Adds a cell; false where there is one. */
  put(transaction: string, path: string, content: TransactionNode): boolean {
    let at = this.#find(transaction, path);
    if (this.#contents[at] !== undefined) return false;
    if (2 * ++this.#count > this.#mask) {
      this.#grow();
      at = this.#find(transaction, path);
    }
    this.#transactions[at] = transaction;
    this.#paths[at] = path;
    this.#contents[at] = content;
    this.#hashes[at] = this.#hash(transaction, path);
    return true;
  }

  /** Drops a cell; false where there is none. */
  take(transaction: string, path: string): boolean {
    let hole = this.#find(transaction, path);
    if (this.#contents[hole] === undefined) return false;
    this.#lastAt = -1;
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

  get(id: CellId): object | undefined {
    const start = pathStart(id);
    return this.at((id as string).slice(0, start), (id as string).slice(start));
  }

  add(id: CellId, content: object): object | undefined {
    const start = pathStart(id);
    const [transaction, path] = [(id as string).slice(0, start), (id as string).slice(start)];
    return this.put(transaction, path, content as TransactionNode) ? content : undefined;
  }

  drop(id: CellId): boolean {
    const start = pathStart(id);
    return this.take((id as string).slice(0, start), (id as string).slice(start));
  }

  /** Where it is, or the free place where it would be. */
  #find(transaction: string, path: string): number {
    if (this.#lastAt >= 0 && path === this.#lastPath && transaction === this.#lastTransaction)
      return this.#lastAt;
    const hash = this.#hash(transaction, path);
    let at = hash & this.#mask;
    for (; this.#contents[at] !== undefined; at = (at + 1) & this.#mask) {
      if (this.#hashes[at] === hash && this.#paths[at] === path && this.#transactions[at] === transaction)
        break;
    }
    this.#lastPath = path;
    this.#lastAt = at;
    return at;
  }

  /** Makes `#lastTransaction` the one of which it is. */
  #hash(transaction: string, path: string): number {
    if (transaction !== this.#lastTransaction) {
      let hash = 0;
      for (let at = 0; at < transaction.length; at++)
        hash = Math.imul(hash ^ transaction.charCodeAt(at), 0x01000193);
      this.#lastTransaction = transaction;
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
    this.#lastAt = -1;
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
