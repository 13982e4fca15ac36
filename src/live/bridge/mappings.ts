// SPDX-License-Identifier: Apache-2.0
//
// What one process maps. The library counts: it says precisely which pages of
// which mapping are gone. Here each page's reference is given back, once.

import type { Unmapped } from "./protocol.ts";

interface Mapping {
  /** Machine frames by page; -1 for a page that is not, or no longer, mapped. */
  readonly frames: number[];
  /** Pages still mapped. */
  left: number;
  readonly release: (pages: readonly number[]) => void;
}

let lastId = 0;

/** The mappings of one process. */
export class Mappings {
  readonly #mappings = new Map<number, Mapping>();

  /**
   * Notes a mapping and returns its name.
   *
   * @param frames machine frames by page, -1 for pages that are not mapped
   * @param release gives back what these pages, by index, hold
   */
  add(frames: readonly number[], release: (pages: readonly number[]) => void): number {
    const id = ++lastId;
    const left = frames.reduce((count, mfn) => (mfn < 0 ? count : count + 1), 0);
    if (left > 0) this.#mappings.set(id, { frames: [...frames], left, release });
    return id;
  }

  /** Pages are no longer mapped. What is not mapped is no error: the library may say it twice. */
  unmap({ mapping, first, pages }: Unmapped): void {
    const found = this.#mappings.get(mapping);
    if (found === undefined) return;
    const gone: number[] = [];
    for (let page = first; page < Math.min(first + pages, found.frames.length); page++) {
      if ((found.frames[page] ?? -1) < 0) continue;
      found.frames[page] = -1;
      gone.push(page);
    }
    found.left -= gone.length;
    if (found.left === 0) this.#mappings.delete(mapping);
    if (gone.length > 0) found.release(gone);
  }

  /** The process is gone, and all it mapped with it. */
  unmapAll(): void {
    for (const [mapping, { frames }] of [...this.#mappings])
      this.unmap({ mapping, first: 0, pages: frames.length });
  }

  /** Pages mapped now. */
  get pages(): number {
    return [...this.#mappings.values()].reduce((sum, { left }) => sum + left, 0);
  }
}
