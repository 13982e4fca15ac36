// SPDX-License-Identifier: Apache-2.0
//
// The store against a naive one: a map of paths. A transaction that commits must
// have the effect of doing its requests at that moment, with the same answers;
// one that is refused must have observed something that was changed.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checkStore } from "./check.ts";
import { parentOf } from "./path.ts";
import { type RequestName, TestClient, type TestStore, testStore } from "./test-client.ts";

/** Nodes in order of creation: children of a node come in that order. */
type Tree = Map<string, { value: string; perms: string }>;

interface Operation {
  readonly request: RequestName;
  readonly path: string;
  readonly value: string;
}

function payload({ request, path, value }: Operation): string {
  if (request === "WRITE") return `${path}|${value}`;
  return request === "SET_PERMS" ? `${path}|${value}|` : `${path}|`;
}

function create(tree: Tree, path: string, value: string): void {
  const above = parentOf(path);
  if (!tree.has(above)) create(tree, above, "");
  tree.set(path, { value, perms: tree.get(above)?.perms ?? "" });
}

function children(tree: Tree, path: string): string {
  const names = [...tree.keys()].filter((other) => other !== "/" && parentOf(other) === path);
  return names.map((name) => `${name.slice(name.lastIndexOf("/") + 1)}|`).join("");
}

/** Does an operation on the naive tree; its answer. */
function perform(tree: Tree, { request, path, value }: Operation): string {
  const node = tree.get(path);
  switch (request) {
    case "READ":
      return node?.value ?? "ENOENT";
    case "DIRECTORY":
      return node === undefined ? "ENOENT" : children(tree, path);
    case "GET_PERMS":
      return node === undefined ? "ENOENT" : `${node.perms}|`;
    case "SET_PERMS":
      if (node !== undefined) node.perms = value;
      return node === undefined ? "ENOENT" : "OK|";
    case "WRITE":
      if (node === undefined) create(tree, path, value);
      else node.value = value;
      return "OK|";
    case "MKDIR":
      if (node === undefined) create(tree, path, "");
      return "OK|";
    default: {
      if (node === undefined) return tree.has(parentOf(path)) ? "OK|" : "ENOENT";
      for (const other of [...tree.keys()]) if (`${other}/`.startsWith(`${path}/`)) tree.delete(other);
      return "OK|";
    }
  }
}

function copy(tree: Tree): Tree {
  return new Map([...tree].map(([path, node]) => [path, { ...node }]));
}

/** The whole store as a client sees it, in the order of a walk. */
function dump(client: TestClient, path = "/"): string[] {
  const line = `${path} = ${client.ask("READ", `${path}|`)} (${client.ask("GET_PERMS", `${path}|`)})`;
  const names = client.ask("DIRECTORY", `${path}|`).split("|").slice(0, -1);
  return [line, ...names.flatMap((name) => dump(client, path === "/" ? `/${name}` : `${path}/${name}`))];
}

function dumpTree(tree: Tree, path = "/"): string[] {
  const node = tree.get(path) as { value: string; perms: string };
  const names = children(tree, path).split("|").slice(0, -1);
  const below = names.flatMap((name) => dumpTree(tree, path === "/" ? `/${name}` : `${path}/${name}`));
  return [`${path} = ${node.value} (${node.perms}|)`, ...below];
}

const names = ["a", "b", "c"];
const paths = ["/a", "/b", ...names.flatMap((x) => [`/a/${x}`, `/b/${x}`, `/a/a/${x}`])];
const operation: fc.Arbitrary<Operation> = fc.oneof(
  fc.record({
    request: fc.constantFrom<RequestName>("READ", "DIRECTORY", "GET_PERMS", "MKDIR", "RM"),
    path: fc.constantFrom("/", ...paths),
    value: fc.constant(""),
  }),
  fc.record({
    request: fc.constant<RequestName>("WRITE"),
    path: fc.constantFrom(...paths),
    value: fc.constantFrom("", "1", "2"),
  }),
  fc.record({
    request: fc.constant<RequestName>("SET_PERMS"),
    path: fc.constantFrom(...paths),
    value: fc.constantFrom("n0", "n3", "r4"),
  }),
);
/** Who does what: client 0 outside of transactions, the others each in one, which `null` ends. */
const step = fc.record({
  client: fc.integer({ min: 0, max: 2 }),
  operation: fc.option(operation, { freq: 6 }),
});

