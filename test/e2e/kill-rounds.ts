// SPDX-License-Identifier: Apache-2.0
//
// A daemon with a journal that is killed at random moments while clients write,
// and started again: what they were told has happened must be there, and what is
// there must be something they asked for.

import { join } from "node:path";
import { expect } from "vitest";
import type { XenstoreClient } from "../../src/client/index.ts";
import { connectXenstore } from "../../src/live/xenstore-client.ts";
import { servingPid, startXenstored } from "./xenstored-process.ts";

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
    diary.acknowledged = number;
  }
}

/** What a client finds of its diary after a restart. */
async function check(client: XenstoreClient, diary: Diary): Promise<void> {
  const { root, acknowledged, sent } = diary;
  if (sent === 0) return;
  const exists = await client.exists(`${root}/pair/a`);
  if (!exists) {
    expect(acknowledged).toBe(0);
    return;
  }
  const [a, b] = [await client.read(`${root}/pair/a`), await client.read(`${root}/pair/b`)];
  // All of a transaction, or nothing.
  expect(b).toBe(a);
  const rest = (await client.directory(`${root}/pair`)).filter((name) => name.startsWith("only-"));
  expect(rest).toEqual([`only-${a}`]);
  expect(Number(a)).toBeGreaterThanOrEqual(acknowledged);
  expect(Number(a)).toBeLessThanOrEqual(sent);
  if (!(await client.exists(`${root}/plain`))) {
    expect(acknowledged).toBe(0);
    return;
  }
  const plain = Number(await client.read(`${root}/plain`));
  expect(plain).toBeGreaterThanOrEqual(acknowledged);
  expect(plain).toBeLessThanOrEqual(Number(a));
  if (plain === acknowledged) {
    const reader = (await client.getPerms(`${root}/plain`))[1];
    expect([`r${plain % 100}`, `r${(plain + 1) % 100}`]).toContain(reader);
  }
  diary.acknowledged = diary.sent = Number(a);
}

/** Kills and starts again so many times; how much was acknowledged in all. */
export async function killRounds(options: KillOptions): Promise<{ acknowledged: number }> {
  const random = randomFrom(options.seed);
  const diaries: Diary[] = [0, 1, 2].map((name) => ({ root: `/diary/${name}`, acknowledged: 0, sent: 0 }));
  const state = join(options.dir, "journal");
  for (let round = 0; round <= options.rounds; round++) {
    const started = await startXenstored(options.dir, "--state", state, "--fsync", options.fsync);
    const checker = await connectXenstore(started.socketPath);
    for (const diary of diaries) await check(checker, diary);
    expect(await checker.control("check")).toBe("OK");
    checker.close();
    const clients = await Promise.all(diaries.map(() => connectXenstore(started.socketPath)));
    const works = clients.map((client, index) =>
      work(client, diaries[index] as Diary).catch(() => undefined),
    );
    await new Promise((resolve) => setTimeout(resolve, random() * options.liveMs));
    process.kill(servingPid(started.pidFile), "SIGKILL");
    await Promise.all(works);
    for (const client of clients) client.close();
    await started.running.ended;
  }
  return { acknowledged: diaries.reduce((sum, { acknowledged }) => sum + acknowledged, 0) };
}
