// SPDX-License-Identifier: Apache-2.0

import { describe, expect, test } from "vitest";
import { checkStore } from "./check.ts";
import { type RequestName, TestClient, testStore } from "./test-client.ts";
import type { ConflictRule } from "./version.ts";

type Step = [request: RequestName, payload: string];

/** What b's commit answers after b did `inside` in a transaction and then a did `outside`. */
function conflict(rule: ConflictRule, inside: Step[], outside: Step | null): string {
  const store = testStore({ conflicts: rule });
  const [a, b] = [new TestClient(store), new TestClient(store)];
  for (const path of ["/o/x", "/o/y", "/o/n1", "/o/n2", "/o/n4"]) a.ask("WRITE", `${path}|0`);
  const txId = b.begin();
  for (const [request, payload] of inside) b.ask(request, payload, txId);
  if (outside !== null) a.ask(...outside);
  const answer = b.commit(txId);
  expect(checkStore(store.cells)).toEqual([]);
  expect(b.ask("READ", "/o/x|", txId)).toBe("ENOENT");
  return answer;
}

// The strict column is what the real C xenstored answered.
test.each<[name: string, inside: Step[], outside: Step | null, strict: string, observed: string]>([
  ["nothing done", [], ["WRITE", "/o/x|8"], "OK|", "OK|"],
  [
    "nothing happened",
    [
      ["READ", "/o/x|"],
      ["WRITE", "/o/x|1"],
    ],
    null,
    "OK|",
    "OK|",
  ],
  ["read x; other writes x", [["READ", "/o/x|"]], ["WRITE", "/o/x|9"], "EAGAIN", "EAGAIN"],
  [
    "read x, write q",
    [
      ["READ", "/o/x|"],
      ["WRITE", "/o/q|1"],
    ],
    ["WRITE", "/o/x|9"],
    "EAGAIN",
    "EAGAIN",
  ],
  ["same value", [["READ", "/o/x|"]], ["WRITE", "/o/x|0"], "EAGAIN", "OK|"],
  ["write x; other writes x", [["WRITE", "/o/x|5"]], ["WRITE", "/o/x|6"], "EAGAIN", "OK|"],
  [
    "write x, read x",
    [
      ["WRITE", "/o/x|5"],
      ["READ", "/o/x|"],
    ],
    ["WRITE", "/o/x|6"],
    "EAGAIN",
    "OK|",
  ],
  [
    "read x, write x",
    [
      ["READ", "/o/x|"],
      ["WRITE", "/o/x|5"],
    ],
    ["WRITE", "/o/x|7"],
    "EAGAIN",
    "EAGAIN",
  ],
  ["create siblings", [["WRITE", "/o/m1|1"]], ["WRITE", "/o/m2|1"], "EAGAIN", "OK|"],
  ["create the same", [["WRITE", "/o/m1|1"]], ["WRITE", "/o/m1|2"], "EAGAIN", "OK|"],
  ["list; other creates", [["DIRECTORY", "/o|"]], ["WRITE", "/o/m3|1"], "EAGAIN", "EAGAIN"],
  ["list; other removes", [["DIRECTORY", "/o|"]], ["RM", "/o/x|"], "EAGAIN", "EAGAIN"],
  ["list; other writes a child", [["DIRECTORY", "/o|"]], ["WRITE", "/o/x|1"], "OK|", "OK|"],
  ["part of a list", [["DIRECTORY_PART", "/o|0|"]], ["WRITE", "/o/m3|1"], "EAGAIN", "EAGAIN"],
  ["read x; other sets perms", [["READ", "/o/x|"]], ["SET_PERMS", "/o/x|n0|r3|"], "EAGAIN", "OK|"],
  [
    "perms of x; other sets perms",
    [["GET_PERMS", "/o/x|"]],
    ["SET_PERMS", "/o/x|n0|r3|"],
    "EAGAIN",
    "EAGAIN",
  ],
  ["perms of x; other writes x", [["GET_PERMS", "/o/x|"]], ["WRITE", "/o/x|1"], "EAGAIN", "OK|"],
  ["read x; other adds a child", [["READ", "/o/x|"]], ["WRITE", "/o/x/kid|1"], "EAGAIN", "OK|"],
  ["miss m; other creates m", [["READ", "/o/m|"]], ["WRITE", "/o/m|1"], "EAGAIN", "EAGAIN"],
  ["miss m; other creates a sibling", [["READ", "/o/m|"]], ["WRITE", "/o/m2|1"], "EAGAIN", "OK|"],
  ["rm n1; other creates a sibling", [["RM", "/o/n1|"]], ["WRITE", "/o/n5|1"], "EAGAIN", "OK|"],
  ["rm n2; other writes n2", [["RM", "/o/n2|"]], ["WRITE", "/o/n2|2"], "EAGAIN", "OK|"],
  ["rm a missing node; its parent goes", [["RM", "/o/x/y|"]], ["RM", "/o/x|"], "EAGAIN", "EAGAIN"],
  ["write n4/k; other removes n4", [["WRITE", "/o/n4/k|1"]], ["RM", "/o/n4|"], "EAGAIN", "OK|"],
  ["set perms; other removes", [["SET_PERMS", "/o/x|n0|"]], ["RM", "/o/x|"], "EAGAIN", "EAGAIN"],
])("%s", (_name, inside, outside, strict, observed) => {
  expect(conflict("strict", inside, outside)).toBe(strict);
  expect(conflict("observed", inside, outside)).toBe(observed);
});

