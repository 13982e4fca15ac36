// SPDX-License-Identifier: Apache-2.0
import fc from "fast-check";
import { expect, test } from "vitest";
import { PlainCells, must } from "../engine/cells.ts";
import { allocHeapPages, freeHeapPages, heapCell } from "./heap.ts";

const SIZE = 1500;
const FIRST = (1 << 20) - 700;

function heap(): PlainCells {
  const cells = new PlainCells();
  cells.add(heapCell, 0, { freePages: 0, outstandingClaims: 0 });
  freeHeapPages(cells, FIRST, SIZE);
  return cells;
}

test("gives out each frame once, and has all of them again when all came back", () => {
  const run = fc.array(
    fc.record({ order: fc.integer({ min: 0, max: 9 }), free: fc.nat(), low: fc.boolean() }),
    { maxLength: 60 },
  );
  fc.assert(
    fc.property(run, (actions) => {
      const cells = heap();
      const held: { mfn: number; order: number }[] = [];
      const taken = new Set<number>();
      for (const { order, free, low } of actions) {
        const mfn = allocHeapPages(cells, order, low ? 1 << 20 : Infinity);
        if (mfn >= 0) {
          expect(mfn % 2 ** order).toBe(0);
          if (low) expect(mfn + 2 ** order).toBeLessThanOrEqual(1 << 20);
          for (let i = 0; i < 2 ** order; i++) {
            expect(taken.has(mfn + i)).toBe(false);
            expect(mfn + i).toBeGreaterThanOrEqual(FIRST);
            expect(mfn + i).toBeLessThan(FIRST + SIZE);
            taken.add(mfn + i);
          }
          held.push({ mfn, order });
        }
        if (free % 3 === 0) giveBack(cells, held.splice(free % (held.length || 1), 1), taken);
        expect(must(cells, heapCell, 0).freePages).toBe(SIZE - taken.size);
      }
      giveBack(cells, held, taken);
      const rest: number[] = [];
      for (let mfn = allocHeapPages(cells, 0); mfn >= 0; mfn = allocHeapPages(cells, 0)) rest.push(mfn);
      expect(new Set(rest).size).toBe(SIZE);
    }),
    { numRuns: 30 },
  );
});

function giveBack(cells: PlainCells, blocks: { mfn: number; order: number }[], taken: Set<number>): void {
  for (const { mfn, order } of blocks) {
    freeHeapPages(cells, mfn, 2 ** order);
    for (let i = 0; i < 2 ** order; i++) taken.delete(mfn + i);
  }
}

test("frames freed twice are noticed", () => {
  const cells = heap();
  const mfn = allocHeapPages(cells, 0);
  const other = allocHeapPages(cells, 0);
  freeHeapPages(cells, mfn, 1);
  expect(() => freeHeapPages(cells, mfn, 1)).toThrow("freed twice");
  freeHeapPages(cells, other, 1);
});