interface Session {
  readonly client: TestClient;
  txId: number;
  log: { operation: Operation; answer: string }[];
  /** Something happened since that would have changed an answer. */
  disturbed: boolean;
  /** Paths that others have changed, or created or removed something in, since. */
  touched: Set<string>;
}

/** Answers of a transaction's requests, were they made now. */
function replay(tree: Tree, { log }: Session): boolean {
  return log.every(({ operation, answer }) => perform(tree, operation) === answer);
}

function initial(store: TestStore): Tree {
  const tree: Tree = new Map([["/", { value: "", perms: "n0" }]]);
  const client = new TestClient(store);
  client.ask("RM", "/tool|");
  return tree;
}

interface Outcome {
  committed: number;
  refused: number;
}

function runSteps(steps: readonly { client: number; operation: Operation | null }[], outcome: Outcome): void {
  const store = testStore();
  let tree = initial(store);
  const outside = new TestClient(store);
  const sessions = [1, 2].map((): Session => {
    const client = new TestClient(store);
    return { client, txId: client.begin(), log: [], disturbed: false, touched: new Set() };
  });
  const changed = (by: Session | null): void => {
    for (const session of sessions) {
      if (session !== by && !replay(copy(tree), session)) session.disturbed = true;
    }
  };
  for (const { client, operation } of steps) {
    const session = sessions[client - 1];
    if (session === undefined) {
      if (operation === null || operation.path === "/") continue;
      expect(outside.ask(operation.request, payload(operation))).toBe(perform(tree, operation));
      changed(null);
    } else if (operation === null) {
      const answer = session.client.commit(session.txId);
      if (answer === "OK|") {
        outcome.committed++;
        expect(session.disturbed).toBe(false);
        const after = copy(tree);
        expect(replay(after, session)).toBe(true);
        tree = after;
      } else {
        outcome.refused++;
        expect(answer).toBe("EAGAIN");
        // Of these more counts as changed than would have to; see transaction.ts.
        const careful = session.log.some(({ operation: { request } }) => /_PERMS|DIRECTORY|RM/.test(request));
        expect(session.disturbed || careful).toBe(true);
      }
      changed(session);
      Object.assign(session, { txId: session.client.begin(), log: [], disturbed: false });
    } else if (operation.path !== "/" || operation.request !== "RM") {
      session.log.push({
        operation,
        answer: session.client.ask(operation.request, payload(operation), session.txId),
      });
    }
    expect(dump(outside)).toEqual(dumpTree(tree));
  }
  expect(checkStore(store.cells)).toEqual([]);
}

describe("transactions", () => {
  test("a commit is as if all were done at that moment", () => {
    const outcome: Outcome = { committed: 0, refused: 0 };
    fc.assert(
      fc.property(fc.array(step, { minLength: 5, maxLength: 40 }), (steps) => runSteps(steps, outcome)),
      { numRuns: 2000 },
    );
    // Both outcomes are common, so the property has something to say.
    expect(outcome.committed).toBeGreaterThan(100);
    expect(outcome.refused).toBeGreaterThan(100);
  });

  test("nobody's node shows below one that the transaction made anew, wherever it came in", () => {
    const op = (request: RequestName, path: string): Operation => ({ request, path, value: "" });
    const own = [op("READ", "/a/b/c"), op("RM", "/a"), op("MKDIR", "/a/b"), op("DIRECTORY", "/a/b")];
    const others = [op("WRITE", "/a/b/x"), op("RM", "/a")];
    const before = [[op("MKDIR", "/a/y")], [op("MKDIR", "/a/b")]];
    const outcome: Outcome = { committed: 0, refused: 0 };
    // Every transaction of up to three of these requests, and every moment for somebody else's.
    let sequences: Operation[][] = [[]];
    for (let length = 1; length <= 3; length++) {
      sequences = sequences.flatMap((sequence) => own.map((next) => [...sequence, next]));
      for (const sequence of sequences)
        for (const other of others)
          for (const initially of before)
            for (let at = 0; at <= sequence.length; at++)
              runSteps(
                [
                  ...initially.map((operation) => ({ client: 0, operation })),
                  ...sequence.slice(0, at).map((operation) => ({ client: 1, operation })),
                  { client: 0, operation: other },
                  ...sequence.slice(at).map((operation) => ({ client: 1, operation })),
                  { client: 1, operation: null },
                ],
                outcome,
              );
    }
    expect(outcome.committed).toBeGreaterThan(100);
    expect(outcome.refused).toBeGreaterThan(100);
  });
});
