// SPDX-License-Identifier: Apache-2.0
//
// What no client would send. `npm run soak` goes on with ten million.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { checkStore } from "../../src/core/xenstore/check.ts";
import { PAYLOAD_MAX, XS } from "../../src/core/xenstore/wire.ts";
import type { Store } from "../../src/core/xenstore/store.ts";
import { TestClient, testStore } from "../../src/core/xenstore/test-client.ts";
import { connectSocket, receive } from "../../src/core/xenstore/store.ts";
import { encode, writeU32 } from "../../src/core/xenstore/wire.ts";
import { serveXenstored } from "../../src/live/xenstored/server.ts";
import { standaloneStore } from "../../src/live/xenstored/standalone.ts";
import { attackBuilt } from "./built.ts";
import { attackPages } from "./pages.ts";
import { attackRing } from "./ring.ts";
import { attackSocket } from "./socket.ts";
import { attackStore } from "./store.ts";

describe("at random", () => {
  for (const seed of [1, 2]) {
    test(`20,000 pieces from sockets and domains, seed ${seed}`, () => {
      const { requests, checks, conversationsEnded } = attackStore(seed, 20_000);
      expect(requests).toBeGreaterThan(5_000);
      expect(conversationsEnded).toBeGreaterThan(100);
      expect(checks).toBeGreaterThan(200);
    });
  }

  test("10,000 pieces in a ring", () => {
    expect(attackRing(1, 10_000).connectionsLost).toBeGreaterThan(50);
  });

  for (const seed of [2, 173]) {
    test(`150 pieces to a host's shared memory, store and files, seed ${seed}`, () => {
      const { kinds } = attackPages(seed, 150);
      expect(Object.keys(kinds)).toHaveLength(7);
    });
  }

  test("12 domains that were built wrong, or whose suspended kernel was written over", () => {
    const { started, resumed } = attackBuilt(4, 12);
    expect(started).toBeGreaterThan(6);
    expect(resumed).toBeGreaterThan(3);
  });

  test("3,000 pieces to the daemon's socket", async () => {
    const folder = mkdtempSync(join(tmpdir(), "xenstored-fuzz-"));
    let store: Store | undefined;
    const server = await serveXenstored({
      socketPath: join(folder, "socket"),
      store: (queued) => (store = standaloneStore({}, queued)),
    });
    expect(await attackSocket(server.socketPath, 1, 3_000)).toBeGreaterThan(10);
    expect(store && checkStore(store.cells)).toEqual([]);
    await server.close();
    rmSync(folder, { recursive: true });
  });
});

/** Lengths a header may name, and whether the conversation goes on. */
const lengths: readonly (readonly [length: number, goesOn: boolean])[] = [
  [0, true],
  [PAYLOAD_MAX, true],
  [PAYLOAD_MAX + 1, false],
  [0x7fff_ffff, false],
  [0x8000_0000, false],
  [0xffff_ffff, false],
];

describe("by name", () => {
  for (const [length, goesOn] of lengths) {
    test(`a length of ${length} ${goesOn ? "is waited for" : "ends the conversation at the header"}`, () => {
      const store = testStore();
      const message = encode(XS.READ, 1, 0, "");
      writeU32(message, 12, length);
      expect(receive(store, connectSocket(store), message)).toBe(goesOn ? "open" : "failed");
    });
  }

  const bodies: readonly (readonly [request: keyof typeof XS, body: string, answer: string])[] = [
    ["WRITE", "/a/\xc3\xa9|v", "EINVAL"],
    ["WRITE", "/a/\xff\xfe|v", "EINVAL"],
    ["WRITE", "/a|\0\xff\xfe\0", "OK|"],
    ["READ", "/a\0b|", "EINVAL"],
    ["READ", "/a", "EINVAL"],
    ["READ", "", "EINVAL"],
    ["MKDIR", "/a||", "EINVAL"],
    ["WATCH", "/a|", "EINVAL"],
    ["WATCH", "/a|\xff\xfe|", "OK|"],
    ["SET_PERMS", "/a|", "EINVAL"],
    ["TRANSACTION_END", "T", "EINVAL"],
    ["RELEASE", "4294967297|", "ENOENT"],
    ["INTRODUCE", "1|1|", "EINVAL"],
    ["DIRECTORY_PART", "/|2147483648|", ""],
  ];
  for (const [request, body, answer] of bodies) {
    test(`${request} ${JSON.stringify(body)}: ${answer}`, () => {
      const client = new TestClient(testStore());
      const found = client.ask(request, body);
      expect(request === "DIRECTORY_PART" ? found.replace(/^\d+\|\|$/, "") : found).toBe(answer);
    });
  }

  test("a domain that owned the root dies: the root is domain 0's, and a new domain has nothing of it", () => {
    const store = testStore();
    const toolstack = new TestClient(store);
    const first = TestClient.ofDomain(store, 1);
    toolstack.ask("SET_PERMS", "/|n1|r2|");
    expect(first.ask("WRITE", "/a|1")).toBe("OK|");
    toolstack.ask("RELEASE", "1|");
    expect(toolstack.ask("GET_PERMS", "/|")).toBe("n0|r2|");
    expect(TestClient.ofDomain(store, 1).ask("WRITE", "/b|1")).toBe("EACCES");
    expect(toolstack.ask("DIRECTORY", "/|")).toBe("tool|");
    expect(checkStore(store.cells)).toEqual([]);
  });
});
