// SPDX-License-Identifier: Apache-2.0
//
// Cells of one type by number, without tracking: an array of arrays. A Map takes
// longer, and with a thousand connections none of what it looks through is in a cache.

const PAGE_BITS = 10;
const PAGE_MASK = (1 << PAGE_BITS) - 1;

/** Cells of one type whose identifiers are whole numbers from 0 on, in pages: neighbours are near each other. */
export class Numbered {
  readonly #pages: ((object | undefined)[] | undefined)[] = [];
  #count = 0;

  get count(): number {
    return this.#count;
  }

  get(id: number): object | undefined {
    return this.#pages[id >>> PAGE_BITS]?.[id & PAGE_MASK];
  }

  /** The cell from then on; undefined where there is one already. */
  add(id: number, content: object): object | undefined {
    const page = (this.#pages[id >>> PAGE_BITS] ??= []);
    if (page[id & PAGE_MASK] !== undefined) return undefined;
    // No element is left out: reading one would look at the array's prototypes, too.
    while (page.length < (id & PAGE_MASK)) page.push(undefined);
    page[id & PAGE_MASK] = content;
    this.#count++;
    return content;
  }

  /** False where there is none. */
  drop(id: number): boolean {
    const page = this.#pages[id >>> PAGE_BITS];
    if (page?.[id & PAGE_MASK] === undefined) return false;
    page[id & PAGE_MASK] = undefined;
    this.#count--;
    return true;
  }

  /** Identifiers of all, ascending. */
  ids(): number[] {
    const found: number[] = [];
    for (const [number, page] of this.#pages.entries()) {
      for (const [at, content] of (page ?? []).entries())
        if (content !== undefined) found.push((number << PAGE_BITS) | at);
    }
    return found;
  }
}
