// SPDX-License-Identifier: Apache-2.0

import fc from "fast-check";
import { expect, test } from "vitest";
import { PlainCells } from "../engine/cells.ts";
import {
  listAppend,
  listBytes,
  listCompare,
  listCount,
  listDigest,
  listDrop,
  listItems,
  listRemove,
  listText,
  listTextFrom,
  listType,
} from "./list.ts";

const type = listType("test-list", { listed: true });

/** Appends where a name is not in the list, removes where it is. */
function toggle(cells: PlainCells, chunks: Map<string, number>, name: string): void {
  const chunk = chunks.get(name);
  if (chunk === undefined) chunks.set(name, listAppend(cells, type, "l", name));
  else {
    listRemove(cells, type, "l", chunk, name);
    chunks.delete(name);
  }
}

const toggles = fc.array(fc.integer({ min: 0, max: 300 }), { maxLength: 700 });

test("a list in chunks is a list", () => {
  fc.assert(
    fc.property(toggles, fc.nat(2000), (numbers, offset) => {
      const cells = new PlainCells();
      const chunks = new Map<string, number>();
      for (const number of numbers) {
        toggle(cells, chunks, `n${number}`);
        // Texts are kept: each change must be seen.
        if (number % 8 === 0) expect(listText(cells, type, "l")).toHaveLength(listBytes(cells, type, "l"));
      }
      const items = [...chunks.keys()];
      const text = items.map((item) => `${item}\0`).join("");
      expect(listItems(cells, type, "l")).toEqual(items);
      expect(listText(cells, type, "l")).toBe(text);
      expect([listCount(cells, type, "l"), listBytes(cells, type, "l")]).toEqual([items.length, text.length]);
      const part = listTextFrom(cells, type, "l", offset, 100);
      expect(text.startsWith(part, offset)).toBe(true);
      expect(part.length).toBeLessThanOrEqual(100);
      for (let i = 1; i < items.length; i++) {
        const [a, b] = items
          .slice(i - 1, i + 1)
          .map((item) => ({ item, number: chunks.get(item) as number }));
        expect(listCompare(cells, type, "l", a as never, b as never)).toBeLessThan(0);
      }
      listDrop(cells, type, "l");
      expect([cells.count(type.head), cells.count(type.chunk)]).toEqual([0, 0]);
    }),
    { numRuns: 60 },
  );
});

test("the digest depends on the items in their order and on nothing else", () => {
  fc.assert(
    fc.property(toggles, (numbers) => {
      const cells = new PlainCells();
      const chunks = new Map<string, number>();
      for (const number of numbers) toggle(cells, chunks, `n${number}`);
      const digest = listDigest(cells, type, "l");
      const fresh = new PlainCells();
      for (const item of chunks.keys()) listAppend(fresh, type, "l", item);
      expect(listDigest(fresh, type, "l")).toBe(digest);
      const [first, second] = chunks.keys();
      if (first === undefined || second === undefined) return;
      toggle(fresh, new Map([[first, 0]]), first);
      listAppend(fresh, type, "l", first);
      expect(listDigest(fresh, type, "l")).not.toBe(digest);
    }),
    { numRuns: 60 },
  );
});
