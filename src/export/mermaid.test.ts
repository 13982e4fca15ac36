// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import type { TraceRecord } from "../core/engine/trace.ts";
import { drawMermaid, foldMessages } from "./mermaid.ts";
import { messagesOf } from "./messages.ts";

/** A run's events, numbered, as `[by, kind, data]`. */
function run(...events: [by: string, kind: string, data: object][]): TraceRecord[] {
  return events.map(
    ([by, kind, data], index) =>
      ({ seq: index + 1, step: index + 1, at: 0, by, parent: 0, kind, data }) as unknown as TraceRecord,
  );
}

const store = (dir: "in" | "out", op: string, body = ""): [string, string, object] => [
  "xenstored",
  "xenstore",
  { who: "dom0/xl.1/xs", dir, op, body },
];

const texts = (events: TraceRecord[], reads = false): string[] =>
  messagesOf(events, { reads }).map(({ text }) => text);

test("a hypercall stands before what it did", () => {
  const kill = { caller: "d0/xl.1/destroy-1", op: "domctl destroydomain", dom: 1, result: 0, out: {} };
  const events = run(
    ["dom0/xl.1/destroy-1", "domain", { domid: 1, state: "dying" }],
    ["dom0/xl.2", "hypercall", { ...kill, caller: "d0/xl.2", op: "domctl max_mem", dom: 2, result: "ESRCH" }],
    ["dom0/xl.1/destroy-1", "virq", { why: "d1 is dead" }],
    ["dom0/xl.1/destroy-1", "hypercall", kill],
  );
  expect(drawMermaid(messagesOf(events, { reads: false }))).toBe(
    [
      "sequenceDiagram",
      "  participant xl_1 as xl.1",
      "  participant Xen as Xen",
      "  participant xl_2 as xl.2",
      "  participant xenstored as xenstored",
      "  xl_1->>Xen: domctl destroydomain dom1",
      "  Note over Xen: domain 1 is dying",
      "  xl_2->>Xen: domctl max_mem dom2 = ESRCH",
      "  Xen-->>xenstored: VIRQ_DOM_EXC (d1 is dead)",
      "",
    ].join("\n"),
  );
});

test("what a request failed with is said with it; reads are shown on demand", () => {
  const events = run(
    store("in", "READ", "/a\0"),
    store("in", "RM", "/b\0"),
    store("out", "ERROR", "ENOENT\0"),
    store("out", "ERROR", "EACCES\0"),
  );
  expect(texts(events)).toEqual(["RM /b = EACCES"]);
  expect(texts(events, true)).toEqual(["READ /a = ENOENT", "RM /b = EACCES"]);
});

test("a transaction is one message at its commit, one given up is none", () => {
  const within = (...between: [string, string, object][]): string[] =>
    foldMessages(messagesOf(run(...between), { reads: false })).map(({ text }) => text);
  const start = store("in", "TRANSACTION_START", "\0");
  const commit = store("in", "TRANSACTION_END", "T\0");
  const event = store("out", "WATCH_EVENT", "/c\0token\0");
  const writes = [store("in", "WRITE", "/a\x001"), store("in", "RM", "/b\0")];
  expect(within(start, ...writes, event, commit)).toEqual([
    "event /c",
    "transaction: 2 requests (WRITE, RM), the first for /a",
  ]);
  expect(within(start, ...writes, store("in", "TRANSACTION_END", "F\0"))).toEqual([]);
  expect(within(start, commit)).toEqual([]);
  expect(
    within(
      start,
      writes[0]!,
      commit,
      store("out", "OK"),
      store("out", "OK"),
      store("out", "ERROR", "EAGAIN\0"),
    ),
  ).toEqual(["transaction: WRITE /a 1 = EAGAIN"]);
  expect(within(...writes, event, event)).toEqual([
    "2 requests (WRITE, RM), the first for /a",
    "2 events, the first for /c",
  ]);
});
