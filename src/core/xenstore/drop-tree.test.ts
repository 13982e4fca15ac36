// SPDX-License-Identifier: Apache-2.0
//
// Removing trees: where nobody has to know of them nodes go without a look at
// each, and nothing of that may show. Cells that know no such way say what is right.

import fc from "fast-check";
import { expect, test } from "vitest";
import { PlainCells } from "../engine/cells.ts";
import { checkStore } from "./check.ts";
import { StoreCells } from "./store-cells.ts";
import { TestClient, testStore } from "./test-client.ts";
import { nodeType } from "./tree.ts";

const below = (maxLength: number): fc.Arbitrary<string> =>
  fc
    .array(fc.constantFrom("a", "state", "a-longer-name"), { minLength: 1, maxLength })
    .map((names) => `/t/${names.join("/")}`);
const path = below(3);
/** What is removed is mostly more than a leaf. */
const top = fc.oneof(fc.constant("/t"), below(2));
const domain = fc.constantFrom(0, 1, 2);
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ what: fc.constant("WRITE" as const), path, domain }) },
  { weight: 2, arbitrary: fc.record({ what: fc.constant("WATCH" as const), path, domain }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant("READ" as const), path, domain }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant("DIRECTORY" as const), path, domain }) },
  { weight: 2, arbitrary: fc.record({ what: fc.constant("RM" as const), path: top, domain }) },
  {
    weight: 1,
    arbitrary: fc.record({ what: fc.constant("RM in a transaction" as const), path: top, domain }),
  },
);

/** Does steps in one kind of cells; all that clients are told, and what is left. */
function told(
  cells: PlainCells,
  steps: readonly (typeof step extends fc.Arbitrary<infer S> ? S : never)[],
): unknown {
  const store = testStore({}, cells);
  const toolstack = new TestClient(store);
  const watchers = [toolstack, TestClient.ofDomain(store, 1), TestClient.ofDomain(store, 2)];
  const lines: string[] = [];
  const observing: number[] = [];
  toolstack.ask("WRITE", "/t|");
  for (const [at, { what, path: where, domain: domid }] of steps.entries()) {
    if (what === "WRITE") {
      lines.push(...toolstack.all("WRITE", `${where}|${at}`));
      lines.push(...toolstack.all("SET_PERMS", `${where}|r${domid}|`));
    } else if (what === "WATCH") watchers[domid]?.send("WATCH", `${where}|${at}|`);
    else if (what === "READ" || what === "DIRECTORY") {
      const transaction = toolstack.begin();
      lines.push(toolstack.ask(what, `${where}|`, transaction));
      observing.push(transaction);
    } else if (what === "RM") lines.push(...toolstack.all("RM", `${where}|`));
    else {
      const transaction = toolstack.begin();
      lines.push(...toolstack.all("RM", `${where}|`, transaction), toolstack.commit(transaction));
    }
    for (const watcher of watchers) lines.push(...watcher.take());
    expect(checkStore(cells)).toEqual([]);
  }
  // Whether what they have observed is still so.
  lines.push(...observing.map((transaction) => toolstack.commit(transaction)));
  return { lines, left: cells.ids(nodeType) };
}

test("a tree goes in the same way whoever has to know of it", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      expect(told(new StoreCells({ seed: 7 }), steps)).toEqual(told(new PlainCells(), steps));
    }),
    { numRuns: 120 },
  );
});

test.each([
  ["a leaf that was read", [["READ", "/t/a|"]]],
  ["a leaf below another that was read", [["READ", "/t/b/c|"]]],
  ["a list", [["DIRECTORY", "/t/b|"]]],
  [
    "the list of a node that it wrote itself",
    [
      ["WRITE", "/t/b|2"],
      ["DIRECTORY", "/t/b|"],
    ],
  ],
] as const)("what a transaction has observed does not go unnoticed with a tree: %s", (_what, requests) => {
  for (const cells of [new StoreCells(), new PlainCells()]) {
    const toolstack = new TestClient(testStore({}, cells));
    for (const leaf of ["a", "b/c", "b/d", "e"]) toolstack.ask("WRITE", `/t/${leaf}|1`);
    const transaction = toolstack.begin();
    for (const [type, body] of requests) toolstack.ask(type, body, transaction);
    expect(toolstack.ask("RM", "/t|")).toBe("OK|");
    expect(toolstack.commit(transaction)).toBe("EAGAIN");
  }
});

test("a large tree leaves nothing, and its room is used again", () => {
  const cells = new StoreCells();
  const toolstack = new TestClient(testStore({}, cells));
  const before = cells.nodes.count;
  for (let round = 0; round < 3; round++) {
    for (let at = 0; at < 3000; at++) toolstack.ask("WRITE", `/t/${at % 70}/${at}|${at}`);
    expect(cells.nodes.count).toBe(before + 3071);
    toolstack.ask("READ", "/t/5/5|");
    expect(toolstack.ask("RM", "/t|")).toBe("OK|");
    expect(toolstack.ask("READ", "/t/5/5|")).toBe("ENOENT");
    expect(cells.nodes.count).toBe(before);
  }
});
