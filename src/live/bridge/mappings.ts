// SPDX-License-Identifier: Apache-2.0
//
// What one process maps. The library counts: it says precisely which pages of
// which mapping are gone. Here each page's reference is given back, once.

import type { Unmapped } from "./protocol.ts";

/** Consecutive pages of a mapping that show consecutive frames. */
export interface Piece {
  readonly page: number;
  readonly mfn: number;
  readonly pages: number;
}

/** Gives back what pages of a mapping hold. */
export type Release = (gone: readonly Piece[]) => void;

interface Mapping {
  /** Address of page 0. */
  readonly base: number;
  /** What is mapped still, in order of pages. */
  pieces: readonly Piece[];
  readonly release: Release;
}

const PAGE_BYTES = 4096;

let lastId = 0;

function pagesOf(pieces: readonly Piece[]): number {
  return pieces.reduce((sum, { pages }) => sum + pages, 0);
}

/** The part of a piece from one page to before another. */
function part({ page, mfn }: Piece, from: number, end: number): Piece {
  return { page: from, mfn: mfn + from - page, pages: end - from };
}

/** Divides pieces into those in a range of pages and the others. */
function divide(
  pieces: readonly Piece[],
  first: number,
  end: number,
): { inside: readonly Piece[]; outside: readonly Piece[] } {
  const last = pieces.at(-1);
  if (first <= (pieces[0]?.page ?? 0) && last !== undefined && last.page + last.pages <= end)
    return { inside: pieces, outside: [] };
  const inside: Piece[] = [];
  const outside: Piece[] = [];
  for (const piece of pieces) {
    const pieceEnd = piece.page + piece.pages;
    const from = Math.max(piece.page, first);
    const to = Math.min(pieceEnd, end);
    if (from >= to) {
      outside.push(piece);
      continue;
    }
    if (piece.page < from) outside.push(part(piece, piece.page, from));
    inside.push(part(piece, from, to));
    if (to < pieceEnd) outside.push(part(piece, to, pieceEnd));
  }
  return { inside, outside };
}

/** The mappings of one process. */
export class Mappings {
  readonly #mappings = new Map<number, Mapping>();

  /** Notes a mapping at an address, its pieces in order of pages, and returns its name. */
  add(base: number, pieces: readonly Piece[], release: Release): number {
    const id = ++lastId;
    if (pieces.length > 0) this.#mappings.set(id, { base, pieces, release });
    return id;
  }

  /** Whether any of so many pages from an address on is mapped. */
  maps(address: number, count: number): boolean {
    for (const { base, pieces } of this.#mappings.values()) {
      const first = (address - base) / PAGE_BYTES;
      if (pieces.some(({ page, pages }) => page < first + count && page + pages > first)) return true;
    }
    return false;
  }

  /** Pages are no longer mapped. What is not mapped is no error: the library may say it twice. */
  unmap({ mapping, first, pages }: Unmapped): void {
    const found = this.#mappings.get(mapping);
    if (found === undefined) return;
    const { inside, outside } = divide(found.pieces, first, first + pages);
    found.pieces = outside;
    if (outside.length === 0) this.#mappings.delete(mapping);
    if (inside.length > 0) found.release(inside);
  }

  /** The process is gone, and all it mapped with it. */
  unmapAll(): void {
    for (const mapping of [...this.#mappings.keys()]) this.unmap({ mapping, first: 0, pages: Infinity });
  }

  /** Pages mapped now. */
  get pages(): number {
    return [...this.#mappings.values()].reduce((sum, { pieces }) => sum + pagesOf(pieces), 0);
  }
}
