// SPDX-License-Identifier: Apache-2.0
//
// Rules of the protocol, as tables: who asks for what, and what the answer is.
// What C xenstored 4.17 answers was seen with the real one unless a line says
// where it was read.

import { describe, expect, test } from "vitest";
import { checkStore } from "./check.ts";
import { type RequestName, TestClient, testStore } from "./test-client.ts";

type Row = [request: RequestName | number, payload: string, answer: string];

/** Makes one request after the other on a new store. */
function expectAnswers(rows: readonly Row[], client = new TestClient(testStore())): void {
  for (const [request, payload, answer] of rows) {
    expect([request, payload, client.ask(request, payload)]).toEqual([request, payload, answer]);
  }
  expect(checkStore(client.store.cells)).toEqual([]);
}

test("a store has three nodes when it starts", () => {
  expectAnswers([
    ["DIRECTORY", "/|", "tool|"],
    ["DIRECTORY", "/tool|", "xenstored|"],
    ["DIRECTORY", "/tool/xenstored|", ""],
    ["GET_PERMS", "/tool/xenstored|", "n0|"],
    ["READ", "/|", ""],
  ]);
});

describe("nodes", () => {
  test("a write creates a node and what is missing above it", () => {
    expectAnswers([
      ["WRITE", "/a/b/c|1", "OK|"],
      ["READ", "/a/b/c|", "1"],
      ["READ", "/a/b|", ""],
      ["DIRECTORY", "/a|", "b|"],
      ["WRITE", "/a/b/c|", "OK|"],
      ["READ", "/a/b/c|", ""],
      ["DIRECTORY", "/|", "tool|a|"],
    ]);
  });

  test("values are bytes", () =>
    expectAnswers([
      ["WRITE", "/v|\0\xff\r\n x", "OK|"],
      ["READ", "/v|", "|\xff\r\n x"],
    ]));

  test("children keep the order of their creation", () => {
    expectAnswers([
      ["WRITE", "/d/z|", "OK|"],
      ["WRITE", "/d/a|", "OK|"],
      ["WRITE", "/d/m|", "OK|"],
      ["RM", "/d/z|", "OK|"],
      ["MKDIR", "/d/z|", "OK|"],
      ["DIRECTORY", "/d|", "a|m|z|"],
    ]);
  });

  test("making a directory that exists is fine and changes nothing", () => {
    expectAnswers([
      ["WRITE", "/d|value", "OK|"],
      ["MKDIR", "/d|", "OK|"],
      ["READ", "/d|", "value"],
    ]);
  });

  test("removing", () => {
    expectAnswers([
      ["WRITE", "/a/b/c|1", "OK|"],
      ["RM", "/a/b|", "OK|"],
      ["READ", "/a/b/c|", "ENOENT"],
      ["RM", "/a/b|", "OK|"],
      ["RM", "/a/b/c|", "ENOENT"],
      ["RM", "/|", "EINVAL"],
      ["DIRECTORY", "/a|", ""],
    ]);
  });

  test("relative paths of a socket begin at domain 0's directory", () => {
    expectAnswers([
      ["WRITE", "x/y|1", "OK|"],
      ["READ", "/local/domain/0/x/y|", "1"],
      ["READ", "x/y|", "1"],
    ]);
  });

  test.each([
    "",
    "/a//b",
    "/a/",
    "//",
    "/a b",
    "/a.b",
    "/\xe4",
    "/a|b",
    `/${"x".repeat(2048)}`,
    "@releaseDomain",
  ])("%j is no node's path", (path) =>
    expectAnswers([
      ["READ", `${path}|`, "EINVAL"],
      ["MKDIR", `${path}|`, "EINVAL"],
    ]),
  );

  test("the longest paths", () => {
    const name = "x".repeat(2048);
    expectAnswers([
      ["WRITE", `/${name.slice(1)}|1`, "OK|"],
      ["WRITE", `/local/domain/7/${name}|1`, "OK|"],
      ["WRITE", `/local/domain/7/${name}x|1`, "EINVAL"],
      ["WRITE", `${name}|1`, "OK|"],
    ]);
  });

  test("payloads must be what the request takes", () => {
    expectAnswers([
      ["READ", "", "EINVAL"],
      ["READ", "/tool", "EINVAL"],
      ["READ", "/tool||", "EINVAL"],
      ["WRITE", "/tool", "EINVAL"],
      ["DIRECTORY_PART", "/tool|", "EINVAL"],
      ["TRANSACTION_END", "X|", "EINVAL"],
      ["WATCH", "/a|", "EINVAL"],
      ["WATCH", "/a|t|0|", "EINVAL"],
      ["INTRODUCE", "1|1|", "EINVAL"],
      ["INTRODUCE", "1|1|0|", "EINVAL"],
    ]);
  });

  test("unknown requests", () => {
    expectAnswers([
      [15, "|", "ENOSYS"],
      [16, "|", "ENOSYS"],
      [20, "|", "ENOSYS"],
      [23, "|", "ENOSYS"],
      [0xffff, "|", "ENOSYS"],
      [0xffffffff, "|", "ENOSYS"],
      ["READ", "/tool|", ""],
    ]);
  });
});

