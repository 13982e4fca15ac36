// SPDX-License-Identifier: Apache-2.0

import { expect, test } from "vitest";
import type { TraceRecord } from "../core/engine/trace.ts";
import type { Action, StepRecord } from "../core/engine/world.ts";
import { KeptLines } from "./kept-lines.ts";
import type { KeptLine } from "./kept-lines.ts";

function step(number: number, action: Action): { step: StepRecord } {
  const isThread = "thread" in action;
  const place = isThread ? { routine: "xenwatch_thread", name: "wait" } : { routine: null, name: null };
  return { step: { step: number, at: number * 10 + 0.5, action, ...place } };
}

function event(seq: number): { event: TraceRecord } {
  const data = { thread: "dom0/xenwatch", routine: "xenwatch_thread" };
  return { event: { seq, step: seq, at: seq, by: "(boot)", parent: 0, kind: "spawn", data } };
}

const ALL: readonly KeptLine[] = [
  step(1, { thread: "dom0/xenwatch", choice: 0 }),
  event(1),
  step(2, { clock: 2_000_000_123.25 }),
  step(3, { thread: "d1/vcpu0", choice: 2 }),
  step(4, { timer: "dom0/xl.1" }),
  step(5, { input: "xl", data: { argv: ["list"] } }),
  step(6, { thread: "dom0/xenwatch", choice: 0 }),
  event(2),
  event(3),
  step(7, { clock: 3 }),
];

test.each([1, 2, 3, 7, 10, 50])("the last %i lines come back as they were, oldest first", (size) => {
  const kept = new KeptLines(size);
  for (const [at, line] of ALL.entries()) {
    kept.add(line);
    const so = ALL.slice(0, at + 1);
    expect([...kept.lines()]).toEqual(so.slice(-size));
  }
});
