// SPDX-License-Identifier: Apache-2.0

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { OwnNodes } from "./own-nodes.ts";
import { textHash, TextTable } from "./text-table.ts";

/** Few transactions and few nodes, whose identifiers have a beginning or an end in common. */
const id = fc
  .tuple(fc.nat(3), fc.nat(20))
  .map(([transaction, node]) => `3276${transaction % 2}/${transaction}/${"x/".repeat(node % 4)}${node}`);
const change = fc.record({ what: fc.constantFrom("add" as const, "drop" as const), id });

describe.each([
  ["a table by text", (seed: number) => new TextTable((text) => textHash(seed, text))],
  [
    "the same, where many texts have one hash",
    (seed: number) => new TextTable((text) => (seed + text.length) | 0),
  ],
  ["what transactions did to nodes", (seed: number) => new OwnNodes((path) => textHash(seed, path))],
  ["the same, where all paths have one hash", (seed: number) => new OwnNodes(() => seed)],
])("%s", (_name, make) => {
  test("has what a Map has", () => {
    fc.assert(
      fc.property(fc.array(change, { minLength: 150, maxLength: 300 }), fc.integer(), (changes, seed) => {
        const table = make(seed);
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
          expect(table.get(each.id)).toBe(model.get(each.id));
        }
        expect(table.count).toBe(model.size);
        expect(table.ids().sort()).toEqual([...model.keys()].sort());
        for (const [key, content] of model) expect(table.get(key)).toBe(content);
      }),
      { numRuns: 40 },
    );
  });
});
