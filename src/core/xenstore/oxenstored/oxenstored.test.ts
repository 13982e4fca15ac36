// SPDX-License-Identifier: Apache-2.0
//
// oxenstored's own rules, as a table of what they come to; that they are those
// of the real one is what test/differential/xenstored is about.

import { describe, expect, test } from "vitest";
import { cellTypes, type CellId } from "../../engine/cells.ts";
import { checkStore } from "../check.ts";
import { disconnect } from "../store.ts";
import { TestClient, type TestStore, testStore } from "../test-client.ts";
import { intOfString, parseNodePerms } from "./perms.ts";

function started(limits: Record<string, number> = {}): { store: TestStore; a: TestClient; b: TestClient } {
  const store = testStore({ version: "oxenstored", limits });
  return { store, a: new TestClient(store), b: new TestClient(store) };
}

/** Everything that belongs to transactions. */
function leftOf({ cells }: TestStore): CellId[] {
  return cellTypes()
    .filter(({ name }) => /^oxenstored-(was|own|layers|transaction)$|^transaction/.test(name))
    .flatMap((type) => cells.ids(type));
}

describe("a commit", () => {
  test("stands where the tree is as it was", () => {
    const { store, a, b } = started();
    const tx = a.begin();
    a.ask("WRITE", "/x/y|1", tx);
    expect(b.ask("READ", "/x/y|")).toBe("ENOENT");
    expect(a.commit(tx)).toBe("OK|");
    expect(b.ask("READ", "/x/y|")).toBe("1");
    expect(leftOf(store)).toEqual([]);
    expect(checkStore(store.cells)).toEqual([]);
  });

  test("stands where others wrote elsewhere, and only its part of the tree is put in place", () => {
    const { store, a, b } = started();
    for (const path of ["/x/y", "/z"]) a.ask("WRITE", `${path}|0`);
    const tx = a.begin();
    a.ask("WRITE", "/x/y|1", tx);
    b.ask("WRITE", "/z|2");
    expect(a.commit(tx)).toBe("OK|");
    expect([a.ask("READ", "/x/y|"), a.ask("READ", "/z|")]).toEqual(["1", "2"]);
    expect(leftOf(store)).toEqual([]);
  });

  test("stands where others wrote in the same place, but every request would be answered as it was", () => {
    const { store, a, b } = started();
    a.ask("WRITE", "/x/y|0");
    const tx = a.begin();
    a.ask("WRITE", "/x/a|1", tx);
    b.ask("WRITE", "/x/b|2");
    expect(a.commit(tx)).toBe("OK|");
    expect(a.ask("DIRECTORY", "/x|")).toBe("a|b|y|");
    expect(leftOf(store)).toEqual([]);
  });

  test("does not where one would be answered otherwise", () => {
    const { store, a, b } = started();
    a.ask("WRITE", "/x|0");
    const tx = a.begin();
    expect(a.ask("READ", "/x|", tx)).toBe("0");
    a.ask("WRITE", "/y|1", tx);
    b.ask("WRITE", "/x|1");
    // It goes on seeing what was there at its start.
    expect(a.ask("READ", "/x|", tx)).toBe("0");
    expect(a.commit(tx)).toBe("EAGAIN");
    expect(a.ask("READ", "/y|")).toBe("ENOENT");
    expect(leftOf(store)).toEqual([]);
  });

  test("does not where it was asked for what is no part of a transaction, if it must be done again", () => {
    const { a, b } = started();
    const tx = a.begin();
    expect(a.ask("TRANSACTION_START", "|", tx)).toBe("EBUSY");
    a.ask("WRITE", "/x|1", tx);
    b.ask("WRITE", "/y|1");
    expect(a.commit(tx)).toBe("EAGAIN");
  });
});

test("a transaction that has had its requests can do nothing any more, and is ended with its connection", () => {
  const { store, a } = started({ "transaction-nodes": 3 });
  const guest = TestClient.ofDomain(store, 1);
  a.ask("MKDIR", "/local/domain/1|");
  a.ask("SET_PERMS", "/local/domain/1|n1|");
  const tx = guest.begin();
  for (const name of ["a", "b", "c"]) expect(guest.ask("WRITE", `${name}|1`, tx)).toBe("OK|");
  for (const [request, payload] of [
    ["READ", "a|"],
    ["TRANSACTION_END", "T|"],
    ["TRANSACTION_END", "F|"],
  ] as const)
    expect(guest.ask(request, payload, tx)).toBe("EQUOTA");
  expect(a.ask("DIRECTORY", "/local/domain/1|")).toBe("");
  expect(guest.ask("RESET_WATCHES", "|")).toBe("OK|");
  expect(leftOf(store)).toEqual([]);
  a.begin();
  disconnect(store, a.conn);
  expect(leftOf(store)).toEqual([]);
});

test("what is made on the way to a node stays where the request then fails, and nobody is told", () => {
  const { a } = started();
  a.all("WATCH", "/x|t|");
  expect(a.all("WRITE", `/x/y/z|${"v".repeat(2049)}`)).toEqual(["ERROR E2BIG|"]);
  expect(a.ask("DIRECTORY", "/x|")).toBe("y|");
});

test("a domain that dies leaves nothing of its own, and no entry in what is others'", () => {
  const { store, a, b } = started();
  TestClient.ofDomain(store, 1);
  for (const path of ["/mine/deep", "/shared", "/entry"]) a.ask("WRITE", `${path}|0`);
  a.ask("SET_PERMS", "/mine|n1|");
  a.ask("SET_PERMS", "/entry|n0|r1|w2|");
  const tx = b.begin();
  b.ask("WRITE", "/shared|1", tx);
  a.all("WATCH", "@releaseDomain|t|");
  a.all("WATCH", "/mine|t|");
  expect(a.all("RELEASE", "1|")).toEqual(["WATCH_EVENT @releaseDomain|t|", "RELEASE OK|"]);
  expect(a.ask("DIRECTORY", "/|")).toBe("@introduceDomain|@releaseDomain|entry|local|shared|tool|");
  expect(a.ask("GET_PERMS", "/entry|")).toBe("n0|w2|");
  // All nodes are others than before, so the transaction is done again.
  expect(b.commit(tx)).toBe("OK|");
  expect(checkStore(store.cells)).toEqual([]);
});

test("numbers are OCaml's", () => {
  const known: Readonly<Record<string, bigint | undefined>> = {
    "12": 12n,
    "-1": -1n,
    "0x1F": 31n,
    "0b11": 3n,
    "0o17": 15n,
    "0u9": 9n,
    "1_0": 10n,
    "4611686018427387903": 4611686018427387903n,
    "4611686018427387904": undefined,
    _1: undefined,
    "0x": undefined,
    " 1": undefined,
    "": undefined,
    "1x": undefined,
  };
  for (const [text, number] of Object.entries(known))
    expect([text, intOfString(text)]).toEqual([text, number]);
  expect(parseNodePerms("n-1\0r0x2\0what follows")).toBe("n9223372036854775807 r2");
});
