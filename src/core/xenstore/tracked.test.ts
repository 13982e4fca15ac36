// SPDX-License-Identifier: Apache-2.0
//
// The store on the engine's tracked cells: a step can be undone, its hash is
// right, and what does not concern each other hashes alike in either order.

import fc from "fast-check";
import { expect, test } from "vitest";
import type { Plain } from "../engine/cells.ts";
import { canonicalText } from "../engine/plain.ts";
import { Registry } from "../engine/registry.ts";
import { domainsChanged } from "./store.ts";
import { type RequestName, TestClient, type TestStore, testStore } from "./test-client.ts";

interface Host {
  readonly cells: Registry;
  readonly store: TestStore;
  readonly clients: readonly TestClient[];
}

/** A store with two sockets and two domains. */
function host(): Host {
  const cells = new Registry({ undo: true, hash: true });
  cells.begin();
  const store = testStore({}, cells);
  const sockets = [new TestClient(store), new TestClient(store)];
  const clients = [...sockets, TestClient.ofDomain(store, 1), TestClient.ofDomain(store, 2)];
  for (const domid of [1, 2]) {
    sockets[0]?.ask("WRITE", `/local/domain/${domid}|`);
    sockets[0]?.ask("SET_PERMS", `/local/domain/${domid}|n${domid}|`);
  }
  cells.end();
  return { cells, store, clients };
}

function text({ cells }: Host): string {
  return [...cells.entries()]
    .map(({ type, id, content }) => `${type.name}/${id} ${canonicalText(content as Plain, type.provenance)}`)
    .join("\n");
}

interface Step {
  readonly client: number;
  readonly request: RequestName | "die";
  readonly payload: string;
  readonly inTransaction: boolean;
}

/** Does a step; requests of a transaction are in the client's first. */
function perform({ store, clients }: Host, { client, request, payload, inTransaction }: Step): void {
  if (request === "die") {
    store.hypervisor.set(2, { shutdown: true, dying: true });
    domainsChanged(store);
    return;
  }
  const who = clients[client] as TestClient;
  if (who.conn === 2 && store.hypervisor.get(2)?.dying === true) return;
  who.send(request, payload, inTransaction ? 1 : 0);
  if (inTransaction) who.take();
}

const path = fc.constantFrom("/a", "/a/b", "/c", "x", "x/y", "/local/domain/2/x");
const step: fc.Arbitrary<Step> = fc
  .record({
    client: fc.integer({ min: 0, max: 3 }),
    inTransaction: fc.boolean(),
    ...{ request: fc.constant<Step["request"]>("READ"), payload: fc.constant("") },
  })
  .chain((base) =>
    fc.oneof(
      fc
        .record({ request: fc.constantFrom<Step["request"]>("READ", "DIRECTORY", "RM", "MKDIR"), path })
        .map((o) => ({
          ...base,
          request: o.request,
          payload: `${o.path}|`,
        })),
      path.map((p): Step => ({ ...base, request: "WRITE", payload: `${p}|${base.client}` })),
      path.map((p): Step => ({ ...base, request: "SET_PERMS", payload: `${p}|n${base.client % 3}|r2|` })),
      path.map((p): Step => ({ ...base, request: "WATCH", payload: `${p}|token|` })),
      fc.constantFrom<Step>(
        { ...base, request: "TRANSACTION_START", payload: "|", inTransaction: false },
        { ...base, request: "TRANSACTION_END", payload: "T|", inTransaction: true },
        { ...base, request: "RESET_WATCHES", payload: "|", inTransaction: false },
        { ...base, request: "die", payload: "" },
      ),
    ),
  );

test("every step can be undone and taken again, and its hash is that of the whole", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const tracked = host();
      const { cells } = tracked;
      for (const next of steps) {
        const before = text(tracked);
        cells.begin();
        perform(tracked, next);
        const undo = cells.takeUndo(cells.end());
        const after = text(tracked);
        expect(cells.hashAt(0)).toEqual(cells.fullHashAt(0));
        cells.swap([undo]);
        expect(text(tracked)).toBe(before);
        cells.swap([undo]);
        expect(text(tracked)).toBe(after);
      }
    }),
    { numRuns: 60 },
  );
});

test.each<[name: string, one: Step["payload"], other: Step["payload"]]>([
  ["nodes in different places", "WRITE /a/x|1", "WRITE /b/y|2"],
  ["values of siblings", "WRITE /d/x|1", "WRITE /d/y|2"],
  ["watches on one path", "WATCH /d|one|", "WATCH /d|two|"],
  ["a value and a list", "WRITE /d|1", "WRITE /d/z|2"],
  ["a write and a transaction elsewhere", "WRITE /d/x|1", "TRANSACTION_START |"],
])("%s: either order hashes alike", (_name, one, other) => {
  const [first, second] = [one, other].map((line, client): Step => {
    const blank = line.indexOf(" ");
    const request = line.slice(0, blank) as RequestName;
    return { client, request, payload: line.slice(blank + 1), inTransaction: false };
  }) as [Step, Step];
  const hashes = [
    [first, second],
    [second, first],
  ].map((order) => {
    const tracked = host();
    tracked.cells.begin();
    for (const line of ["/a|", "/b|", "/d/x|", "/d/y|"]) tracked.clients[0]?.ask("WRITE", line);
    tracked.cells.end();
    for (const next of order) {
      tracked.cells.begin();
      perform(tracked, next);
      tracked.cells.end();
    }
    return tracked.cells.hashAt(0);
  });
  expect(hashes[0]).toEqual(hashes[1]);
});