describe("long lists", () => {
  const client = new TestClient(testStore());
  for (let i = 0; i < 2000; i++) client.ask("WRITE", `/d/name-${i}|`);
  const whole = Array.from({ length: 2000 }, (_, i) => `name-${i}|`).join("");

  test("a list longer than a message is E2BIG", () => expectAnswers([["DIRECTORY", "/d|", "E2BIG"]], client));

  test("it comes in parts, each with the list's generation", () => {
    let list = "";
    const generations = new Set<string>();
    for (;;) {
      const reply = client.ask("DIRECTORY_PART", `/d|${list.length}|`);
      expect(reply.length).toBeLessThanOrEqual(4096);
      const nul = reply.indexOf("|");
      generations.add(reply.slice(0, nul));
      const part = reply.slice(nul + 1);
      if (part.endsWith("||")) {
        list += part.slice(0, -1);
        break;
      }
      list += part;
    }
    expect(list).toBe(whole);
    expect(generations.size).toBe(1);
  });

  test("behind its end there is an empty name", () => {
    expect(client.ask("DIRECTORY_PART", `/d|${whole.length}|`)).toMatch(/^\d+\|\|$/);
    expect(client.ask("DIRECTORY_PART", "/tool/xenstored|0|")).toBe("0||");
  });

  test("the generation is another one as long as the list is another one", () => {
    const generation = (): string => client.ask("DIRECTORY_PART", "/d|0|").split("|")[0] as string;
    const before = generation();
    client.ask("MKDIR", "/d/other|");
    const during = generation();
    client.ask("RM", "/d/other|");
    expect(during).not.toBe(before);
    client.ask("RM", "/d/name-5|");
    client.ask("MKDIR", "/d/name-5|");
    expect(generation()).not.toBe(before);
  });
});

