// SPDX-License-Identifier: Apache-2.0
//
// Domains: permissions, what they own, their limits, their end.

import { describe, expect, test } from "vitest";
import { must } from "../engine/cells.ts";
import { checkStore } from "./check.ts";
import { outputType } from "./output.ts";
import { accountOf } from "./quota.ts";
import { disconnect, domainsChanged, expireEvents, mayRead, receive } from "./store.ts";
import { TestClient, type TestStore, testStore } from "./test-client.ts";
import { encode, XS } from "./wire.ts";

/** A store with domains 1 and 2 introduced, and dom0's toolstack. */
function withDomains(): { store: TestStore; tools: TestClient; one: TestClient; two: TestClient } {
  const store = testStore();
  const tools = new TestClient(store);
  for (const domid of [1, 2]) {
    tools.ask("WRITE", `/local/domain/${domid}|`);
    tools.ask("SET_PERMS", `/local/domain/${domid}|n${domid}|`);
  }
  return { store, tools, one: TestClient.ofDomain(store, 1), two: TestClient.ofDomain(store, 2) };
}

/** The hypervisor says something new of a domain, and raises VIRQ_DOM_EXC. */
function becomes(store: TestStore, domid: number, state: "shutdown" | "dying" | "gone"): void {
  if (state === "gone") store.hypervisor.delete(domid);
  else store.hypervisor.set(domid, { shutdown: true, dying: state === "dying" });
  domainsChanged(store);
}

describe("permissions", () => {
  test("a domain has what is its own, and nothing else", () => {
    const { tools, one, two } = withDomains();
    expect(one.ask("WRITE", "data|x")).toBe("OK|");
    expect(one.ask("READ", "/local/domain/1/data|")).toBe("x");
    expect(tools.ask("GET_PERMS", "/local/domain/1/data|")).toBe("n1|");
    expect(two.ask("READ", "/local/domain/1/data|")).toBe("EACCES");
    expect(two.ask("READ", "/local/domain/1/nothing|")).toBe("EACCES");
    expect(one.ask("READ", "/local/domain/1/nothing|")).toBe("ENOENT");
    expect(one.ask("WRITE", "/tool/x|")).toBe("EACCES");
    for (const request of ["RM", "DIRECTORY"] as const) expect(one.ask(request, "/|")).toBe("EACCES");
    expect(one.ask("SET_PERMS", "/|n1|")).toBe("EACCES");
  });

  test.each([
    ["n0|r1|", "EACCES read, no write"],
    ["r0|n1|", "none"],
    ["n0|w1|r1|", "write"],
    ["n0|r2|b1|", "both"],
    ["b0|", "both"],
    ["w0|r1|", "read"],
  ])("the first entry for a domain counts: %s", (perms) => {
    const { tools, one } = withDomains();
    tools.ask("WRITE", "/x|v");
    tools.ask("SET_PERMS", `/x|${perms}`);
    const first = perms.split("|").find((entry) => entry.endsWith("1")) ?? perms;
    const letter = first.charAt(0);
    expect(one.ask("READ", "/x|")).toBe("rb".includes(letter) ? "v" : "EACCES");
    expect(one.ask("WRITE", "/x|w")).toBe("wb".includes(letter) ? "OK|" : "EACCES");
    expect(one.ask("SET_PERMS", "/x|n0|b1|")).toBe("EACCES");
  });

  test("what SET_PERMS takes", () => {
    const { tools, one } = withDomains();
    one.ask("WRITE", "d|");
    for (const [payload, answer] of [
      ["/x|", "EINVAL"],
      ["/x|q0|", "EINVAL"],
      ["/x|n|", "EINVAL"],
      ["/x|n0x|", "EINVAL"],
      ["/x|n0|", "ENOENT"],
      ["/tool|n77|", "ENOENT"],
      ["/tool|n0|r77|", "OK|"],
      ["/tool|r0x1|b010|", "OK|"],
    ] as const) {
      expect([payload, tools.ask("SET_PERMS", payload)]).toEqual([payload, answer]);
    }
    expect(tools.ask("GET_PERMS", "/tool|")).toBe("r1|b8|");
    expect(one.ask("SET_PERMS", "d|n2|")).toBe("EPERM");
    expect(one.ask("SET_PERMS", "d|n1|r2|r3|r4|r5|r6|")).toBe("ENOSPC");
    expect(one.ask("SET_PERMS", "d|b1|r2|r3|r4|r5|")).toBe("OK|");
  });

  test("a new domain does not get what the last one with its domid had", () => {
    const { store, tools, one } = withDomains();
    tools.ask("WRITE", "/x|v");
    tools.ask("SET_PERMS", "/x|n0|b1|");
    tools.ask("SET_PERMS", "@releaseDomain|n0|r1|");
    expect(one.ask("READ", "/x|")).toBe("v");
    becomes(store, 1, "gone");
    store.hypervisor.set(1, { shutdown: false, dying: false });
    const again = TestClient.ofDomain(store, 1);
    expect(again.ask("READ", "/x|")).toBe("EACCES");
    expect(tools.ask("GET_PERMS", "/x|")).toBe("n0|b1|");
    tools.ask("WRITE", "/x/below|");
    expect(again.ask("READ", "/x/below|")).toBe("EACCES");
    tools.ask("SET_PERMS", "/x|n0|b1|");
    expect(again.ask("READ", "/x|")).toBe("v");
  });

  test("an entry for a domain that does not exist yet never counts", () => {
    const { store, tools } = withDomains();
    tools.ask("WRITE", "/x|v");
    store.hypervisor.delete(5);
    tools.ask("SET_PERMS", "/x|n0|r5|");
    store.hypervisor.set(5, { shutdown: false, dying: false });
    expect(TestClient.ofDomain(store, 5).ask("READ", "/x|")).toBe("EACCES");
  });

  test("a domain with a target has the target's access, too", () => {
    const { tools, one } = withDomains();
    tools.ask("WRITE", "/local/domain/2/x|v");
    expect(one.ask("READ", "/local/domain/2/x|")).toBe("EACCES");
    expect(tools.ask("SET_TARGET", "1|2|")).toBe("OK|");
    expect(one.ask("READ", "/local/domain/2/x|")).toBe("v");
    expect(tools.ask("SET_TARGET", "1|7|")).toBe("ENOENT");
  });

  test.each(["INTRODUCE", "RELEASE", "RESUME", "SET_TARGET", "IS_DOMAIN_INTRODUCED", "CONTROL"] as const)(
    "%s is not for guests",
    (request) => expect(withDomains().one.ask(request, "1|1|1|")).toBe("EACCES"),
  );
});

