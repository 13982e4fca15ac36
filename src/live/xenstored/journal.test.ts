// SPDX-License-Identifier: Apache-2.0
//
// What a journal gives back: after any sequence of requests, at any byte, with
// compaction under way or not, exactly what was settled.

import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { checkStore } from "../../core/xenstore/check.ts";
import { JournalCells } from "../../core/xenstore/journal-cells.ts";
import { replayJournal, type Replayed } from "../../core/xenstore/journal-replay.ts";
import { prepareStore } from "../../core/xenstore/store.ts";
import { isStreamProblem } from "../../core/xenstore/stream.ts";
import { saveStore } from "../../core/xenstore/stream-save.ts";
import { StoreCells } from "../../core/xenstore/store-cells.ts";
import { type RequestName, TestClient, type TestStore, testStore } from "../../core/xenstore/test-client.ts";
import { type FsyncPolicy, Journal, JournalError, type JournalOptions } from "./journal.ts";

let folder: string;
let file: string;
const open: Journal[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "journal-"));
  file = join(folder, "state");
});

afterEach(() => {
  for (const journal of open.splice(0)) journal.close();
  rmSync(folder, { recursive: true });
});

interface Journaled {
  readonly store: TestStore;
  readonly journal: Journal;
  readonly said: string[];
}

function start(fsync: FsyncPolicy = "never", more: Partial<JournalOptions> = {}): Journaled {
  const cells = new JournalCells();
  const said: string[] = [];
  let journal: Journal | undefined;
  const options: JournalOptions = {
    file,
    fsync,
    log: (_level, text) => void said.push(text),
    failed: (error) => {
      throw error;
    },
    ...more,
  };
  const store = testStore({}, cells, (made, how) => {
    journal = Journal.open(options, made, cells, how);
  });
  open.push(journal as Journal);
  return { store, journal: journal as Journal, said };
}

/** All a store has that is to last, as text. */
function lasting({ cells }: TestStore): string[] {
  const records = [...saveStore(cells, { own: true })];
  return records
    .filter(
      (record) =>
        record.type !== "watch" &&
        record.type !== "transaction" &&
        !(record.type === "node" && record.connId !== 0) &&
        !(record.type === "connection") &&
        !(record.type === "own" && /^(connection|transaction)$/.test(record.kind)),
    )
    .map((record) => JSON.stringify(record));
}

/** What these bytes of a journal make of a store. */
function replay(bytes: Uint8Array): { store: TestStore; replayed: Replayed } | string {
  const store = testStore({}, new StoreCells(), prepareStore);
  const replayed = replayJournal(store, bytes);
  return isStreamProblem(replayed) ? `${replayed.offset}: ${replayed.problem}` : { store, replayed };
}

function settled(journal: Journal): Promise<void> {
  return new Promise((resolve) => void (journal.settle(resolve) && resolve()));
}

interface Act {
  readonly request: RequestName;
  readonly payload: string;
  readonly inTransaction: boolean;
  readonly settle: boolean;
}

const paths = ["/a", "/b", "/a/a", "/a/b", "/a/a/a", "/b/c", "/local/domain/1/x", "/local/domain/2/y"];
const act: fc.Arbitrary<Act> = fc
  .record({
    kind: fc.constantFrom(
      "WRITE",
      "WRITE",
      "MKDIR",
      "RM",
      "SET_PERMS",
      "INTRODUCE",
      "RELEASE",
      "CONTROL",
      "TX",
    ),
    path: fc.constantFrom(...paths),
    value: fc.constantFrom("0", "1", "2"),
    inTransaction: fc.boolean(),
    settle: fc.boolean(),
  })
  .map(({ kind, path, value, inTransaction, settle }): Act => {
    const as = (request: RequestName, payload: string): Act => ({ request, payload, inTransaction, settle });
    switch (kind) {
      case "WRITE":
        return as("WRITE", `${path}|${value}`);
      case "SET_PERMS":
        return as("SET_PERMS", `${value === "2" ? "@releaseDomain" : path}|n${value}|r1|w2|`);
      case "INTRODUCE":
        return as("INTRODUCE", `${value === "0" ? 1 : value}|1|1|`);
      case "RELEASE":
        return as("RELEASE", `${value === "0" ? 1 : value}|`);
      case "CONTROL":
        return as("CONTROL", `quota|set|nodes|${100 + Number(value)}|`);
      case "TX":
        return as("TRANSACTION_END", value === "0" ? "F|" : "T|");
      default:
        return as(kind, `${path}|`);
    }
  });

/** Lets a client do all that; `now` is told after each turn. */
function perform(store: TestStore, acts: readonly Act[], turn: (isSettled: boolean) => void): void {
  const client = new TestClient(store);
  let txId = 0;
  for (const { request, payload, inTransaction, settle } of acts) {
    if (inTransaction && txId === 0) txId = client.begin();
    client.all(request, payload, inTransaction ? txId : 0);
    if (request === "TRANSACTION_END" && inTransaction) txId = 0;
    turn(settle);
  }
}