describe("within a transaction", () => {
  test("nobody else sees what it does until it commits", () => {
    const store = testStore();
    const [a, b] = [new TestClient(store), new TestClient(store)];
    a.ask("WRITE", "/d/old|1");
    const txId = b.begin();
    b.ask("WRITE", "/d/new|2", txId);
    b.ask("RM", "/d/old|", txId);
    b.ask("SET_PERMS", "/d|n0|r5|", txId);
    expect(b.ask("DIRECTORY", "/d|", txId)).toBe("new|");
    expect(b.ask("GET_PERMS", "/d|", txId)).toBe("n0|r5|");
    expect(b.ask("GET_PERMS", "/d/new|", txId)).toBe("n0|");
    expect([a.ask("DIRECTORY", "/d|"), a.ask("GET_PERMS", "/d|")]).toEqual(["old|", "n0|"]);
    expect(b.commit(txId)).toBe("OK|");
    expect([a.ask("DIRECTORY", "/d|"), a.ask("GET_PERMS", "/d|")]).toEqual(["new|", "n0|r5|"]);
    expect(checkStore(store.cells)).toEqual([]);
  });

  test("aborted, nothing has happened", () => {
    const store = testStore();
    const a = new TestClient(store);
    a.all("WATCH", "/|t|");
    const txId = a.begin();
    a.ask("WRITE", "/d/new|2", txId);
    a.ask("RM", "/tool|", txId);
    expect(a.all("TRANSACTION_END", "F|", txId)).toEqual(["TRANSACTION_END OK|"]);
    expect(a.ask("DIRECTORY", "/|")).toBe("tool|");
  });

  test("what was read stays what it was, though the transaction is lost", () => {
    const store = testStore();
    const [a, b] = [new TestClient(store), new TestClient(store)];
    a.ask("WRITE", "/x|1");
    const txId = b.begin();
    expect(b.ask("READ", "/x|", txId)).toBe("1");
    a.ask("WRITE", "/x|2");
    a.ask("RM", "/x|");
    expect(b.ask("READ", "/x|", txId)).toBe("1");
    expect(b.commit(txId)).toBe("EAGAIN");
  });

  test("events come with the commit, one a node, in order of first access, before the reply", () => {
    const a = new TestClient(testStore());
    for (const name of ["x", "y", "z"]) a.ask("WRITE", `/o/${name}|0`);
    a.all("WATCH", "/o|t|");
    const txId = a.begin();
    for (const [name, value] of [
      ["z", 1],
      ["x", 1],
      ["z", 2],
      ["y", 1],
      ["new", 1],
    ]) {
      expect(a.all("WRITE", `/o/${name}|${value}`, txId)).toEqual(["WRITE OK|"]);
    }
    a.ask("RM", "/o/y|", txId);
    expect(a.all("TRANSACTION_END", "T|", txId)).toEqual([
      ...["z", "x", "y", "new"].map((name) => `WATCH_EVENT /o/${name}|t|`),
      "TRANSACTION_END OK|",
    ]);
  });

  test("the events of a removed tree come parents first, as its nodes are accessed", () => {
    const a = new TestClient(testStore());
    for (const path of ["/t/y/z", "/t/x/z", "/t/y/a"]) {
      a.ask("WRITE", `${path}|`);
      a.all("WATCH", `${path}|t|`);
    }
    const txId = a.begin();
    a.ask("RM", "/t|", txId);
    const events = ["/t/y/z", "/t/y/a", "/t/x/z"].map((path) => `WATCH_EVENT ${path}|t|`);
    expect(a.all("TRANSACTION_END", "T|", txId)).toEqual([...events, "TRANSACTION_END OK|"]);
  });

  test("a node created and removed again fires nothing, and leaves nothing", () => {
    const a = new TestClient(testStore());
    a.all("WATCH", "/|t|");
    const txId = a.begin();
    a.ask("WRITE", "/o/x|1", txId);
    a.ask("RM", "/o/x|", txId);
    expect(a.all("TRANSACTION_END", "T|", txId)).toEqual(["TRANSACTION_END OK|"]);
    expect(a.ask("DIRECTORY", "/o|")).toBe("");
  });

  test("a tree that is replaced", () => {
    const store = testStore();
    const [a, b] = [new TestClient(store), new TestClient(store)];
    a.ask("WRITE", "/t/one|1");
    const txId = b.begin();
    b.ask("RM", "/t|", txId);
    b.ask("WRITE", "/t/two|2", txId);
    a.ask("WRITE", "/t/three|3");
    expect(b.ask("DIRECTORY", "/t|", txId)).toBe("two|");
    a.all("WATCH", "/t/three|t|");
    expect(b.commit(txId)).toBe("OK|");
    expect(a.take()).toEqual(["WATCH_EVENT /t/three|t|"]);
    expect(a.ask("DIRECTORY", "/t|")).toBe("two|");
  });
});

