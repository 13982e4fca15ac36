// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import fc from "fast-check";
import { Numbered } from "./numbered.ts";

const number = fc.oneof(
  fc.nat(8),
  fc.integer({ min: 1020, max: 1030 }),
  fc.integer({ min: 0x8000, max: 0x8010 }),
);
const steps = fc.array(fc.record({ number, what: fc.constantFrom("add", "drop", "get") }));

test("cells by number: there is what a Map has", () => {
  fc.assert(
    fc.property(steps, (all) => {
      const numbered = new Numbered();
      const map = new Map<number, object>();
      for (const { number: id, what } of all) {
        if (what === "add") {
          const content = {};
          expect(numbered.add(id, content)).toBe(map.has(id) ? undefined : content);
          if (!map.has(id)) map.set(id, content);
        } else if (what === "drop") expect(numbered.drop(id)).toBe(map.delete(id));
        expect(numbered.get(id)).toBe(map.get(id));
      }
      expect(numbered.count).toBe(map.size);
      expect(numbered.ids()).toEqual([...map.keys()].sort((a, b) => a - b));
    }),
  );
});
