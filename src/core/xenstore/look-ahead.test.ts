// SPDX-License-Identifier: Apache-2.0

import { expect, test } from "vitest";
import { lookAhead } from "./look-ahead.ts";
import { addNode, addRoot } from "./node.ts";
import { connectSocket, outputLength, receive, takeOutput } from "./store.ts";
import { StoreCells } from "./store-cells.ts";
import { testStore } from "./test-client.ts";
import { encode, parse, readLatin1, XS } from "./wire.ts";
import { addSettings } from "./quota.ts";
import { versionTraits } from "./version.ts";

const NODES = 9000;
const path = (at: number): string => `/n/${at}`;

test("requests that come together in a large tree are answered as if they came alone", () => {
  const store = testStore({});
  addNode(store.cells, "/n", "", "n0");
  for (let at = 0; at < NODES; at++) addNode(store.cells, path(at), `value ${at}`, "n0");
  const conn = connectSocket(store);
  const asked: Uint8Array[] = [];
  const expected: string[] = [];
  const ask = (type: number, body: string, reply: string): void => {
    asked.push(encode(type, asked.length, 0, body));
    expected.push(reply);
  };
  for (let at = 0; at < 100; at++) {
    const node = (at * 7919) % NODES;
    ask(XS.READ, `${path(node)}\0`, `value ${node}`);
    ask(XS.WRITE, `${path(node)}\0${"x".repeat(at)}`, "OK\0");
    ask(XS.READ, `${path(node)}\0`, "x".repeat(at));
    ask(XS.RM, `${path(node)}\0`, "OK\0");
    ask(XS.READ, `${path(node)}\0`, "ENOENT\0");
    ask(XS.READ, path(node), "EINVAL\0");
    ask(XS.READ, "", "EINVAL\0");
    ask(XS.GET_DOMAIN_PATH, "0\0", "/local/domain/0\0");
  }
  receive(store, conn, Buffer.concat(asked));
  const bytes = new Uint8Array(outputLength(store.cells, conn));
  takeOutput(store, conn, bytes, 0, bytes.length);
  const replies: string[] = [];
  for (let at = 0; at < bytes.length;) {
    const parsed = parse(bytes, at);
    if (parsed.state !== "packet") throw new Error("a reply that is not a message");
    replies.push(readLatin1(bytes, parsed.start, parsed.end));
    at = parsed.end;
  }
  expect(replies).toEqual(expected);
});

test("what is no request ends the looking", () => {
  const cells = new StoreCells();
  const { limits, features } = versionTraits("4.17");
  const none = { privDomid: 0, eventTimeout: 0, writeRate: 0 };
  addSettings(cells, { version: "4.17", conflicts: "observed", ...none, limits, features });
  addRoot(cells, "n0");
  addNode(cells, "/n", "", "n0");
  for (let at = 0; at < NODES; at++) addNode(cells, path(at), "", "n0");
  const request = encode(XS.READ, 0, 0, "/n/1\0");
  const good = Buffer.concat([request, request]);
  const lies = Buffer.from(good);
  lies.writeUInt32LE(5000, request.length + 12);
  const all = Buffer.concat(Array.from({ length: 100 }, () => request));
  const end = (bytes: Uint8Array, until = bytes.length): number => lookAhead(cells, bytes, 0, until);
  expect(end(good)).toBe(good.length);
  expect(end(lies)).toBe(request.length);
  expect(end(good, good.length - 1)).toBe(good.length);
  expect(end(good, request.length + 3)).toBe(request.length);
  expect(end(all)).toBe(64 * request.length);
});
