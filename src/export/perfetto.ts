// SPDX-License-Identifier: Apache-2.0
//
// A trace for ui.perfetto.dev, in the Trace Event format that it and
// chrome://tracing read: a track a thread, a slice a step, an instant an event,
// an arrow from every event to what it caused elsewhere.

import type { TraceRecord } from "../core/engine/trace.ts";
import type { StepRecord } from "../core/engine/world.ts";
import { eventsOf, stepsOf } from "./trace-file.ts";
import type { Trace } from "./trace-file.ts";

/** One entry of the Trace Event format; times in microseconds. */
interface Entry {
  name: string;
  ph: "X" | "i" | "M" | "s" | "f";
  pid: number;
  tid: number;
  ts?: number;
  dur?: number;
  s?: "t";
  id?: number;
  bp?: "e";
  cat?: string;
  args?: object;
}

// Virtual time stands still while threads run; a step is drawn this long so that it can be seen.
const STEP_US = 1;

/** Numbers the threads of a run in the order in which they appear, grouped by what they belong to. */
class Tracks {
  readonly #numbers = new Map<string, { pid: number; tid: number }>();
  readonly #groups = new Map<string, number>();
  readonly named: Entry[] = [];

  of(thread: string): { pid: number; tid: number } {
    const known = this.#numbers.get(thread);
    if (known !== undefined) return known;
    const group = thread.startsWith("(") ? "outside" : (thread.split("/")[0] as string);
    const pid = this.#group(group);
    const track = { pid, tid: this.#numbers.size + 1 };
    this.#numbers.set(thread, track);
    this.named.push({ name: "thread_name", ph: "M", ...track, args: { name: thread } });
    return track;
  }

  #group(name: string): number {
    const known = this.#groups.get(name);
    if (known !== undefined) return known;
    const pid = this.#groups.size + 1;
    this.#groups.set(name, pid);
    this.named.push({ name: "process_name", ph: "M", pid, tid: 0, args: { name } });
    return pid;
  }
}

function actor({ action }: StepRecord): string {
  if ("thread" in action) return action.thread;
  if ("timer" in action) return "(timer)";
  return "clock" in action ? "(clock)" : `(${action.input})`;
}

/** The whole trace as one JSON text. */
export function toPerfetto(trace: Trace): string {
  const tracks = new Tracks();
  const steps = stepsOf(trace);
  const events = eventsOf(trace);
  // Steps of one moment are laid side by side, so that their order can be seen.
  const begins = new Map<number, number>();
  let clock = 0;
  const slices: Entry[] = steps.map((step) => {
    clock = Math.max(clock + STEP_US, step.at);
    begins.set(step.step, clock);
    const name = step.name === null ? actor(step) : `${step.routine}: ${step.name}`;
    return { name, ph: "X", ...tracks.of(actor(step)), ts: clock, dur: STEP_US, args: { step: step.step } };
  });
  const bySeq = new Map(events.map((event) => [event.seq, event]));
  const when = (event: TraceRecord): number => begins.get(event.step) ?? event.at;
  const instants = events.map((event): Entry => ({
    name: event.kind,
    ph: "i",
    s: "t",
    ...tracks.of(event.by),
    ts: when(event),
    args: { ...(event.data as object), seq: event.seq },
  }));
  const arrows = events.flatMap((event): Entry[] => {
    const cause = bySeq.get(event.parent);
    if (cause === undefined || cause.by === event.by) return [];
    const shared = { name: "causes", cat: "cause", id: event.seq };
    return [
      { ...shared, ph: "s", ...tracks.of(cause.by), ts: when(cause) },
      { ...shared, ph: "f", bp: "e", ...tracks.of(event.by), ts: when(event) },
    ];
  });
  return JSON.stringify({
    displayTimeUnit: "ms",
    traceEvents: [...tracks.named, ...slices, ...instants, ...arrows],
  });
}
