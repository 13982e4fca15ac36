// SPDX-License-Identifier: Apache-2.0

import { describe, expect, test } from "vitest";
import { domainAccounts, storeTotals } from "./store.ts";
import { TestClient, testStore } from "./test-client.ts";

const newest = { version: "4.23" } as const;

describe("features and quotas of a domain (4.23)", () => {
  test("not there before", () => {
    const client = new TestClient(testStore());
    for (const request of ["GET_FEATURE", "SET_FEATURE", "GET_QUOTA", "SET_QUOTA"] as const)
      expect(client.ask(request, "")).toBe("ENOSYS");
  });

  test.each([
    ["GET_FEATURE", "", "14|"],
    ["GET_FEATURE", "1|", "14|"],
    ["GET_FEATURE", "99|", "ENOENT"],
    ["GET_FEATURE", "x|", "EINVAL"],
    ["GET_FEATURE", "1|2|", "EINVAL"],
    ["SET_FEATURE", "1|16|", "EINVAL"],
    ["SET_FEATURE", "1|1|", "EINVAL"],
    ["SET_FEATURE", "1|", "EINVAL"],
    ["SET_FEATURE", "0|2|", "EBUSY"],
    [
      "GET_QUOTA",
      "",
      "nodes watches outstanding memory soft-memory transactions transaction-nodes " +
        "node-permissions path-max node-size|",
    ],
    ["GET_QUOTA", "nodes|", "1000|"],
    ["GET_QUOTA", "soft-memory|", "2097152|"],
    ["GET_QUOTA", "soft-nodes|", "EINVAL"],
    ["GET_QUOTA", "permissions|", "EINVAL"],
    ["GET_QUOTA", "1|nodes|", "1000|"],
    ["GET_QUOTA", "99|nodes|", "ENOENT"],
    ["GET_QUOTA", "1|nodes|x|", "EINVAL"],
    ["SET_QUOTA", "nodes|", "EINVAL"],
    ["SET_QUOTA", "nodes|-1|", "EINVAL"],
    ["SET_QUOTA", "99|nodes|5|", "ENOENT"],
    ["SET_QUOTA", "65536|nodes|5|", "EINVAL"],
  ] as const)("%s %s", (request, payload, answer) => {
    expect(new TestClient(testStore(newest)).ask(request, payload)).toBe(answer);
  });

  test("a guest may ask for its own features only, and for no quota", () => {
    const guest = TestClient.ofDomain(testStore(newest), 1);
    expect(guest.ask("GET_FEATURE", "")).toBe("14|");
    expect(guest.ask("GET_FEATURE", "1|")).toBe("EACCES");
    for (const request of ["SET_FEATURE", "GET_QUOTA", "SET_QUOTA"] as const)
      expect(guest.ask(request, "1|1|")).toBe("EACCES");
  });

  test("a domain without the watch depth feature cannot use it", () => {
    const store = testStore(newest);
    const toolstack = new TestClient(store);
    expect(toolstack.ask("SET_FEATURE", "1|2|")).toBe("OK|");
    const guest = TestClient.ofDomain(store, 1);
    expect(guest.ask("GET_FEATURE", "")).toBe("2|");
    expect(guest.ask("WATCH", "/x|t|1|")).toBe("EINVAL");
    expect(toolstack.ask("WATCH", "/x|t|1|")).toBe("OK|");
  });

  test("a quota for all is for domains yet to come", () => {
    const store = testStore(newest);
    const toolstack = new TestClient(store);
    TestClient.ofDomain(store, 1);
    expect(toolstack.ask("SET_QUOTA", "watches|3|")).toBe("OK|");
    const late = TestClient.ofDomain(store, 2);
    expect(toolstack.ask("GET_QUOTA", "1|watches|")).toBe("128|");
    expect(toolstack.ask("GET_QUOTA", "2|watches|")).toBe("3|");
    const answers = ["a", "b", "c"].map((token) => late.ask("WATCH", `/x|${token}|`));
    expect(answers).toEqual(["OK|", "OK|", "ENOSPC"]);
    expect(toolstack.ask("SET_QUOTA", "2|watches|0|")).toBe("OK|");
    for (let i = 0; i < 200; i++) expect(late.ask("WATCH", `/x|w${i}|`)).toBe("OK|");
  });

  test("they go with the domain", () => {
    const store = testStore(newest);
    const toolstack = new TestClient(store);
    TestClient.ofDomain(store, 1);
    toolstack.ask("SET_QUOTA", "1|nodes|7|");
    toolstack.ask("RELEASE", "1|");
    expect(toolstack.ask("GET_QUOTA", "1|nodes|")).toBe("1000|");
  });
});

