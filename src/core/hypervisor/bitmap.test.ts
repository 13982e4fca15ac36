// SPDX-License-Identifier: Apache-2.0
import fc from "fast-check";
import { expect, test } from "vitest";
import { PlainCells } from "../engine/cells.ts";
import type { DeepReadonly } from "../engine/cells.ts";
import {
  bitmap,
  bitmapEmpty,
  differenceOf,
  findFirstBit,
  findNextBit,
  findNextZeroBit,
  findPrevBit,
  testAndClearBit,
  testAndSetBit,
} from "./bitmap.ts";

const SIZE = 32 ** 3;

test("agrees with a sorted list on any sequence of changes", () => {
  const bit = fc.oneof(
    fc.integer({ min: 0, max: 130 }),
    fc.integer({ min: 0, max: SIZE - 1 }),
    fc.integer({ min: SIZE - 40, max: SIZE - 1 }),
  );
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.boolean(), bit), { maxLength: 120 }),
      fc.array(bit, { minLength: 1 }),
      (changes, asked) => {
        const cells = new PlainCells();
        const map = bitmap("t", 3);
        const model = new Set<number>();
        for (const [set, at] of changes) {
          const before = model.has(at);
          expect(set ? testAndSetBit(cells, map, at) : testAndClearBit(cells, map, at)).toBe(before);
          if (set) model.add(at);
          else model.delete(at);
        }
        expect(bitmapEmpty(cells, map)).toBe(model.size === 0);
        const sorted = [...model].toSorted((a, b) => a - b);
        expect(findFirstBit(cells, map)).toBe(sorted[0] ?? -1);
        for (const from of asked) {
          expect(findNextBit(cells, map, from)).toBe(sorted.find((x) => x >= from) ?? -1);
          expect(findPrevBit(cells, map, from)).toBe(sorted.findLast((x) => x <= from) ?? -1);
          let zero = from;
          while (model.has(zero)) zero++;
          expect(findNextZeroBit(cells, map, from)).toBe(zero < SIZE ? zero : -1);
        }
      },
    ),
  );
});

test("the difference of two bitmaps is that of two sets", () => {
  const bits = fc.uniqueArray(
    fc.oneof(fc.integer({ min: 0, max: 70 }), fc.integer({ min: 0, max: SIZE - 1 })),
  );
  fc.assert(
    fc.property(bits, bits, (a, b) => {
      const cells = new PlainCells();
      const [some, others] = [bitmap("a", 3), bitmap("b", 3)];
      for (const bit of a) testAndSetBit(cells, some, bit);
      for (const bit of b) testAndSetBit(cells, others, bit);
      const expected = a.filter((bit) => !b.includes(bit)).toSorted((x, y) => x - y);
      expect(differenceOf(cells, some, others)).toEqual(expected);
    }),
  );
});

test("a full bitmap has no clear bit, and finds the one that is cleared again", () => {
  const cells = new PlainCells();
  const map = bitmap("full", 2);
  for (let bit = 0; bit < 1024; bit++) testAndSetBit(cells, map, bit);
  expect(findNextZeroBit(cells, map, 0)).toBe(-1);
  testAndClearBit(cells, map, 700);
  expect(findNextZeroBit(cells, map, 0)).toBe(700);
  testAndSetBit(cells, map, 700);
  expect(findNextZeroBit(cells, map, 0)).toBe(-1);
});

test("finding what few bits two large, dense bitmaps differ in takes few looks", () => {
  let looks = 0;
  const cells = new (class extends PlainCells {
    override get<T extends object>(...of: Parameters<PlainCells["get"]>): DeepReadonly<T> | undefined {
      looks++;
      return super.get(...of) as DeepReadonly<T> | undefined;
    }
  })();
  const [some, others] = [bitmap("a", 3), bitmap("b", 3)];
  for (let bit = 1; bit < 20_000; bit++) {
    testAndSetBit(cells, some, bit);
    if (bit !== 7 && bit !== 12_345) testAndSetBit(cells, others, bit);
  }
  looks = 0;
  expect(differenceOf(cells, some, others)).toEqual([7, 12_345]);
  expect(differenceOf(cells, others, some)).toEqual([]);
  expect(looks).toBeLessThan(30);
});