describe("events", () => {
  test("nobody hears of a node it may not read", () => {
    const { tools, one, two } = withDomains();
    expect(two.all("WATCH", "/local/domain/1|t|")).toEqual(["WATCH OK|", "WATCH_EVENT /local/domain/1|t|"]);
    one.ask("WRITE", "secret|1");
    one.ask("RM", "secret|");
    expect(two.take()).toEqual([]);
    one.ask("WRITE", "open|1");
    tools.ask("SET_PERMS", "/local/domain/1/open|n1|r2|");
    expect(two.take()).toEqual(["WATCH_EVENT /local/domain/1/open|t|"]);
    tools.ask("SET_PERMS", "/local/domain/1/open|n1|");
    expect(two.take()).toEqual(["WATCH_EVENT /local/domain/1/open|t|"]);
    tools.ask("WRITE", "/local/domain/1/open|2");
    expect(two.take()).toEqual([]);
  });

  test("special events are for whom they are permitted to", () => {
    const { store, tools, one } = withDomains();
    expect(one.all("WATCH", "@introduceDomain|t|")).toHaveLength(2);
    TestClient.ofDomain(store, 3);
    expect(one.take()).toEqual([]);
    tools.ask("SET_PERMS", "@introduceDomain|n0|r1|");
    TestClient.ofDomain(store, 4);
    expect(one.take()).toEqual(["WATCH_EVENT @introduceDomain|t|"]);
    expect(one.ask("SET_PERMS", "@introduceDomain|n1|")).toBe("EACCES");
    expect(tools.ask("SET_PERMS", "@nobody|n0|")).toBe("EINVAL");
  });

  test("a relative watch of a guest", () => {
    const { tools, one } = withDomains();
    one.all("WATCH", "control/shutdown|t|");
    tools.ask("WRITE", "/local/domain/1/control/shutdown|poweroff");
    expect(one.take()).toEqual(["WATCH_EVENT control/shutdown|t|"]);
  });

  test("an event that is not taken in time is dropped", () => {
    const { store, tools, one } = withDomains();
    one.all("WATCH", "a|t|");
    one.all("WATCH", "b|t|");
    for (const name of ["a", "b"]) tools.ask("WRITE", `/local/domain/1/${name}|`);
    one.take();
    const before = accountOf(store.cells, 1).memory;
    tools.ask("WRITE", "/local/domain/1/a|");
    store.now = 5_000_000;
    tools.ask("WRITE", "/local/domain/1/b|");
    store.now = 20_000_000;
    expireEvents(store, 1);
    expect(one.take()).toEqual(["WATCH_EVENT b|t|"]);
    tools.ask("WRITE", "/local/domain/1/a|");
    store.now = 60_000_000;
    expireEvents(store, 1);
    expect(one.take()).toEqual([]);
    expect(accountOf(store.cells, 1).memory).toBe(before);
    expect(must(store.cells, outputType, 1).timedOut).toBe(2);
  });
});

