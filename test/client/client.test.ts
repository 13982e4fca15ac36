// SPDX-License-Identifier: Apache-2.0

import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Store, storeTotals } from "../../src/core/xenstore/store.ts";
import { serveXenstored, type XenstoredServer } from "../../src/live/xenstored/server.ts";
import { standaloneStore, type StandaloneOptions } from "../../src/live/xenstored/standalone.ts";
import { encode, XS } from "../../src/core/xenstore/wire.ts";
import {
  connect,
  type ConnectOptions,
  type WatchEvent,
  type XenstoreClient,
  XenstoreConnectionError,
  XenstoreError,
} from "../../src/client/index.ts";

let folder: string;
let path: string;
let server: XenstoredServer | undefined;
const clients: XenstoreClient[] = [];

async function serve(options: StandaloneOptions = {}): Promise<void> {
  server = await serveXenstored({ socketPath: path, store: (queued) => standaloneStore(options, queued) });
}

async function open(options: ConnectOptions = {}): Promise<XenstoreClient> {
  const client = await connect({ path, ...options });
  clients.push(client);
  return client;
}

/** The first events of a watch. */
async function first(count: number, events: AsyncIterable<WatchEvent>): Promise<string[]> {
  const paths: string[] = [];
  for await (const event of events) {
    paths.push(event.path);
    if (paths.length === count) break;
  }
  return paths;
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "xenstore-client-"));
  path = join(folder, "socket");
});

afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await server?.close();
  server = undefined;
  rmSync(folder, { recursive: true, force: true });
});

test("strings are UTF-8 or latin1, bytes are bytes", async () => {
  await serve();
  const [utf8, latin1] = [await open(), await open({ encoding: "latin1" })];
  await utf8.write("/v", "grün ✓");
  expect(await utf8.read("/v")).toBe("grün ✓");
  expect(await latin1.read("/v")).toBe(Buffer.from("grün ✓").toString("latin1"));
  const bytes = Uint8Array.of(0, 255, 128, 0);
  await utf8.write(Buffer.from("/v"), bytes);
  expect(await utf8.readBytes("/v")).toEqual(Buffer.from(bytes));
});

test("what cannot be sent is refused here, with the wire's names", async () => {
  await serve();
  const client = await open();
  await expect(client.read("/a\0b")).rejects.toMatchObject({ code: "EINVAL", request: "READ" });
  await expect(client.write("/a", "x".repeat(4094))).rejects.toMatchObject({ code: "E2BIG", argument: "/a" });
  await client.write("/a", "x".repeat(4093));
  await expect(client.read("/b")).rejects.toThrow("READ /b: ENOENT");
  await expect(client.read("/b")).rejects.toBeInstanceOf(XenstoreError);
});

test("domains, features and quotas", async () => {
  await serve({ version: "4.23" });
  const client = await open();
  expect(await client.getFeature()).toBe(14);
  await client.setFeature(3, 2);
  expect(await client.getFeature(3)).toBe(2);
  await client.introduce(3, 1, 1);
  expect([await client.isDomainIntroduced(3), await client.isDomainIntroduced(4)]).toEqual([true, false]);
  expect(await client.getDomainPath(3)).toBe("/local/domain/3");
  await client.resume(3);
  expect(await client.getQuotaNames()).toContain("nodes");
  await client.setQuota("nodes", 77, 3);
  expect([await client.getQuota("nodes", 3), await client.getQuota("nodes")]).toEqual([77, 1000]);
  await client.introduce(4, 1, 1);
  await client.setTarget(4, 3);
  await client.release(3);
  expect(await client.control("check")).toBe("OK");
});

test("a watch with a depth and a token of its own", async () => {
  await serve({ version: "4.23" });
  const client = await open();
  const watch = await client.watch("/d", { token: "mine", depth: 1 });
  expect(watch.token).toBe("mine");
  await expect(client.watch("/e", { token: "mine" })).rejects.toMatchObject({ code: "EEXIST" });
  for (const node of ["/d/a/b", "/d/a", "/d/end"]) await client.write(node, "1");
  expect(await first(3, watch)).toEqual(["/d", "/d/a", "/d/end"]);
  // Leaving the loop was the end of the watch.
  const again = await client.watch("/d", { token: "mine" });
  await again.close();
  expect(await first(9, again)).toEqual(["/d"]);
});

