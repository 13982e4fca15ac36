// SPDX-License-Identifier: Apache-2.0

import {
  chmodSync,
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { checkStore } from "../../core/xenstore/check.ts";
import type { Store, StoreOptions } from "../../core/xenstore/store.ts";
import { encode, XS } from "../../core/xenstore/wire.ts";
import { type XenstoreClient, XenstoreError } from "../../client/index.ts";
import { connectXenstore } from "../xenstore-client.ts";
import { AcceptedDescriptors } from "./accepted-descriptors.ts";
import { serveXenstored, type XenstoredServer } from "./server.ts";
import { standaloneStore } from "./standalone.ts";

let folder: string;
let socketPath: string;
let server: XenstoredServer | undefined;
let store: Store;
const clients: XenstoreClient[] = [];

async function serve(options: StoreOptions = {}, descriptors?: AcceptedDescriptors): Promise<void> {
  server = await serveXenstored({
    socketPath,
    descriptors,
    store: (queued) => (store = standaloneStore(options, queued)),
  });
}

async function client(): Promise<XenstoreClient> {
  const made = await connectXenstore(socketPath);
  clients.push(made);
  return made;
}

/** A client that sends what it likes. */
function rawClient(): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(socketPath, () => resolve(socket)).on("error", reject);
  });
}

function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => void socket.resume().on("close", () => resolve()));
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "xenstored-"));
  chmodSync(folder, 0o700);
  socketPath = join(folder, "socket");
});

afterEach(async () => {
  for (const made of clients.splice(0)) made.close();
  await server?.close();
  server = undefined;
  rmSync(folder, { recursive: true });
});

test("a client reads, writes, lists, watches, and does transactions", async () => {
  await serve();
  const [a, b] = [await client(), await client()];
  const watch = await b.watch("/x");
  await a.write("/x/y", "h\xe4llo");
  expect(await b.read("/x/y")).toBe("h\xe4llo");
  expect(await b.directory("/x")).toEqual(["y"]);
  expect([await a.exists("/x"), await a.exists("/z")]).toEqual([true, false]);
  const paths: string[] = [];
  for await (const { path } of watch) {
    paths.push(path);
    if (path === "/x/y") await a.setPerms("/x", ["n0", "r5"]);
    if (paths.length === 3) break;
  }
  expect(paths).toEqual(["/x", "/x/y", "/x"]);
  expect(await b.getPerms("/x")).toEqual(["n0", "r5"]);
  await watch.close();
  const error = await a.read("/z").catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(XenstoreError);
  expect(error).toMatchObject({ code: "ENOENT", request: "READ", argument: "/z" });
  expect(await a.control("check")).toBe("OK");
  await a.rm("/x");
  expect(await b.directory("/")).toEqual(["tool"]);
});

test("a transaction is tried again until nobody is in its way", async () => {
  await serve();
  const [a, b] = [await client(), await client()];
  await a.write("/counter", "0");
  const increment = (who: XenstoreClient): Promise<void> =>
    who.transaction(async (transaction) => {
      await transaction.write("/counter", String(Number(await transaction.read("/counter")) + 1));
    });
  await Promise.all(Array.from({ length: 40 }, (_, i) => increment(i % 2 === 0 ? a : b)));
  expect(await a.read("/counter")).toBe("40");
  await expect(a.transaction(() => Promise.reject(new Error("no")))).rejects.toThrow("no");
});

/**
 * Finds descriptors although clients are in the same process, where two sockets
 * are new each time: the system lists accepted ones with the path they were accepted at.
 */
class ByPath extends AcceptedDescriptors {
  readonly #known = new Set<string>();

  override accepted(): number | null {
    for (const line of readFileSync("/proc/net/unix", "latin1").split("\n")) {
      const [, , , flags, , , inode, path] = line.trim().split(/\s+/);
      if (path !== socketPath || flags !== "00000000" || this.#known.has(inode as string)) continue;
      this.#known.add(inode as string);
      for (const fd of readdirSync("/proc/self/fd"))
        if (linkOf(fd) === `socket:[${inode}]`) return Number(fd);
    }
    throw new Error("it is not listed");
  }
}

function linkOf(fd: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return "";
  }
}

/** Where the system does not tell how many there are. */
const notTold = new AcceptedDescriptors({
  count: () => 0,
  inode: () => undefined,
  open: () => null,
  close: () => undefined,
});

test("where no second socket can be made clients are read on the server's", async () => {
  const descriptors = new AcceptedDescriptors();
  const file = openSync("/dev/null", "r");
  const accepted = vi.spyOn(descriptors, "accepted").mockReturnValue(file);
  const giveUp = vi.spyOn(descriptors, "giveUp");
  await serve({}, descriptors);
  const a = await client();
  await a.write("/x", "1");
  expect(await a.read("/x")).toBe("1");
  expect([accepted.mock.calls.length, giveUp.mock.calls]).toEqual([1, [[file]]]);
  closeSync(file);
});