describe("the end of a domain", () => {
  test("a shutdown and a death are announced once each", () => {
    const { store, tools } = withDomains();
    const watcher = new TestClient(store);
    watcher.all("WATCH", "@releaseDomain|t|");
    const event = "WATCH_EVENT @releaseDomain|t|";
    becomes(store, 1, "shutdown");
    domainsChanged(store);
    expect(watcher.take()).toEqual([event]);
    expect(tools.ask("RESUME", "1|")).toBe("OK|");
    domainsChanged(store);
    expect(watcher.take()).toEqual([event]);
    becomes(store, 1, "dying");
    expect(watcher.take()).toEqual([event]);
    expect(store.calls.slice(-1)).toEqual(["release 1"]);
    becomes(store, 1, "gone");
    expect(watcher.take()).toEqual([]);
    expect(tools.ask("IS_DOMAIN_INTRODUCED", "1|")).toBe("F|");
    expect(tools.ask("RELEASE", "1|")).toBe("ENOENT");
  });

  test("two deaths are two events, two shutdowns one", () => {
    const { store } = withDomains();
    const watcher = new TestClient(store);
    watcher.all("WATCH", "@releaseDomain|t|");
    for (const domid of [1, 2]) store.hypervisor.set(domid, { shutdown: true, dying: false });
    domainsChanged(store);
    expect(watcher.take()).toHaveLength(1);
    for (const domid of [1, 2]) store.hypervisor.set(domid, { shutdown: true, dying: true });
    domainsChanged(store);
    expect(watcher.take()).toHaveLength(2);
  });

  test("a domain that was never introduced goes without a word", () => {
    const { store, tools } = withDomains();
    const watcher = new TestClient(store);
    watcher.all("WATCH", "@releaseDomain|t|");
    tools.ask("WRITE", "/x|");
    tools.ask("SET_PERMS", "/x|n3|");
    becomes(store, 3, "gone");
    expect(watcher.take()).toEqual([]);
    expect(tools.ask("READ", "/x|")).toBe("ENOENT");
  });

  test("all it owns goes, wherever it is, in the order of a walk; then its end is announced", () => {
    const { store, tools, one } = withDomains();
    one.ask("WRITE", "a/b|");
    tools.ask("WRITE", "/elsewhere/x/y|");
    tools.ask("SET_PERMS", "/elsewhere/x|n1|");
    tools.ask("WRITE", "/elsewhere/other|");
    const watcher = new TestClient(store);
    for (const path of ["/", "@releaseDomain", "/local/domain/1/a/b"]) watcher.all("WATCH", `${path}|t|`);
    becomes(store, 1, "dying");
    expect(watcher.take()).toEqual([
      "WATCH_EVENT /local/domain/1/a/b|t|",
      "WATCH_EVENT /local/domain/1|t|",
      "WATCH_EVENT /elsewhere/x|t|",
      "WATCH_EVENT @releaseDomain|t|",
    ]);
    expect(tools.ask("DIRECTORY", "/elsewhere|")).toBe("other|");
    expect(tools.ask("DIRECTORY", "/local/domain|")).toBe("2|");
    expect(checkStore(store.cells)).toEqual([]);
  });

  test("one that broke the protocol is announced when it dies, not before", () => {
    const { store, one } = withDomains();
    const watcher = new TestClient(store);
    watcher.all("WATCH", "@releaseDomain|t|");
    one.send("WATCH", "x|t|");
    const tooLong = encode(XS.READ, 1, 0, "");
    tooLong.set([1, 16, 0, 0], 12);
    expect(receive(store, 1, tooLong)).toBe("failed");
    expect(store.calls.slice(-1)).toEqual(["ignored 1 3"]);
    expect(one.take()).toEqual([]);
    expect(mayRead(store.cells, 1)).toBe(false);
    expect(watcher.take()).toEqual([]);
    becomes(store, 1, "dying");
    expect(watcher.take()).toEqual(["WATCH_EVENT @releaseDomain|t|"]);
  });

  test("INTRODUCE again starts the connection afresh", () => {
    const { store, tools, one } = withDomains();
    one.all("WATCH", "x|t|");
    const txId = one.begin();
    one.send("WATCH", "y|t|");
    receive(store, 1, encode(XS.READ, 1, 0, "x").subarray(0, 7));
    expect(tools.ask("INTRODUCE", "1|1|9|")).toBe("OK|");
    expect(store.calls.slice(-2)).toEqual(["rebind 1", "resetRing 1"]);
    expect(one.take()).toEqual([]);
    expect(one.ask("WATCH", "x|t|")).toBe("OK|");
    expect(one.ask("READ", "x|", txId)).toBe("ENOENT");
  });
});