test("a slow reader has each path once, and one event in place of too many", async () => {
  await serve();
  const [reader, writer] = [await open(), await open()];
  const watch = await reader.watch("/r", { token: "t", eventsMax: 3 });
  const events = watch[Symbol.asyncIterator]();
  const take = async (): Promise<WatchEvent | undefined> => (await events.next()).value ?? undefined;
  /** What was written before has come when the reader has an answer. */
  const write = async (...names: string[]): Promise<void> => {
    for (const name of names) await writer.write(`/r/${name}`, name);
    await reader.exists("/r");
  };
  expect(await take()).toEqual({ path: "/r", token: "t" });
  await write("a", "b", "a", "a");
  expect([await take(), await take()].map((event) => event?.path)).toEqual(["/r/a", "/r/b"]);
  await write("a", "b", "c", "d", "e");
  expect(await take()).toEqual({ path: "/r", token: "t", rescan: true });
  await write("f");
  expect(await take()).toEqual({ path: "/r/f", token: "t" });
  await watch.close();
  expect(await take()).toBeUndefined();
  await expect(reader.watch("/r", { eventsMax: 0 })).rejects.toThrow(RangeError);
});

test("waiting for a value", async () => {
  await serve();
  const [a, b] = [await open(), await open()];
  const waited = a.waitFor("/state", (value) => value === "4");
  for (const value of ["1", "2", "4"]) await b.write("/state", value);
  expect(await waited).toBe("4");
  expect(await a.waitFor("/state")).toBe("4");
  const controller = new AbortController();
  const never = a.waitFor("/never", undefined, { signal: controller.signal });
  setTimeout(() => controller.abort(new Error("enough")), 20);
  await expect(never).rejects.toThrow("enough");
});

test("a signal ends a request, a watch, a transaction, and nothing else", async () => {
  await serve();
  const client = await open();
  const controller = new AbortController();
  const { signal } = controller;
  const watch = await client.watch("/w", { signal });
  const reading = client.read("/tool", { signal });
  controller.abort(new Error("enough"));
  await expect(reading).rejects.toThrow("enough");
  await expect(first(2, watch)).rejects.toThrow("enough");
  await expect(client.read("/tool", { signal })).rejects.toThrow("enough");
  await expect(client.transaction((t) => t.write("/x", "1"), { signal })).rejects.toThrow("enough");
  await expect(connect({ path, signal })).rejects.toThrow("enough");
  expect([await client.read("/tool"), await client.exists("/x")]).toEqual(["", false]);
});

test("what is aborted under way leaves nothing with xenstored", async () => {
  let store: Store | undefined;
  server = await serveXenstored({
    socketPath: path,
    store: (queued) => (store = standaloneStore({}, queued)),
  });
  const client = await open();
  const controller = new AbortController();
  const { signal } = controller;
  const begun = client.begin({ signal });
  const watched = client.watch("/w", { signal, token: "w" });
  // Some turns later both are sent, and cannot be answered yet.
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
  controller.abort(new Error("enough"));
  await expect(begun).rejects.toThrow("enough");
  await expect(watched).rejects.toThrow("enough");
  // The first answer comes behind that to `begin`, the second behind that to its abort.
  for (const value of ["1", "2"]) await client.write("/x", value);
  expect(storeTotals((store as Store).cells)).toMatchObject({ transactions: 0, watches: 0, messages: 0 });
  await (await client.watch("/w", { token: "w" })).close();
});

test("two watches that are asked for at once do not share a token", async () => {
  await serve();
  const client = await open();
  const [mine, other] = await Promise.allSettled([
    client.watch("/a", { token: "t" }),
    client.watch("/b", { token: "t" }),
  ]);
  expect([mine.status, other.status]).toEqual(["fulfilled", "rejected"]);
  expect(other).toMatchObject({ reason: { code: "EEXIST", argument: "/b" } });
});

test("a transaction is aborted where its work throws, and tried again where others interfere", async () => {
  await serve();
  const [a, b] = [await open(), await open()];
  await expect(
    a.transaction(async (t) => {
      await t.write("/x", "1");
      throw new Error("no");
    }),
  ).rejects.toThrow("no");
  expect(await a.exists("/x")).toBe(false);
  await a.write("/n", "0");
  let tries = 0;
  const work = a.transaction(async (t) => {
    const value = Number(await t.read("/n"));
    if (++tries < 6) await b.write("/n", String(value + 10));
    await t.write("/n", String(value + 1));
  });
  await work;
  expect([tries, await a.read("/n")]).toEqual([6, "51"]);
  const stubborn = a.transaction(
    async (t) => {
      await b.write("/n", `${await t.read("/n")}0`);
      await t.write("/n", "8");
    },
    { attemptsMax: 2 },
  );
  await expect(stubborn).rejects.toMatchObject({ code: "EAGAIN" });
});

