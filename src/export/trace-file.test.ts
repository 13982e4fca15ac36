// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import type { TraceRecord } from "../core/engine/trace.ts";
import { eventsOf, formatTraceLine, parseTrace, stepsOf } from "./trace-file.ts";
import type { TraceHeader, TraceLine } from "./trace-file.ts";

const header: TraceHeader = {
  schema: "xenolith-trace",
  version: 1,
  scenario: null,
  seed: 7,
  scheduler: "live",
  mutant: null,
  host: { files: new Map([["/etc/a", Uint8Array.of(1, 2)]]) },
  xen: "4.17",
  code: "0.1.0",
};
const step: TraceLine = {
  step: {
    step: 1,
    at: 5,
    action: { input: "socket.data", data: { bytes: Uint8Array.of(0, 255) } },
    routine: null,
    name: null,
  },
};
const event: TraceLine = {
  event: {
    seq: 1,
    step: 1,
    at: 5,
    by: "(socket.data)",
    parent: 0,
    kind: "spawn",
    data: { thread: "t", routine: "r" },
  } as TraceRecord,
};

test("a trace reads back whole, bytes included", () => {
  const text = [header, step, event].map(formatTraceLine).join("\n");
  const trace = parseTrace(`${text}\n`);
  expect(trace).toEqual({ header, lines: [step, event] });
  if (typeof trace === "string") return;
  expect(stepsOf(trace)).toHaveLength(1);
  expect(eventsOf(trace)).toHaveLength(1);
});

test("what is wrong with a text is said with its line", () => {
  expect(parseTrace("")).toMatch(/line 1: not the header/);
  expect(parseTrace("{}\n")).toMatch(/line 1: not the header/);
  expect(parseTrace(`${formatTraceLine(header)}\n{"step":{"st`)).toMatch(/line 2: not JSON .*cut short/);
  expect(parseTrace(`${formatTraceLine(header)}\n${formatTraceLine(step)}\n7\n`)).toMatch(/line 3: neither/);
});