describe("identifiers", () => {
  test("belong to the connection", () => {
    const store = testStore();
    const [a, b] = [new TestClient(store), new TestClient(store)];
    const txId = a.begin();
    expect(b.ask("READ", "/tool|", txId)).toBe("ENOENT");
    expect(b.ask("TRANSACTION_END", "T|", txId)).toBe("ENOENT");
    expect(b.begin()).toBe(txId);
    expect(a.ask("TRANSACTION_START", "|", txId)).toBe("EBUSY");
    expect(a.ask("TRANSACTION_START", "|", 99)).toBe("ENOENT");
    expect(a.ask("TRANSACTION_END", "T|")).toBe("ENOENT");
    expect(a.commit(txId)).toBe("OK|");
    expect(a.commit(txId)).toBe("ENOENT");
    expect(a.begin()).toBe(txId + 1);
  });

  test("RESET_WATCHES ends all of them, also from within one", () => {
    const a = new TestClient(testStore());
    const [one, two] = [a.begin(), a.begin()];
    a.ask("WRITE", "/x|1", two);
    expect(a.ask("RESET_WATCHES", "|", one)).toBe("OK|");
    expect([a.commit(one), a.commit(two)]).toEqual(["ENOENT", "ENOENT"]);
    expect(a.ask("READ", "/x|")).toBe("ENOENT");
  });
});

test("a node that it made sure of goes: it comes again with permissions set above, or not at all", () => {
  const store = testStore();
  const [a, b] = [new TestClient(store), new TestClient(store)];
  b.ask("MKDIR", "/x/y|");
  const txId = a.begin();
  a.ask("SET_PERMS", "/x|r4|", txId);
  a.ask("MKDIR", "/x/y|", txId);
  b.ask("RM", "/x/y|");
  expect(a.commit(txId)).toBe("EAGAIN");
  expect(b.ask("GET_PERMS", "/x|")).toBe("n0|");
});

test("what is below a node that was removed while it was missing stays missing", () => {
  const store = testStore();
  const [a, b] = [new TestClient(store), new TestClient(store)];
  const txId = a.begin();
  expect(a.ask("READ", "/x/y/z|", txId)).toBe("ENOENT");
  expect(a.ask("RM", "/x|", txId)).toBe("OK|");
  b.ask("MKDIR", "/x/y|");
  expect(a.ask("RM", "/x/y/other|", txId)).toBe("ENOENT");
  expect(a.ask("DIRECTORY", "/x/y|", txId)).toBe("ENOENT");
  expect(a.commit(txId)).toBe("OK|");
  expect(b.ask("READ", "/x|")).toBe("ENOENT");
});

test("a transaction's listing is refused where it has more than 4,096 bytes, by what it has changed", () => {
  const store = testStore();
  const [a, b] = [new TestClient(store), new TestClient(store)];
  const child = (index: number): string => `/full/${String(index).padStart(3, "0")}`;
  for (let index = 0; index < 999; index++) a.ask("WRITE", `${child(index)}|`);
  for (let index = 0; index < 25; index++) a.ask("WRITE", `/full/a${String(index).padStart(2, "0")}|`);
  const txId = b.begin();
  const list = (): string | number => {
    const answer = b.ask("DIRECTORY", "/full|", txId);
    return answer === "E2BIG" ? answer : answer.length;
  };
  const steps: [request: RequestName, payload: string, listed: string | number][] = [
    ["READ", "/full/000|", 4096],
    ["WRITE", "/full/000|", 4096],
    ["WRITE", "/full/new|", "E2BIG"],
    ["RM", "/full/001|", 4096],
    ["WRITE", "/full/001|", "E2BIG"],
    ["RM", "/full/new|", 4096],
    ["RM", "/full/001|", 4092],
    ["RM", "/full/002|", 4088],
    ["MKDIR", "/full/seven|", 4094],
    ["MKDIR", "/full/1|", 4096],
    ["RM", "/full|", "ENOENT".length],
    ["MKDIR", "/full/1|", 2],
  ];
  for (const [request, payload, listed] of steps) {
    b.ask(request, payload, txId);
    expect([request, payload, list()]).toEqual([request, payload, listed]);
  }
});
