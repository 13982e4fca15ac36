// SPDX-License-Identifier: Apache-2.0
import fc from "fast-check";
import { expect, test } from "vitest";
import { isFailure } from "../engine/errno.ts";
import { rangesetAdd, rangesetContains, rangesetOverlaps, rangesetRemove } from "./rangeset.ts";
import type { Rangeset } from "./rangeset.ts";

const range = fc.tuple(fc.nat(40), fc.nat(12)).map(([start, more]) => ({
  start: BigInt(start),
  end: BigInt(start + more),
}));

/** The numbers of a range, one by one. */
const numbersOf = ({ start, end }: { start: bigint; end: bigint }): bigint[] =>
  Array.from({ length: Number(end - start) + 1 }, (_, i) => start + BigInt(i));

test("a set of ranges is the set of their numbers, in as few ranges as there can be", () => {
  const step = fc.record({ add: fc.boolean(), range });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 20 }), range, (steps, asked) => {
      let set: Rangeset = [];
      const model = new Set<bigint>();
      for (const { add, range: given } of steps) {
        const changed = add ? rangesetAdd(set, given, 99) : rangesetRemove(set, given, 99);
        if (isFailure(changed)) throw new Error(changed.errno);
        set = changed;
        for (const number of numbersOf(given)) {
          if (add) model.add(number);
          else model.delete(number);
        }
      }
      expect(set.flatMap(numbersOf)).toEqual([...model].toSorted((a, b) => Number(a - b)));
      for (const [i, { start }] of set.slice(1).entries()) expect(start).toBeGreaterThan(set[i]!.end + 1n);
      const has = numbersOf(asked).map((number) => model.has(number));
      expect(rangesetOverlaps(set, asked)).toBe(has.includes(true));
      expect(rangesetContains(set, asked)).toBe(!has.includes(false));
    }),
  );
});