describe("limits of an unprivileged domain", () => {
  test("nodes", () => {
    const { store, one } = withDomains();
    // Its directory is one, and so is each of the nine; a directory may not get too long.
    for (let i = 0; i < 990; i++) expect(one.ask("WRITE", `d${i % 9}/n${i}|`)).toBe("OK|");
    expect(accountOf(store.cells, 1).nodes).toBe(1000);
    expect(one.ask("WRITE", "more|")).toBe("ENOSPC");
    expect(one.ask("WRITE", "d1/n1|still")).toBe("OK|");
    expect(one.ask("RM", "d2/n2|")).toBe("OK|");
    expect(one.ask("WRITE", "a/b|")).toBe("ENOSPC");
    expect(one.ask("DIRECTORY", "a|")).toBe("ENOENT");
    expect(one.ask("WRITE", "more|")).toBe("OK|");
    const txId = one.begin();
    expect(one.ask("RM", "d3/n3|", txId)).toBe("OK|");
    expect(checkStore(store.cells)).toEqual([]);
  });

  test("watches, transactions, sizes", () => {
    const { one, store } = withDomains();
    for (let i = 0; i < 129; i++) expect(one.ask("WATCH", `w|${i}|`)).toBe("OK|");
    expect(one.ask("WATCH", "w|129|")).toBe("E2BIG");
    for (let i = 0; i < 11; i++) expect(one.begin()).toBe(i + 1);
    expect(one.ask("TRANSACTION_START", "|")).toBe("ENOSPC");
    expect(one.ask("WRITE", `v|${"x".repeat(2048 - 32 - 1)}`)).toBe("OK|");
    expect(one.ask("WRITE", `v|${"x".repeat(2048 - 32)}`)).toBe("ENOSPC");
    one.ask("RESET_WATCHES", "|");
    expect(accountOf(store.cells, 1).watches).toBe(0);
    expect(one.begin()).toBe(12);
  });

  test("a directory that is full of names", () => {
    const { one } = withDomains();
    const name = (i: number): string => `d/${String(i).padStart(4, "0")}${"x".repeat(195)}`;
    const answers = Array.from({ length: 12 }, (_, i) => one.ask("MKDIR", `${name(i)}|`));
    expect(answers).toEqual([...Array.from({ length: 10 }, () => "OK|"), "ENOSPC", "ENOSPC"]);
  });

  test("nodes of a transaction", () => {
    const { tools, one } = withDomains();
    tools.ask("CONTROL", "quota|set|transaction-nodes|5|");
    const txId = one.begin();
    for (let i = 0; i < 5; i++) one.ask("READ", `x${i}|`, txId);
    one.ask("WRITE", "y|", txId);
    expect(one.commit(txId)).toBe("ENOMEM");
  });

  test("replies that are not taken stop it from being read", () => {
    const { store, one } = withDomains();
    for (let i = 0; i < 20; i++) one.send("READ", "x|");
    expect(mayRead(store.cells, 1)).toBe(false);
    expect(mayRead(store.cells, 2)).toBe(true);
    expect(one.take()).toHaveLength(20);
    expect(mayRead(store.cells, 1)).toBe(true);
  });

  test("memory: what it writes, watches and leaves in the queue", () => {
    const { store, tools, one } = withDomains();
    tools.ask("CONTROL", "quota|set|memory|3000|");
    expect(one.ask("WRITE", `a|${"x".repeat(1900)}`)).toBe("OK|");
    expect(one.ask("WRITE", `b|${"x".repeat(1000)}`)).toBe("ENOMEM");
    expect(one.ask("WRITE", `a|${"x".repeat(1950)}`)).toBe("OK|");
    const tokens = Array.from({ length: 4 }, (_, i) => String(i).repeat(350));
    expect(tokens.map((token) => one.ask("WATCH", `a|${token}|`))).toEqual([
      "OK|",
      "OK|",
      "ENOMEM",
      "ENOMEM",
    ]);
    for (let i = 0; i < 50; i++) tools.ask("WRITE", `/local/domain/1/a/x${i}|`);
    expect(mayRead(store.cells, 1)).toBe(false);
    one.take();
    tools.ask("RM", "/local/domain/1/a|");
    one.take();
    expect(mayRead(store.cells, 1)).toBe(true);
    expect(checkStore(store.cells)).toEqual([]);
  });

  test("accounts are exact when all is over", () => {
    const { store, tools, one } = withDomains();
    const before = { ...accountOf(store.cells, 1) };
    one.ask("WATCH", "w|t|");
    one.ask("WRITE", "a/b/c|value");
    one.ask("SET_PERMS", "a|n1|r2|");
    const txId = one.begin();
    one.ask("WRITE", "a/d|", txId);
    one.ask("RM", "a/b|", txId);
    expect(one.commit(txId)).toBe("OK|");
    one.ask("UNWATCH", "w|t|");
    one.ask("RM", "a|");
    one.take();
    expect(accountOf(store.cells, 1)).toEqual(before);
    tools.ask("RELEASE", "1|");
    expect(accountOf(store.cells, 1)).toEqual({ nodes: 0, watches: 0, outstanding: 0, memory: 0 });
  });
});