describe("a journal", () => {
  test("gives back what was settled, whatever was done, compacted or not", () => {
    fc.assert(
      fc.property(fc.array(act, { minLength: 5, maxLength: 60 }), fc.boolean(), (acts, compacts) => {
        rmSync(file, { force: true });
        const { store, journal } = start("never", compacts ? { compactMin: 0 } : {});
        perform(store, acts, (settles) => {
          if (!settles) return;
          journal.settle(() => undefined);
          const again = replay(readFileSync(file));
          if (typeof again === "string") throw new Error(again);
          expect(lasting(again.store)).toEqual(lasting(store));
          expect(checkStore(again.store.cells)).toEqual([]);
        });
        journal.close();
        const next = start();
        expect(lasting(next.store)).toEqual(lasting(store));
        next.journal.close();
      }),
      { numRuns: 80 },
    );
  });

  test("cut at any byte, it is what it was after a whole turn, and says what was lost", () => {
    const { store, journal } = start();
    const sizes: number[] = [statSync(file).size];
    const states: string[][] = [lasting(store)];
    const acts = fc.sample(act, { numRuns: 60, seed: 7 });
    perform(store, acts, () => {
      journal.settle(() => undefined);
      sizes.push(statSync(file).size);
      states.push(lasting(store));
    });
    const bytes = readFileSync(file);
    for (let length = sizes[0] as number; length <= bytes.length; length++) {
      const turn = sizes.findLastIndex((size) => size <= length);
      const again = replay(bytes.subarray(0, length));
      if (typeof again === "string") throw new Error(`at ${length}: ${again}`);
      expect(lasting(again.store)).toEqual(states[turn]);
      expect(again.replayed.cut).toBe(length - (sizes[turn] as number));
    }
    for (let length = 0; length < (sizes[0] as number); length++)
      expect(replay(bytes.subarray(0, length))).toMatch(/^\d+: /);
  });

  test("damaged in any byte, it is refused with the place, or cut where that is the last frame", () => {
    const { store, journal } = start();
    const sizes = [statSync(file).size];
    perform(store, fc.sample(act, { numRuns: 25, seed: 3 }), () => {
      journal.settle(() => undefined);
      sizes.push(statSync(file).size);
    });
    const bytes = readFileSync(file);
    const last = sizes.findLast((size) => size < bytes.length) as number;
    for (let at = 0; at < bytes.length; at++) {
      const damaged = Uint8Array.from(bytes);
      damaged[at] = (damaged[at] as number) ^ 0x10;
      const again = replay(damaged);
      if (at >= last) expect(again).toMatchObject({ replayed: { length: last, cut: bytes.length - last } });
      else {
        expect(again).toMatch(/^\d+: /);
        expect(Number.parseInt(again as string, 10)).toBeLessThanOrEqual(at);
      }
    }
  });

  test("a cut is told and made; damage is an error with the offset", () => {
    const first = start();
    new TestClient(first.store).ask("WRITE", "/a|1");
    first.journal.close();
    const whole = readFileSync(file);
    writeFileSync(file, Buffer.concat([whole, Buffer.from("rest of a frame")]));
    const second = start();
    expect(second.said[0]).toContain(`the last 15 bytes, from ${whole.length} on`);
    expect(statSync(file).size).toBe(whole.length);
    new TestClient(second.store).ask("WRITE", "/a|2");
    second.journal.close();
    const damaged = readFileSync(file);
    damaged[whole.length - 9] = 0xff;
    writeFileSync(file, damaged);
    const failure = ((): unknown => {
      try {
        return start();
      } catch (error) {
        return error;
      }
    })();
    expect(failure).toBeInstanceOf(JournalError);
    expect(failure).toMatchObject({ code: "JOURNAL_DAMAGED" });
    expect((failure as JournalError).offset).toBeLessThan(whole.length);
    writeFileSync(file, "something else entirely");
    expect(() => start()).toThrow(/not a journal/);
  });

  test("has one writer at a time, and none after a kill", () => {
    start();
    writeFileSync(
      `${file}.lock`,
      `${process.ppid} ${readFileSync(`/proc/${process.ppid}/stat`, "latin1").split(" ")[21]}\n`,
    );
    expect(() => start()).toThrow(`process ${process.ppid} writes this journal`);
    writeFileSync(`${file}.lock`, `${process.ppid} 1\n`);
    expect(() => start()).not.toThrow();
  });

  test("with fsync, answers wait for the disk, and turns meanwhile go together", async () => {
    const { store, journal } = start("always");
    const client = new TestClient(store);
    client.ask("WRITE", "/a|1");
    const done: number[] = [];
    expect(journal.settle(() => done.push(1))).toBe(false);
    for (let i = 0; i < 100; i++) client.ask("WRITE", `/n/${i}|1`);
    expect(journal.settle(() => done.push(2))).toBe(false);
    expect(done).toEqual([]);
    await settled(journal);
    while (done.length < 1) await new Promise((resolve) => setImmediate(resolve));
    const again = replay(readFileSync(file));
    expect(typeof again === "string" ? again : lasting(again.store)).toEqual(lasting(store));
    expect(journal.statistics.frames).toBe(2);
  });

  test("is compacted in slices, while all goes on, and loses nothing", async () => {
    for (const fsync of ["always", "interval", "never"] as const) {
      rmSync(file, { force: true });
      const { store, journal } = start(fsync, { compactMin: 200_000 });
      const client = new TestClient(store);
      for (let i = 0; i < 3000; i++) client.ask("WRITE", `/tree/${i % 50}/${i}|${i}`);
      await settled(journal);
      let longest = 0;
      for (let i = 0; journal.statistics.compactions < 2; i++) {
        if (i > 20_000) throw new Error("it is not compacted");
        client.ask(
          i % 7 === 0 ? "RM" : "WRITE",
          i % 7 === 0 ? `/tree/${i % 50}/${i % 3000}|` : `/tree/${i % 50}/${i}|x`,
        );
        const before = process.cpuUsage();
        const waits = !journal.settle(() => undefined);
        const used = process.cpuUsage(before);
        longest = Math.max(longest, used.user + used.system);
        if (waits || i % 50 === 0) await settled(journal);
        if (i % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
      }
      await settled(journal);
      expect(longest).toBeLessThan(50_000);
      const state = lasting(store);
      journal.close();
      const next = start();
      expect(lasting(next.store)).toEqual(state);
      next.journal.close();
    }
  });
});
