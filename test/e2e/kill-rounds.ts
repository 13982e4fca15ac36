// SPDX-License-Identifier: Apache-2.0
//
// A daemon with a journal that is killed at random moments while clients write,
// and started again: what they were told has happened must be there, and what is
// there must be something they asked for.

import { strict as assert } from "node:assert";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ownChild } from "../../bench/xenstored/own-child.ts";
import type { XenstoreClient } from "../../src/client/index.ts";
import { connectXenstore } from "../../src/live/xenstore-client.ts";

const bin = join(import.meta.dirname, "../../bin/xenolith.js");

export interface KillOptions {
  readonly rounds: number;
  readonly dir: string;
  readonly fsync: "always" | "interval" | "never";
  readonly seed: number;
  /** How long a daemon lives at most, milliseconds. */
  readonly liveMs: number;
}

/** What one client asked for and what it was told; it works on its own part of the tree. */
interface Diary {
  readonly root: string;
  /** The number of the last request that was acknowledged, and of the last that was sent. */
  acknowledged: number;
  sent: number;
  /** The last number all of whose requests were acknowledged by the daemon that did them. */
  whole: number;
}

/** Numbers that look random, the same for the same seed. */
function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Counts up, in plain writes and permissions, and in transactions that write two nodes and replace one. */
async function work(client: XenstoreClient, diary: Diary): Promise<void> {
  const { root } = diary;
  for (;;) {
    const number = ++diary.sent;
    await client.transaction(async (transaction) => {
      await transaction.write(`${root}/pair/a`, String(number));
      await transaction.write(`${root}/pair/b`, String(number));
      await transaction.rm(`${root}/pair/only-${number - 1}`).catch(() => undefined);
      await transaction.write(`${root}/pair/only-${number}`, "");
    });
    await client.write(`${root}/plain`, String(number));
    await client.setPerms(`${root}/plain`, ["n0", `r${number % 100}`]);
    diary.acknowledged = diary.whole = number;
  }
}

/** What a client finds of its diary after a restart. */
async function check(client: XenstoreClient, diary: Diary): Promise<void> {
  const { root, acknowledged, sent } = diary;
  if (sent === 0) return;
  const exists = await client.exists(`${root}/pair/a`);
  if (!exists) {
    assert.equal(acknowledged, 0);
    return;
  }
  const [a, b] = [await client.read(`${root}/pair/a`), await client.read(`${root}/pair/b`)];
  // All of a transaction, or nothing.
  assert.equal(b, a);
  const rest = (await client.directory(`${root}/pair`)).filter((name) => name.startsWith("only-"));
  assert.deepEqual(rest, [`only-${a}`]);
  assert.ok(Number(a) >= acknowledged && Number(a) <= sent, `${a} of ${acknowledged} to ${sent}`);
  if (!(await client.exists(`${root}/plain`))) {
    assert.equal(acknowledged, 0);
    return;
  }
  const plain = Number(await client.read(`${root}/plain`));
  assert.ok(plain >= acknowledged && plain <= Number(a), `${plain} of ${acknowledged} to ${a}`);
  // Of what was not acknowledged some may have happened: it stays.
  diary.acknowledged = plain;
  diary.sent = Number(a);
  if (plain === diary.whole) assert.equal((await client.getPerms(`${root}/plain`))[1], `r${plain % 100}`);
}

/** Starts a daemon; resolves once it serves. */
async function start(dir: string, ...args: string[]): Promise<ChildProcess> {
  const paths = ["--socket", join(dir, "socket"), "--pid-file", join(dir, "pid")];
  const child = spawn(...ownChild(process.execPath, [bin, "xenstored", ...paths, ...args]), {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(child, "exit").then(() => assert.fail("the daemon ended"));
  await Promise.race([once(child.stdout as NodeJS.EventEmitter, "data"), ended]);
  ended.catch(() => undefined);
  return child;
}

/** Kills and starts again so many times; how much was acknowledged in all. */
export async function killRounds(options: KillOptions): Promise<{ acknowledged: number }> {
  const random = randomFrom(options.seed);
  const diaries: Diary[] = [0, 1, 2].map((name) => ({
    root: `/diary/${name}`,
    acknowledged: 0,
    sent: 0,
    whole: 0,
  }));
  const { dir, fsync, rounds, liveMs } = options;
  for (let round = 0; round <= rounds; round++) {
    const child = await start(dir, "--state", join(dir, "journal"), "--fsync", fsync);
    const exit = once(child, "exit");
    const checker = await connectXenstore(join(dir, "socket"));
    for (const diary of diaries) await check(checker, diary);
    assert.equal(await checker.control("check"), "OK");
    checker.close();
    const clients = await Promise.all(diaries.map(() => connectXenstore(join(dir, "socket"))));
    const works = clients.map((client, index) =>
      work(client, diaries[index] as Diary).catch(() => undefined),
    );
    await new Promise((resolve) => setTimeout(resolve, random() * liveMs));
    process.kill(Number(readFileSync(join(dir, "pid"), "latin1")), "SIGKILL");
    await Promise.all(works);
    for (const client of clients) client.close();
    await exit;
  }
  return { acknowledged: diaries.reduce((sum, { acknowledged }) => sum + acknowledged, 0) };
}
