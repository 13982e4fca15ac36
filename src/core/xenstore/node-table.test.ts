// SPDX-License-Identifier: Apache-2.0

import fc from "fast-check";
import { expect, test } from "vitest";
import { must, PlainCells } from "../engine/cells.ts";
import { NodeTable, TOUCH_MAX } from "./node-table.ts";
import { StoreCells } from "./store-cells.ts";
import { childrenList, type Node, nodeType } from "./tree.ts";

const plainBytes = (length: number): Uint8Array => new Uint8Array(length);
const buffers = (length: number): Uint8Array => Buffer.allocUnsafeSlow(length);

/** Few paths, so that they come and go; of all lengths around a word's. */
const paths = Array.from({ length: 40 }, (_, at) => `/${"p\u00e9th".repeat(at % 7)}${at}`);
const path = fc.constantFrom(...paths);
const value = fc.oneof(
  fc.string({ unit: fc.constantFrom("\0", "a", "\u00ff"), maxLength: 80 }),
  fc.nat(5000).map((length) => "v".repeat(length)),
);
const perms = fc.constantFrom("n0", "b5", "n1 r2:1", "r3 w4:2 b5:1");
const slot = fc.integer({ min: -1, max: 2 ** 31 - 1 });
const change = fc.oneof(
  fc.record({ what: fc.constant("put" as const), path, value, perms, slot }),
  fc.record({ what: fc.constant("value" as const), path, value }),
  fc.record({ what: fc.constant("perms" as const), path, perms }),
  fc.record({ what: fc.constant("drop" as const), path }),
  fc.record({ what: fc.constant("touch" as const), paths: fc.array(path, { maxLength: 8 }) }),
);

function touch(table: NodeTable, wanted: readonly string[]): void {
  const bytes = Buffer.from(wanted.map((each) => `${each}\0`).join(""), "latin1");
  const ranges = new Int32Array(2 * TOUCH_MAX);
  let at = 0;
  for (const [index, each] of wanted.entries()) {
    ranges.set([at, bytes.length], 2 * index);
    at += each.length + 1;
  }
  table.touch(bytes, ranges, wanted.length);
}

const shown = (node: Node | undefined): Node | undefined =>
  node && { value: node.value, perms: node.perms, slot: node.slot };

test.each([
  ["plain arrays", plainBytes],
  ["buffers", buffers],
])("a table of nodes in %s has what a Map has", (_, make) => {
  fc.assert(
    fc.property(fc.array(change, { maxLength: 120 }), fc.integer(), (changes, seed) => {
      const table = new NodeTable(make, seed);
      const model = new Map<string, Node>();
      for (const each of changes) {
        if (each.what === "touch") touch(table, each.paths);
        else if (each.what === "drop") expect(table.drop(each.path)).toBe(model.delete(each.path));
        else if (each.what === "put") {
          const content = { value: each.value, perms: each.perms, slot: each.slot };
          expect(table.add(each.path, content) === undefined).toBe(model.has(each.path));
          if (!model.has(each.path)) model.set(each.path, content);
        } else {
          const [node, known] = [table.get(each.path), model.get(each.path)];
          expect(shown(node)).toEqual(known);
          if (node === undefined || known === undefined) continue;
          if (each.what === "value") node.value = known.value = each.value;
          else node.perms = known.perms = each.perms;
          expect(shown(node)).toEqual(known);
        }
      }
      for (const each of paths) expect(shown(table.get(each))).toEqual(model.get(each));
      expect(table.count).toBe(model.size);
      expect(table.ids().sort()).toEqual([...model.keys()].sort());
    }),
    { numRuns: 60 },
  );
});

test("many nodes that come and go leave the memory they had", () => {
  let bytes = 0;
  const table = new NodeTable((length) => {
    bytes += length;
    return Buffer.alloc(length);
  }, 1);
  const name = (round: number, at: number): string => `/${round}/${at}`;
  let kept = 0;
  for (let round = 0; round < 4; round++) {
    const length = 64 << round;
    for (let at = 0; at < 30_000; at++)
      table.add(name(round, at), { value: "x".repeat(length), perms: "n0", slot: at });
    for (let at = 0; at < 30_000; at++) if (at % 100 !== 0) table.drop(name(round, at));
    kept += 300;
    touch(table, [name(round, 0)]);
    bytes = 0;
    expect(table.count).toBe(kept);
    for (let at = 0; at < 30_000; at += 100)
      expect(shown(table.get(name(round, at)))).toEqual({ value: "x".repeat(length), perms: "n0", slot: at });
  }
  // All is in the slabs that are left: a record takes one that is free.
  table.add("/last", { value: "", perms: "n0", slot: 0 });
  expect(bytes).toBe(0);
});

test("a node that was looked up shows what it has become, but for one that is gone", () => {
  const cells = new StoreCells();
  const node = cells.add(nodeType, "/a", { value: "1", perms: "n0", slot: 0 });
  const before = must(cells, nodeType, "/a");
  node.value = "longer than what was reserved for it";
  // What was reserved is free for another.
  cells.add(nodeType, "/b", { value: "2", perms: "n5", slot: 3 });
  expect(shown(before)).toEqual({ value: "longer than what was reserved for it", perms: "n0", slot: 0 });
  cells.drop(nodeType, "/a");
  for (const gone of [before, node]) expect(() => gone.perms).toThrow("/a was looked up before it went");
});

test("what is no cell, or is one already, is refused as by other cells", () => {
  for (const cells of [new PlainCells(), new StoreCells()]) {
    expect(() => cells.edit(nodeType, "/a")).toThrow("edit of missing cell node//a");
    expect(() => cells.drop(nodeType, "/a")).toThrow("drop of missing cell node//a");
    cells.add(nodeType, "/a", { value: "", perms: "n0", slot: 0 });
    expect(() => cells.add(nodeType, "/a", { value: "", perms: "n0", slot: 0 })).toThrow("added twice");
    const { head } = childrenList;
    const empty = { first: 0, last: 0, count: 0, bytes: 0, digestLow: 0, digestHigh: 0 };
    cells.add(head, "/a", empty);
    expect(() => cells.add(head, "/a", empty)).toThrow("added twice");
    expect([cells.ids(head), cells.count(head), cells.count(nodeType)]).toEqual([["/a"], 1, 1]);
    cells.drop(head, "/a");
    expect(() => cells.drop(head, "/a")).toThrow("drop of missing cell node-children//a");
  }
});

test("a node with children does not go, and what is no node has none", () => {
  const cells = new StoreCells();
  cells.add(nodeType, "/a", { value: "", perms: "n0", slot: 0 });
  cells.add(childrenList.chunk, "/a", { previous: -1, next: -1, items: ["b"] });
  expect(() => cells.drop(nodeType, "/a")).toThrow("drop of /a, which has children");
  expect(() => cells.add(childrenList.chunk, "/b", { previous: -1, next: -1, items: [] })).toThrow("no node");
});
