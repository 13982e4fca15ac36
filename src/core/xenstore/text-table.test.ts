// SPDX-License-Identifier: Apache-2.0

import fc from "fast-check";
import { expect, test } from "vitest";
import { textHash, TextTable } from "./text-table.ts";

const id = fc.nat(60).map((number) => `${number % 7}/${"x".repeat(number % 5)}${number}`);
const change = fc.record({ what: fc.constantFrom("add" as const, "drop" as const), id });

test("a table by text has what a Map has", () => {
  fc.assert(
    fc.property(fc.array(change, { maxLength: 400 }), fc.integer(), (changes, seed) => {
      const table = new TextTable((text) => textHash(seed, text));
      const model = new Map<string, object>();
      for (const each of changes) {
        const known = model.get(each.id);
        expect(table.get(each.id)).toBe(known);
        if (each.what === "drop") expect(table.drop(each.id)).toBe(model.delete(each.id));
        else {
          const content = {};
          expect(table.add(each.id, content)).toBe(known === undefined ? content : undefined);
          if (known === undefined) model.set(each.id, content);
        }
      }
      expect(table.count).toBe(model.size);
      expect(table.ids().sort()).toEqual([...model.keys()].sort());
      for (const [key, content] of model) expect(table.get(key)).toBe(content);
    }),
    { numRuns: 200 },
  );
});
