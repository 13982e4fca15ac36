// SPDX-License-Identifier: Apache-2.0

import { closeSync, fstatSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { AcceptedDescriptors } from "./accepted-descriptors.ts";
import { ClientSocket, SharedBuffers } from "./client-socket.ts";

let folder: string;
let server: Server;
let peer: Socket;
let client: ClientSocket;
let buffers: SharedBuffers;
let drained = 0;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "xenolith-client-"));
  const path = join(folder, "socket");
  drained = 0;
  server = createServer({ pauseOnConnect: true }).listen(path);
  await new Promise((resolve) => server.once("listening", resolve));
  peer = connect(path);
  peer.pause();
  // The peer's is here, too: it has to be known before the other end's is looked for.
  buffers = new SharedBuffers(new AcceptedDescriptors());
  await new Promise<void>((resolve) => {
    server.once("connection", (socket) => {
      const events = { received: () => undefined, drained: () => void drained++, closed: () => undefined };
      client = new ClientSocket(socket, buffers, events);
      resolve();
    });
  });
});

afterEach(() => {
  client.destroy();
  peer.destroy();
  server.close();
  rmSync(folder, { recursive: true });
});

/** Writes pieces of so many bytes, numbered; returns whether it took more after the last. */
function write(...lengths: number[]): boolean {
  let takesMore = true;
  for (const [number, length] of lengths.entries()) {
    const buffer = buffers.toWrite(length);
    buffer.fill(number + 1, 0, length);
    takesMore = client.write(buffer, length);
  }
  return takesMore;
}

/** What the peer gets. */
async function read(total: number): Promise<{ number: number; length: number }[]> {
  const pieces: { number: number; length: number }[] = [];
  let count = 0;
  for await (const chunk of peer) {
    for (const byte of chunk as Buffer) {
      const last = pieces.at(-1);
      if (last?.number === byte) last.length++;
      else pieces.push({ number: byte, length: 1 });
    }
    count += (chunk as Buffer).length;
    if (count >= total) break;
  }
  return pieces;
}

test("what the system takes at once is with it at once", () => {
  expect(write(5, 300)).toBe(true);
  expect(client.isWriting).toBe(false);
});

test("what it takes in part, and all that comes meanwhile, arrives whole and in order", async () => {
  const lengths = [100, 1_500_000, 10, 60_000, 7];
  expect(write(...lengths)).toBe(false);
  expect(client.isWriting).toBe(true);
  const got = await read(lengths.reduce((sum, length) => sum + length));
  expect(got).toEqual(lengths.map((length, at) => ({ number: at + 1, length })));
  expect(drained).toBe(1);
  expect(client.isWriting).toBe(false);
});

test("nothing is written to a descriptor that is somebody else's by now", () => {
  client.destroy();
  const files = Array.from({ length: 40 }, (_, at) => openSync(join(folder, `file-${at}`), "w"));
  write(100);
  expect(files.map((fd) => fstatSync(fd).size)).toEqual(files.map(() => 0));
  for (const fd of files) closeSync(fd);
});
