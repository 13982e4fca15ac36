// SPDX-License-Identifier: Apache-2.0
//
// Watches by path, and a rough idea of which paths are watched: enough to remove a
// tree without asking for each of its nodes.

import { type CellId, type CellTable, cellType } from "../engine/cells.ts";
import { TextTable } from "./text-table.ts";

/** A watch, kept with the others on the same path. */
export interface Watch {
  conn: number;
  token: string;
  /** It was asked for with a relative path, and its events name relative paths. */
  relative: boolean;
  /** How many levels below its path it reaches; -1 for all. */
  depth: number;
  /** In which chunk of its connection's watches it is. */
  slot: number;
}

/** All watches on a path, by connection and then in order of registration. */
interface PathWatches {
  watches: Watch[];
}
export const pathWatchesType = cellType<PathWatches>("path-watches");

const SLASH = 0x2f;

/** A power of two. */
const ROUGH = 65_536;

/** A power of two; longer paths are counted with others. */
const LENGTHS = 1024;

function lengthOf(id: CellId): number {
  return (id as string).length & (LENGTHS - 1);
}

/** Cells by path. */
export class WatchTable implements CellTable {
  readonly #watches: TextTable;
  readonly #hashOf: (path: string) => number;
  /** How many watched paths have a hash that ends alike. */
  readonly #rough = new Uint16Array(ROUGH);
  /** How many have a length; an event looks for the paths above its own, too, and most lengths have none. */
  readonly #ofLength = new Int32Array(LENGTHS);

  constructor(hashOf: (path: string) => number) {
    this.#hashOf = hashOf;
    this.#watches = new TextTable(hashOf);
  }

  get count(): number {
    return this.#watches.count;
  }

  /** Whether a path with that hash may be watched; where not, it is not. */
  mayHave(hash: number): boolean {
    return this.#rough[hash & (ROUGH - 1)] !== 0;
  }

  /** Whether a path, or one above it, may be watched; where not, none is. */
  mayReach(path: string): boolean {
    const lengths = this.#ofLength;
    if (lengths[1] !== 0 || lengths[path.length & (LENGTHS - 1)] !== 0) return true;
    for (let at = path.length - 1; at > 0; at--)
      if (path.charCodeAt(at) === SLASH && lengths[at & (LENGTHS - 1)] !== 0) return true;
    return false;
  }

  ids(): CellId[] {
    return this.#watches.ids();
  }

  get(id: CellId): object | undefined {
    return this.#ofLength[lengthOf(id)] === 0 ? undefined : this.#watches.get(id as string);
  }

  add(id: CellId, content: object): object | undefined {
    if (this.#watches.add(id as string, content) === undefined) return undefined;
    (this.#rough[this.#hashOf(id as string) & (ROUGH - 1)] as number)++;
    (this.#ofLength[lengthOf(id)] as number)++;
    return content;
  }

  drop(id: CellId): boolean {
    if (!this.#watches.drop(id as string)) return false;
    (this.#rough[this.#hashOf(id as string) & (ROUGH - 1)] as number)--;
    (this.#ofLength[lengthOf(id)] as number)--;
    return true;
  }
}
