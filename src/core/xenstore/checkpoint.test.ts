// SPDX-License-Identifier: Apache-2.0
//
// A copy made while the original changes is, at the end, the original: with big
// and small directories, trees that go and come back, pieces between any changes.

import fc from "fast-check";
import { expect, test } from "vitest";
import { StoreCells } from "./store-cells.ts";
import { checkStore } from "./check.ts";
import { Checkpoint } from "./checkpoint.ts";
import { JournalCells } from "./journal-cells.ts";
import { prepareStore } from "./store.ts";
import { loadRecord, startLoading } from "./stream-load.ts";
import { saveStore } from "./stream-save.ts";
import { TestClient, testStore } from "./test-client.ts";
import type { StreamRecord } from "./stream.ts";

/** Children of each directory at the start: more than one chunk has, one chunk, few. */
const CHILDREN = [150, 64, 3];

const path = fc
  .tuple(fc.nat(CHILDREN.length - 1), fc.option(fc.nat(170)), fc.option(fc.nat(2)))
  .map(([directory, child, below]) =>
    child === null ? `/d${directory}` : `/d${directory}/c${child}${below === null ? "" : `/b${below}`}`,
  );
const step = fc.oneof(
  fc.constant({ piece: true as const }),
  fc.record({
    piece: fc.constant(false as const),
    request: fc.constantFrom("WRITE" as const, "WRITE" as const, "RM" as const, "SET_PERMS" as const),
    path,
    /** Whether what has changed is told now; at the latest before the next piece. */
    tells: fc.boolean(),
  }),
);

test("a copy made in pieces between changes is the original", () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 5, maxLength: 60 }), (steps) => {
      const cells = new JournalCells();
      const store = testStore({}, cells);
      const client = new TestClient(store);
      for (const [directory, count] of CHILDREN.entries()) {
        for (let child = 0; child < count; child++) client.ask("WRITE", `/d${directory}/c${child}|0`);
      }
      client.ask("WRITE", "/d0/c3/b1|deep");
      cells.remember();
      const copy = testStore({}, new StoreCells(), prepareStore);
      const loading = startLoading(copy, 2);
      const apply = (records: readonly StreamRecord[]): void => {
        for (const record of records) expect(loadRecord(loading, record)).toBeUndefined();
      };
      const checkpoint = new Checkpoint(cells);
      cells.checkpoint = checkpoint;
      apply(checkpoint.next());
      const tell = (): void => {
        if (cells.changed) apply(cells.takeChanges().covered);
      };
      for (const what of steps) {
        if (what.piece) {
          tell();
          apply(checkpoint.next());
          continue;
        }
        const value = what.request === "WRITE" ? "1" : what.request === "SET_PERMS" ? "n0|r1|" : "";
        client.ask(what.request, `${what.path}|${value}`);
        if (what.tells) tell();
      }
      tell();
      while (!checkpoint.done) apply(checkpoint.next());
      const nodes = (of: typeof store): unknown[] =>
        [...saveStore(of.cells, { own: false })].filter(({ type }) => type === "node");
      expect(nodes(copy)).toEqual(nodes(store));
      expect(checkStore(copy.cells)).toEqual([]);
    }),
    { numRuns: 120 },
  );
});