test("a daemon that comes back: what was under way is rejected, what comes waits, watches are there", async () => {
  await serve();
  const client = await open({ reconnect: { delayMs: 5 } });
  const watch = await client.watch("/w");
  await client.write("/w/a", "1");
  const events = watch[Symbol.asyncIterator]();
  expect([(await events.next()).value, (await events.next()).value]).toMatchObject([
    { path: "/w" },
    { path: "/w/a" },
  ]);
  const transaction = await client.begin();
  await server?.close();
  await expect(transaction.read("/w")).rejects.toMatchObject({ code: "XENSTORE_LOST" });
  const waiting = client.write("/w/b", "2");
  await serve();
  await waiting;
  expect([(await events.next()).value, (await events.next()).value]).toMatchObject([
    { path: "/w" },
    { path: "/w/b" },
  ]);
  expect(await client.exists("/w/a")).toBe(false);
  await client.transaction((t) => t.write("/w/c", "3"));
  expect(await client.read("/w/c")).toBe("3");
});

test("a daemon that goes as a transaction begins: the next one has it", async () => {
  const leaving = await impostor((socket) => socket.destroy());
  const client = await open({ reconnect: { delayMs: 5 } });
  const work = client.transaction((t) => t.write("/x", "1"));
  await new Promise((resolve) => void leaving.close(resolve));
  await serve();
  await work;
  expect(await client.read("/x")).toBe("1");
});

test("a daemon that does not come back is given up, and who waits is told", async () => {
  await serve();
  const client = await open({ reconnect: { delayMs: 1, giveUpMs: 30 } });
  const watch = await client.watch("/w");
  await server?.close();
  server = undefined;
  await expect(first(2, watch)).rejects.toBeInstanceOf(XenstoreConnectionError);
  await expect(client.read("/w")).rejects.toMatchObject({ code: "XENSTORE_GONE" });
  await expect(client.read("/w")).rejects.toThrow(/nobody has answered at .* for 0 s/);
});

test("without reconnecting the first loss is the last", async () => {
  await serve();
  const client = await open({ reconnect: false });
  await server?.close();
  server = undefined;
  await expect(client.read("/")).rejects.toMatchObject({ code: "XENSTORE_LOST" });
});

test("after close everything ends", async () => {
  await serve();
  const client = await open();
  const watch = await client.watch("/w");
  const reading = client.read("/tool");
  client.close();
  await expect(reading).rejects.toMatchObject({ code: "XENSTORE_CLOSED" });
  await expect(client.read("/tool")).rejects.toMatchObject({ code: "XENSTORE_CLOSED" });
  expect(await first(9, watch)).toEqual(["/w"]);
});

test("nobody there", async () => {
  await expect(connect(path)).rejects.toMatchObject({ code: "ENOENT" });
});

/** A server that answers with whatever it likes. */
function impostor(answer: (socket: Socket) => void): Promise<Server> {
  return new Promise((resolve) => {
    const made = createServer((socket) => void socket.once("data", () => answer(socket)));
    made.listen(path, () => resolve(made));
  });
}

test.each<[string, (client: XenstoreClient) => Promise<unknown>]>([
  ["read", (client) => client.read("/none")],
  ["readBytes", (client) => client.readBytes("/none")],
  ["directory", (client) => client.directory("/none")],
  ["write", (client) => client.write("/bad//path", "x")],
  ["setPerms", (client) => client.setPerms("/none", ["n0"])],
  ["watch", (client) => client.watch("/bad//path")],
  ["release", (client) => client.release(99)],
  ["transaction", (client) => client.transaction((transaction) => transaction.read("/none"))],
])("the error of a refused %s tells who asked", async (_request, ask) => {
  await serve();
  const client = await open();
  async function somethingOfAUsers(): Promise<void> {
    await ask(client);
  }
  const error = await somethingOfAUsers().catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(XenstoreError);
  expect((error as Error).stack).toMatch(
    /^XenstoreError: \w+ .*: E\w+\n[^]* at (?:async )?somethingOfAUsers /,
  );
});

test("an impostor's nonsense ends the connection; answers nobody asked for are left alone", async () => {
  const nonsense = await impostor((socket) => socket.write(Buffer.alloc(16, 0xff)));
  const client = await open();
  await expect(client.read("/")).rejects.toMatchObject({ code: "XENSTORE_PROTOCOL" });
  await new Promise((resolve) => void nonsense.close(resolve));
  const chatty = await impostor((socket) => {
    const answers = [
      encode(XS.READ, 99, 0, "not this"),
      encode(XS.WATCH_EVENT, 0, 0, "/none\0token\0"),
      encode(XS.READ, 1, 0, "this"),
    ];
    socket.write(Buffer.concat(answers).subarray(0, 30));
    setTimeout(() => socket.write(Buffer.concat(answers).subarray(30)), 5);
  });
  const other = await open();
  expect(await other.read("/")).toBe("this");
  other.close();
  await new Promise((resolve) => void chatty.close(resolve));
});