describe("watches", () => {
  test("the order of replies and events", () => {
    const a = new TestClient(testStore());
    expect(a.all("WATCH", "/o|tok|")).toEqual(["WATCH OK|", "WATCH_EVENT /o|tok|"]);
    expect(a.all("WRITE", "/o/a/b/c|1")).toEqual(["WATCH_EVENT /o/a/b/c|tok|", "WRITE OK|"]);
    expect(a.all("MKDIR", "/o/a|")).toEqual(["MKDIR OK|"]);
    expect(a.all("SET_PERMS", "/o/a|n0|r1|")).toEqual(["WATCH_EVENT /o/a|tok|", "SET_PERMS OK|"]);
    a.ask("WRITE", "/o/a/b/d|1");
    a.all("WATCH", "/o/a/b/c|deep|");
    expect(a.all("RM", "/o/a|")).toEqual(["WATCH_EVENT /o/a/b/c|deep|", "WATCH_EVENT /o/a|tok|", "RM OK|"]);
    expect(a.all("RM", "/o/a|")).toEqual(["RM OK|"]);
  });

  test("several watches of one connection fire in the order they were made", () => {
    const a = new TestClient(testStore());
    for (const watch of ["/a/b|1|", "/|2|", "/a|3|", "/a/b|4|"]) a.all("WATCH", watch);
    expect(a.all("WRITE", "/a/b|")).toEqual(
      [1, 2, 3, 4].map((n) => `WATCH_EVENT /a/b|${n}|`).concat("WRITE OK|"),
    );
    a.ask("UNWATCH", "/|2|");
    a.all("WATCH", "/|2|");
    expect(a.all("WRITE", "/a/b|")).toEqual(
      [1, 3, 4, 2].map((n) => `WATCH_EVENT /a/b|${n}|`).concat("WRITE OK|"),
    );
  });

  test("an event that waits already is not sent twice; special ones are", () => {
    const store = testStore();
    const [a, b] = [new TestClient(store), new TestClient(store)];
    b.all("WATCH", "/x|t|");
    b.all("WATCH", "@introduceDomain|i|");
    for (let i = 0; i < 3; i++) a.ask("WRITE", `/x|${i}`);
    a.ask("INTRODUCE", "1|1|1|");
    a.ask("INTRODUCE", "2|1|1|");
    const introduced = "WATCH_EVENT @introduceDomain|i|";
    expect(b.take()).toEqual(["WATCH_EVENT /x|t|", introduced, introduced]);
    a.ask("WRITE", "/x|4");
    expect(b.take()).toEqual(["WATCH_EVENT /x|t|"]);
  });

  test("a relative watch has relative events", () => {
    const a = new TestClient(testStore());
    expect(a.all("WATCH", "backend|t|")).toEqual(["WATCH OK|", "WATCH_EVENT backend|t|"]);
    expect(a.all("WRITE", "/local/domain/0/backend/vbd|")[0]).toBe("WATCH_EVENT backend/vbd|t|");
    expect(a.all("RM", "/local/domain/0/backend|")[0]).toBe("WATCH_EVENT backend|t|");
  });

  test("neighbours and prefixes do not fire", () => {
    const a = new TestClient(testStore());
    a.all("WATCH", "/a/b|t|");
    expect(a.all("WRITE", "/a/bc|")).toEqual(["WRITE OK|"]);
    expect(a.all("WRITE", "/a|")).toEqual(["WRITE OK|"]);
  });

  test("errors", () => {
    expectAnswers([
      ["WATCH", "/a|t|", "OK|"],
      ["WATCH", "/a|t|", "EEXIST"],
      ["WATCH", "/a|u|", "OK|"],
      ["WATCH", "@nobody|t|", "OK|"],
      ["WATCH", "/a//|t|", "EINVAL"],
      ["UNWATCH", "/a|t|", "OK|"],
      ["UNWATCH", "/a|t|", "ENOENT"],
      ["RESET_WATCHES", "|", "OK|"],
      ["UNWATCH", "/a|u|", "ENOENT"],
    ]);
  });

  test("an event longer than a message is dropped", () => {
    const a = new TestClient(testStore());
    const token = "t".repeat(4096 - 4);
    expect(a.all("WATCH", `/|${token}|`)).toHaveLength(2);
    expect(a.all("WRITE", "/abc|")).toEqual(["WRITE OK|"]);
  });

  test("a transaction identifier does not matter", () => {
    const a = new TestClient(testStore());
    expect(a.ask("WATCH", "/a|t|")).toBe("OK|");
    a.send("UNWATCH", "/a|t|", 12345);
    expect(a.take()).toEqual(["UNWATCH OK|"]);
  });
});

describe("CONTROL", () => {
  test("commands", () => {
    const client = new TestClient(testStore());
    expect(client.ask("CONTROL", "help|")).toContain("quota\t[set <name> <val>|<domid>]\n".replace("|", "|"));
    expectAnswers(
      [
        ["CONTROL", "check|", "OK|"],
        ["CONTROL", "check|now|", "EINVAL"],
        ["CONTROL", "nonsense|", "EINVAL"],
        ["CONTROL", "toString|", "EINVAL"],
        ["CONTROL", "quota|set|nodes|10|", "OK|"],
        ["CONTROL", "quota|set|nodes|0|", "EINVAL"],
        ["CONTROL", "quota|set|nonsense|1|", "EINVAL"],
        ["CONTROL", "quota|77|", "ENOENT"],
      ],
      client,
    );
    expect(client.ask("CONTROL", "quota|")).toContain("nodes            :       10 Nodes per domain\n");
  });
});

test("every request and message can be observed", () => {
  const store = testStore();
  const a = new TestClient(store);
  a.all("WATCH", "/a|t|");
  a.all("WRITE", "/a|1");
  expect(
    store.trace.slice(1).map(({ kind, type, body }) => `${kind} ${type} ${body.replaceAll("\0", "|")}`),
  ).toEqual([
    `create-connection -1 `,
    "in 4 /a|t|",
    "out 4 OK|",
    "out 15 /a|t|",
    "in 11 /a|1",
    "out 15 /a|t|",
    "out 11 OK|",
  ]);
});
