// SPDX-License-Identifier: Apache-2.0
//
// Clients that come and go, in whatever way, beside everything else that opens and
// closes descriptors: each gets what is its own, and nothing else.

import { spawn } from "node:child_process";
import { connect } from "node:net";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { ownChild } from "../../bench/xenstored/own-child.ts";
import { encode, XS } from "../../src/core/xenstore/wire.ts";
import { folder } from "./xenolith.ts";

const MILLISECONDS = 1000;
const CROWD = 24;

/** The server, and what it prints at its end. */
async function crowdServer(): Promise<{
  path: string;
  end: () => Promise<{ asked: number; known: number }>;
}> {
  const run = folder();
  const path = join(run, "socket");
  const script = join(import.meta.dirname, "crowd-server.ts");
  const child = spawn(...ownChild(process.execPath, [script, path, join(run, "other")]), {
    stdio: ["pipe", "pipe", "inherit"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  let out = "";
  const exit = new Promise((resolve) => child.on("exit", resolve));
  await new Promise<void>((resolve, reject) => {
    child.stdout.on("data", (chunk) => {
      out += chunk;
      if (out.startsWith("serves\n")) resolve();
    });
    child.on("exit", () => reject(new Error("it ended")));
  });
  return {
    path,
    end: async () => {
      child.stdin.end();
      expect(await exit).toBe(0);
      return JSON.parse(out.slice("serves\n".length)) as { asked: number; known: number };
    },
  };
}

const endings = ["end", "destroy", "half a message", "unread", "nonsense"] as const;

/** One client: writes and reads what nobody else does; resolves with what it got that is not its own. */
function talk(path: string, id: number, messages: number): Promise<string | null> {
  const node = `/crowd/${id}`;
  const expected: Buffer[] = [];
  const socket = connect(path);
  for (let i = 0; i < messages; i++) {
    const value = `${id} says ${i}`;
    socket.write(encode(XS.WRITE, id, 0, `${node}\0${value}`));
    expected.push(Buffer.from(encode(XS.WRITE, id, 0, "OK\0")));
    socket.write(encode(XS.READ, id, 0, `${node}\0`));
    expected.push(Buffer.from(encode(XS.READ, id, 0, value)));
  }
  const all = Buffer.concat(expected);
  const ending = endings[id % endings.length];
  return new Promise((resolve) => {
    let got = Buffer.alloc(0);
    const wrong = (): string | null =>
      all.subarray(0, got.length).equals(got) ? null : `${id} got ${JSON.stringify(got.toString("latin1"))}`;
    socket.on("data", (chunk) => {
      got = Buffer.concat([got, chunk]);
      if (got.length < all.length && wrong() === null) return;
      if (ending === "unread") socket.pause().write(encode(XS.DIRECTORY, id, 0, "/crowd\0"));
      if (ending === "half a message") socket.write(Uint8Array.of(2, 0, 0));
      if (ending === "nonsense") socket.write(Buffer.alloc(16, 0xff));
      if (ending === "end" || ending === "nonsense") socket.end();
      else setImmediate(() => socket.destroy());
    });
    socket.on("error", () => undefined);
    socket.on("close", () => resolve(wrong() ?? (got.length < all.length ? `${id} got too little` : null)));
  });
}

test("in a crowd nobody gets what is another's", async () => {
  const { path, end } = await crowdServer();
  const until = performance.now() + MILLISECONDS;
  let id = 0;
  const wrong: string[] = [];
  const visitor = async (): Promise<void> => {
    while (performance.now() < until) {
      const found = await talk(path, ++id, 1 + (id % 40));
      if (found !== null) wrong.push(found);
    }
  };
  await Promise.all(Array.from({ length: CROWD }, visitor));
  expect(wrong.slice(0, 3)).toEqual([]);
  const { asked, known } = await end();
  expect(id).toBeGreaterThan(CROWD);
  expect(known).toBeGreaterThan(asked / 5);
});
