// SPDX-License-Identifier: Apache-2.0
//
// A run as text: `*.trace.jsonl`. The first line says what was run, every other
// one is a step, an event, or what a step found in memory that others had written,
// in the order in which they happened.

import type { Plain } from "../core/engine/cells.ts";
import { parsePlain, stringifyPlain } from "../core/engine/plain.ts";
import type { TraceRecord } from "../core/engine/trace.ts";
import type { ForeignWrite, StepRecord } from "../core/engine/world.ts";

/** What was run, and by which code. Enough to run it again. */
export interface TraceHeader {
  schema: "xenolith-trace";
  version: 1;
  /** The scenario's name, or null for a recording of a live host. */
  scenario: string | null;
  seed: number;
  scheduler: "fifo" | "random" | "live";
  /** The mutant the code was changed by, as its patch's text; null for the code as it is. */
  mutant: string | null;
  /** How the host was made, where no scenario says it: what `bootHost` was given. */
  host: Plain;
  /** Xen's version that was modelled. */
  xen: string;
  /** The program's own version. */
  code: string;
}

/** One line after the first. */
export type TraceLine = { step: StepRecord } | { event: TraceRecord } | { foreign: ForeignWrite };

/** A whole trace. */
export interface Trace {
  header: TraceHeader;
  lines: TraceLine[];
}

/** A line as text, without its line end: JSON, with bytes and such marked as `stringifyPlain` does. */
export function formatTraceLine(line: TraceHeader | TraceLine): string {
  return stringifyPlain(line as unknown as Plain);
}

/** The trace a text holds, or a sentence that says which line is wrong and why. */
export function parseTrace(text: string): Trace | string {
  const rows = text.split("\n").filter((row) => row !== "");
  const parsed: unknown[] = [];
  for (const [at, row] of rows.entries()) {
    try {
      parsed.push(parsePlain(row));
    } catch {
      return `line ${at + 1}: not JSON (a trace that was cut short ends in half a line)`;
    }
  }
  const [header, ...lines] = parsed;
  if (!isHeader(header)) return "line 1: not the header of a xenolith trace of version 1";
  const bad = lines.findIndex((line) => !isLine(line));
  if (bad >= 0) return `line ${bad + 2}: neither a step, an event nor a foreign write`;
  return { header, lines: lines as TraceLine[] };
}

function isHeader(value: unknown): value is TraceHeader {
  if (typeof value !== "object" || value === null) return false;
  const { schema, version, seed } = value as Partial<TraceHeader>;
  return schema === "xenolith-trace" && version === 1 && typeof seed === "number";
}

function isLine(value: unknown): value is TraceLine {
  if (typeof value !== "object" || value === null) return false;
  return "step" in value || "event" in value || "foreign" in value;
}

/** The events of a trace, in order. */
export function eventsOf(trace: Trace): TraceRecord[] {
  return trace.lines.flatMap((line) => ("event" in line ? [line.event] : []));
}

/** The steps of a trace, in order. */
export function stepsOf(trace: Trace): StepRecord[] {
  return trace.lines.flatMap((line) => ("step" in line ? [line.step] : []));
}