describe.each([
  ["known", new ByPath()],
  ["not known", notTold],
])("where descriptors of clients are %s", (_, descriptors) => {
  test("long lists, many requests at once, and clients that come and go", async () => {
    await serve({}, descriptors);
    const a = await client();
    await Promise.all(Array.from({ length: 5000 }, (_, i) => a.write(`/d/child-${i}`, "")));
    expect(await a.directory("/d")).toHaveLength(5000);
    for (let i = 0; i < 20; i++) {
      const other = await connectXenstore(socketPath);
      await other.watch("/d");
      other.close();
    }
    await a.write("/d/child-0", "1");
    expect(await a.read("/d/child-0")).toBe("1");
    expect(checkStore(store.cells)).toEqual([]);
  });

  test("a client that vanishes within a message, or sends nonsense, is only its own problem", async () => {
    await serve({}, descriptors);
    const a = await client();
    const vanishing = await rawClient();
    const message = encode(XS.WRITE, 1, 0, "/never\0value");
    vanishing.write(message.subarray(0, message.length - 1));
    await a.write("/x", "1");
    vanishing.destroy();
    const lying = await rawClient();
    const end = closed(lying);
    const nonsense = encode(XS.READ, 1, 0, "");
    nonsense.set([0xff, 0xff, 0xff, 0x7f], 12);
    lying.write(nonsense);
    await end;
    const halfHeader = await rawClient();
    halfHeader.end(Uint8Array.of(1, 2, 3));
    await closed(halfHeader);
    expect(await a.read("/x")).toBe("1");
    expect(await a.exists("/never")).toBe(false);
  });

  test("a client that does not take its events does not stop the others", async () => {
    await serve({}, descriptors);
    const a = await client();
    const slow = await rawClient();
    slow.pause();
    slow.write(encode(XS.WATCH, 1, 0, "/\0t\0"));
    const value = "x".repeat(1000);
    for (let round = 0; round < 20; round++) {
      await Promise.all(Array.from({ length: 500 }, (_, i) => a.write(`/flood/${round}-${i}`, value)));
    }
    expect(await a.directory("/flood")).toHaveLength(10_000);
    slow.destroy();
  });
});

test("what was answered before the nonsense is still sent", async () => {
  await serve();
  const raw = await rawClient();
  const chunks: Buffer[] = [];
  raw.on("data", (chunk: Buffer) => chunks.push(chunk));
  const nonsense = encode(XS.READ, 2, 0, "");
  nonsense.set([0xff, 0xff, 0xff, 0x7f], 12);
  raw.write(Buffer.concat([encode(XS.READ, 1, 0, "/tool\0"), nonsense]));
  await closed(raw);
  expect(Buffer.concat(chunks)).toEqual(Buffer.from(encode(XS.READ, 1, 0, "")));
});

test("the socket is its owner's only, and goes when the server ends", async () => {
  await serve();
  expect(statSync(socketPath).mode & 0o777).toBe(0o600);
  const a = await client();
  await a.write("/x", "1");
  await server?.close();
  server = undefined;
  expect(existsSync(socketPath)).toBe(false);
  await expect(a.read("/x")).rejects.toThrow(/./);
});

test("what is in the way of the socket", async () => {
  await serve();
  const again = serveXenstored({ socketPath, store: (queued) => standaloneStore({}, queued) });
  await expect(again).rejects.toMatchObject({ code: "SOCKET_IN_USE" });
  const file = join(folder, "file");
  writeFileSync(file, "mine");
  const onFile = serveXenstored({ socketPath: file, store: (queued) => standaloneStore({}, queued) });
  await expect(onFile).rejects.toMatchObject({ code: "SOCKET_NOT_A_SOCKET" });
  const long = join(folder, "x".repeat(108));
  const tooLong = serveXenstored({ socketPath: long, store: (queued) => standaloneStore({}, queued) });
  await expect(tooLong).rejects.toMatchObject({ code: "SOCKET_PATH_TOO_LONG" });
});

/** A server that ends without removing its socket, as a killed one does; `end` ends it. */
async function mortal(): Promise<{ end: () => Promise<void> }> {
  const sockets: Socket[] = [];
  const dead = createServer((socket) => void sockets.push(socket));
  await new Promise<void>((resolve) => void dead.listen(socketPath, resolve));
  return {
    end: async () => {
      const renamed = join(folder, "kept");
      renameSync(socketPath, renamed);
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => void dead.close(() => resolve()));
      renameSync(renamed, socketPath);
    },
  };
}

test("a socket whose server is dying is replaced when it has died", async () => {
  const dying = await mortal();
  const served = serve();
  setTimeout(() => void dying.end(), 50);
  await served;
  expect(await (await client()).directory("/")).toEqual(["tool"]);
});

test("of several that find a dead one's socket one serves, and nobody takes it away again", async () => {
  await (await mortal()).end();
  const starts = Array.from({ length: 4 }, () =>
    serveXenstored({ socketPath, store: (queued) => standaloneStore({}, queued) }),
  );
  const started = await Promise.allSettled(starts);
  const [first, ...more] = started.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
  server = first;
  expect(more).toEqual([]);
  for (const one of started)
    if (one.status === "rejected") expect(one.reason).toMatchObject({ code: "SOCKET_IN_USE" });
  expect(await (await client()).directory("/")).toEqual(["tool"]);
});

test("who was killed while it took a socket's place is not waited for", async () => {
  const lock = `${socketPath}.taking`;
  writeFileSync(lock, "");
  utimesSync(lock, 1, 1);
  await serve();
  expect(existsSync(lock)).toBe(false);
});

test("a socket whose server died is replaced", async () => {
  await (await mortal()).end();
  await serve();
  const a = await client();
  expect(await a.directory("/")).toEqual(["tool"]);
});