describe("special watches are nodes (4.23)", () => {
  test("SET_PERMS is told to whom it is for, before and after", () => {
    const store = testStore(newest);
    const toolstack = new TestClient(store);
    const guest = TestClient.ofDomain(store, 1);
    guest.all("WATCH", "@introduceDomain|t|");
    expect(guest.ask("GET_PERMS", "@introduceDomain|")).toBe("EACCES");
    expect(toolstack.ask("SET_PERMS", "@introduceDomain|n0|r1|")).toBe("OK|");
    expect(guest.take()).toEqual(["WATCH_EVENT @introduceDomain|t|"]);
    expect(toolstack.ask("SET_PERMS", "@introduceDomain|n0|")).toBe("OK|");
    expect(guest.take()).toEqual(["WATCH_EVENT @introduceDomain|t|"]);
    expect(toolstack.ask("SET_PERMS", "@introduceDomain|n0|")).toBe("OK|");
    expect(guest.take()).toEqual([]);
    expect(toolstack.ask("GET_PERMS", "@none|")).toBe("ENOENT");
    expect(guest.ask("GET_PERMS", "@none|")).toBe("EACCES");
    expect(guest.ask("GET_PERMS", "@a//b|")).toBe("EINVAL");
  });

  test("an introduction is told plainly, then by domid", () => {
    const store = testStore(newest);
    const toolstack = new TestClient(store);
    toolstack.all("WATCH", "@introduceDomain|plain|");
    toolstack.all("WATCH", "@introduceDomain/1|one|");
    toolstack.all("WATCH", "@introduceDomain|deep|1|");
    toolstack.all("WATCH", "@introduceDomain|none|0|");
    expect(toolstack.all("INTRODUCE", "1|1|1|")).toEqual([
      "WATCH_EVENT @introduceDomain|plain|",
      "WATCH_EVENT @introduceDomain/1|one|",
      "WATCH_EVENT @introduceDomain/1|deep|",
      "INTRODUCE OK|",
    ]);
  });
});

describe("CONTROL", () => {
  test.each([
    ["4.17", "check|", "OK|"],
    ["4.17", "check|x|", "EINVAL"],
    ["4.17", "log|", "EINVAL"],
    ["4.17", "log|on|", "OK|"],
    ["4.17", "log|+io|", "EINVAL"],
    [
      "4.23",
      "log|",
      "Log switch settings:\nobj     : on\nio      : on\nwrl     : off\nacc     : off\ntdb     : off\n|",
    ],
    ["4.23", "log|+acc|", "OK|"],
    ["4.23", "log|+nonsense|", "EINVAL"],
    ["4.17", "logfile|/x|", "EINVAL"],
    ["4.17", "memreport|", "EINVAL"],
    ["4.17", "print|hello|", "OK|"],
    ["4.17", "quota|99|", "ENOENT"],
    ["4.17", "quota|set|node-permissions|9|", "EINVAL"],
    ["4.23", "quota|set|node-permissions|9|", "OK|"],
    ["4.23", "quota|set|nodes|0|", "EINVAL"],
    ["4.23", "quota|max|-x|", "EINVAL"],
    ["4.17", "nonsense|", "EINVAL"],
    ["4.17", "", "EINVAL"],
  ] as const)("of %s: %s", (version, payload, answer) => {
    expect(new TestClient(testStore({ version })).ask("CONTROL", payload)).toBe(answer);
  });

  test("quota of a domain, and the most that was seen", () => {
    const store = testStore(newest);
    const toolstack = new TestClient(store);
    const guest = TestClient.ofDomain(store, 1);
    toolstack.ask("WRITE", "/g|x");
    toolstack.ask("SET_PERMS", "/g|n1|");
    guest.ask("WRITE", "/g/a/b|x");
    guest.ask("RM", "/g/a|");
    const lines = toolstack.ask("CONTROL", "quota|1|").split("\n");
    expect(lines[0]).toBe("Domain 1:");
    expect(lines[1]).toBe("nodes            :        1 (max        3)");
    expect(lines[6]).toBe("transaction-nodes:        0 (max        0)");
    expect(toolstack.ask("CONTROL", "quota|max|").split("\n")[1]).toBe("nodes            :        3");
    expect(toolstack.ask("CONTROL", "quota|max|-r|").split("\n")[1]).toBe("nodes            :        0");
  });

  test("quota of domain 0 is what it holds", () => {
    const toolstack = new TestClient(testStore());
    toolstack.ask("WRITE", "/a|x");
    expect(toolstack.ask("CONTROL", "quota|0|").split("\n")[1]).toBe("nodes           :        4");
  });
});

test("domain accounts say who is near which limit, and why one is not served", () => {
  const store = testStore();
  const toolstack = new TestClient(store);
  const guest = TestClient.ofDomain(store, 2);
  toolstack.ask("CONTROL", "quota|set|outstanding|2|");
  guest.send("READ", "/none|");
  guest.send("READ", "/none|");
  const [zero, two] = domainAccounts(store.cells);
  expect(zero).toMatchObject({ domid: 0, privileged: true, limits: { nodes: 0 }, stalled: null });
  expect(two).toMatchObject({
    domid: 2,
    introduced: true,
    held: { outstanding: 2 },
    limits: { outstanding: 2, nodes: 1000 },
    stalled: "outstanding",
  });
  expect(storeTotals(store.cells)).toEqual({
    nodes: 3,
    connections: 4,
    watches: 0,
    transactions: 0,
    messages: 2,
    messageBytes: 2 * (16 + "ENOENT|".length),
  });
  guest.take();
  expect(domainAccounts(store.cells)[1]?.stalled).toBeNull();
});