test("a socket that goes leaves nothing", () => {
  const store = testStore();
  const cellsBefore = new TestClient(store).conn;
  const client = new TestClient(store);
  client.all("WATCH", "/|t|");
  const txId = client.begin();
  client.ask("WRITE", "/x|", txId);
  disconnect(store, client.conn);
  const other = new TestClient(store);
  expect(other.conn).toBe(cellsBefore + 1);
  expect(other.all("WRITE", "/y|")).toEqual(["WRITE OK|"]);
  expect(other.ask("READ", "/x|")).toBe("ENOENT");
});

test("version 4.23 announces ends by domid, and to everybody", () => {
  const store = testStore({ version: "4.23" });
  const one = TestClient.ofDomain(store, 1);
  const two = TestClient.ofDomain(store, 2);
  expect(one.ask("GET_PERMS", "@releaseDomain|")).toBe("n0|r32757|");
  one.all("WATCH", "@releaseDomain/2|exact|");
  one.all("WATCH", "@releaseDomain|deep|1|");
  one.all("WATCH", "@releaseDomain|plain|");
  for (const state of ["shutdown", "dying"] as const) {
    becomes(store, 2, state);
    const plain = ["WATCH_EVENT @releaseDomain|plain|"];
    const forms = ["WATCH_EVENT @releaseDomain/2|exact|", "WATCH_EVENT @releaseDomain/2|deep|"];
    // Shutdowns of several domains are one plain event, after all others.
    expect(one.take()).toEqual(state === "dying" ? [...plain, ...forms] : [...forms, ...plain]);
    becomes(store, 2, state);
    expect(one.take()).toEqual([]);
  }
  expect(two.conn).toBe(2);
  const tools = new TestClient(store);
  tools.all("WATCH", "/a|t|1|");
  expect(tools.all("WRITE", "/a/b|")).toHaveLength(2);
  expect(tools.all("WRITE", "/a/b/c|")).toEqual(["WRITE OK|"]);
});
