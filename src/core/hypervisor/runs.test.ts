// SPDX-License-Identifier: Apache-2.0
import fc from "fast-check";
import { expect, test } from "vitest";
import { PlainCells } from "../engine/cells.ts";
import { NO_FRAME, runFind, runInsert, runMap, runRemove, runsOf, runValue } from "./runs.ts";

test("agrees with a map of single frames on any sequence of changes", () => {
  const change = fc.record({
    insert: fc.boolean(),
    start: fc.integer({ min: 0, max: 60 }),
    count: fc.integer({ min: 1, max: 20 }),
    // A few values only, so that runs often continue each other.
    value: fc.constantFrom(NO_FRAME, 0, 1000),
    tag: fc.constantFrom("a", "b"),
  });
  fc.assert(
    fc.property(fc.array(change, { maxLength: 40 }), (changes) => {
      const cells = new PlainCells();
      const map = runMap("t");
      const model = new Map<number, { value: number; tag: string }>();
      for (const { insert, start, count, value, tag } of changes) {
        const keys = Array.from({ length: count }, (_, i) => start + i);
        if (!insert) {
          runRemove(cells, map, start, count);
          for (const key of keys) model.delete(key);
        } else if (keys.every((key) => !model.has(key))) {
          runInsert(cells, map, { start, count, value: value === NO_FRAME ? value : value + start, tag });
          for (const key of keys) model.set(key, { value: value === NO_FRAME ? value : value + key, tag });
        }
      }
      for (let key = 0; key < 90; key++) {
        expect(runFind(cells, map, key)?.tag).toBe(model.get(key)?.tag);
        expect(runValue(cells, map, key)).toBe(model.get(key)?.value ?? NO_FRAME);
      }
      const runs = [...runsOf(cells, map)];
      expect(runs.reduce((sum, run) => sum + run.count, 0)).toBe(model.size);
      for (const [i, run] of runs.entries()) {
        const next = runs[i + 1];
        if (next === undefined || next.start !== run.start + run.count || next.tag !== run.tag) continue;
        expect(next.value, "neighbours that continue each other are one run").not.toBe(
          run.value === NO_FRAME ? NO_FRAME : run.value + run.count,
        );
      }
    }),
  );
});

test("a run of a terabyte is one cell", () => {
  const cells = new PlainCells();
  const map = runMap("big");
  for (let i = 0; i < 512; i++)
    runInsert(cells, map, { start: i << 19, count: 1 << 19, value: i << 19, tag: 1 });
  expect([...runsOf(cells, map)]).toEqual([{ start: 0, count: 1 << 28, value: 0, tag: 1 }]);
});
