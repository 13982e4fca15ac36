// SPDX-License-Identifier: Apache-2.0
//
// Watches by path, and a rough idea of which paths are watched: enough to remove a
// tree without asking for each of its nodes.

import type { CellId, CellTable } from "../engine/cells.ts";

/** A power of two. */
const ROUGH = 65_536;

/** A power of two; longer paths are counted with others. */
const LENGTHS = 1024;

function lengthOf(id: CellId): number {
  return (id as string).length & (LENGTHS - 1);
}

/** Cells by path. */
export class WatchTable implements CellTable {
  readonly #watches = new Map<CellId, object>();
  readonly #hashOf: (path: string) => number;
  /** How many watched paths have a hash that ends alike. */
  readonly #rough = new Uint16Array(ROUGH);
  /** How many have a length; an event looks for the paths above its own, too, and most lengths have none. */
  readonly #ofLength = new Int32Array(LENGTHS);

  constructor(hashOf: (path: string) => number) {
    this.#hashOf = hashOf;
  }

  get count(): number {
    return this.#watches.size;
  }

  /** Whether a path with that hash may be watched; where not, it is not. */
  mayHave(hash: number): boolean {
    return this.#rough[hash & (ROUGH - 1)] !== 0;
  }

  ids(): CellId[] {
    return [...this.#watches.keys()];
  }

  get(id: CellId): object | undefined {
    return this.#ofLength[lengthOf(id)] === 0 ? undefined : this.#watches.get(id);
  }

  add(id: CellId, content: object): object | undefined {
    const before = this.#watches.size;
    this.#watches.set(id, content);
    if (this.#watches.size === before) return undefined;
    (this.#rough[this.#hashOf(id as string) & (ROUGH - 1)] as number)++;
    (this.#ofLength[lengthOf(id)] as number)++;
    return content;
  }

  drop(id: CellId): boolean {
    if (!this.#watches.delete(id)) return false;
    (this.#rough[this.#hashOf(id as string) & (ROUGH - 1)] as number)--;
    (this.#ofLength[lengthOf(id)] as number)--;
    return true;
  }
}
