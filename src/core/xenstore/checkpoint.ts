// SPDX-License-Identifier: Apache-2.0
//
// A copy of the whole store, made piece by piece while the store goes on
// changing. What has been copied is kept up to date by the changes that follow;
// what has not been copied yet will be, as it is then. At the end the copy is
// what the store is. Directories are copied chunk by chunk of their children, so
// that no piece is long, and children keep their order.

import type { Cells } from "../engine/cells.ts";
import { listChunkFrom, listCount } from "./list.ts";
import { childPath, parentOf } from "./path.ts";
import { INTRODUCE_DOMAIN, RELEASE_DOMAIN } from "./special.ts";
import type { StreamRecord } from "./stream.ts";
import { domainRecords, nodeRecord, quotaRecord, specialRecord } from "./stream-save.ts";
import { childrenList, nodeType } from "./tree.ts";

/** A copy under way. */
export class Checkpoint {
  readonly #cells: Cells;
  /** Directories that are copied and whose children are not. */
  readonly #waiting = new Set<string>();
  /** The directory whose children are being copied: those in chunks below the number are. */
  #current: { path: string; chunk: number } | null = null;
  #begun = false;

  constructor(cells: Cells) {
    this.#cells = cells;
  }

  /** Whether all is copied. */
  get done(): boolean {
    return this.#begun && this.#current === null && this.#waiting.size === 0;
  }

  /** The next piece: records to be appended to the copy, a chunk of a directory at most. */
  next(): StreamRecord[] {
    if (!this.#begun) return this.#begin();
    if (this.#current === null) {
      const [path] = this.#waiting;
      if (path === undefined) return [];
      this.#waiting.delete(path);
      this.#current = { path, chunk: 0 };
    }
    const { path, chunk } = this.#current;
    const found = listChunkFrom(this.#cells, childrenList, path, chunk);
    if (found === undefined) {
      this.#current = null;
      return [];
    }
    this.#current.chunk = found.number + 1;
    return found.items.map((name) => this.#copy(childPath(path, name)));
  }

  #begin(): StreamRecord[] {
    this.#begun = true;
    const cells = this.#cells;
    const specials = [RELEASE_DOMAIN, INTRODUCE_DOMAIN].map((path) => specialRecord(cells, path));
    return [quotaRecord(cells), ...domainRecords(cells), ...specials, this.#copy("/")];
  }

  #copy(path: string): StreamRecord {
    if (listCount(this.#cells, childrenList, path) > 0) this.#waiting.add(path);
    return nodeRecord(this.#cells, path);
  }

  /** Whether the copy has this node, or for a new one is to have it now, so that it must be told of changes. */
  covers(path: string): boolean {
    if (!this.#begun) return false;
    for (let at = path; at !== "/";) {
      const above = parentOf(at);
      if (this.#waiting.has(above)) return false;
      if (this.#current?.path === above) {
        const slot = this.#cells.get(nodeType, at)?.slot ?? 0;
        if (slot >= this.#current.chunk) return false;
      }
      at = above;
    }
    return true;
  }

  /** A node is dropped, after all below it. */
  dropped(path: string): void {
    this.#waiting.delete(path);
    if (this.#current?.path === path) this.#current = null;
  }
}
