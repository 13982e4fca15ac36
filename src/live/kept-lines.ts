// SPDX-License-Identifier: Apache-2.0
//
// The last lines of a run, in columns. A record that is kept for some seconds
// outlives the collector's young space, and a host that takes thirty thousand
// steps a second would stop for tens of milliseconds to move them all. Of a line
// nothing is held on to but what it says.

import type { Plain } from "../core/engine/cells.ts";
import type { TraceRecord } from "../core/engine/trace.ts";
import type { Action, StepRecord } from "../core/engine/world.ts";

/** A line that is kept. */
export type KeptLine = { step: StepRecord } | { event: TraceRecord };

/** What a line is, where it is no thread's step: that is its choice. */
const CLOCK = -1;
const TIMER = -2;
const INPUT = -3;
const EVENT = -4;

function column<T>(size: number, empty: T): T[] {
  return Array.from({ length: size }, () => empty);
}

/** Keeps so many of the lines that were added last. */
export class KeptLines {
  readonly #size: number;
  /** The choice of a thread's step, or what else the line is. */
  readonly #kinds: Int32Array;
  readonly #steps: Float64Array;
  readonly #times: Float64Array;
  /** The clock's new time; an event's number. */
  readonly #numbers: Float64Array;
  readonly #parents: Float64Array;
  /** The thread, timer or input; whose event it is. */
  readonly #whos: string[];
  /** The routine a thread is in; an event's kind. */
  readonly #routines: (string | null)[];
  readonly #names: (string | null)[];
  readonly #data: unknown[];
  #count = 0;

  constructor(size: number) {
    this.#size = size;
    this.#kinds = new Int32Array(size);
    this.#steps = new Float64Array(size);
    this.#times = new Float64Array(size);
    this.#numbers = new Float64Array(size);
    this.#parents = new Float64Array(size);
    this.#whos = column<string>(size, "");
    this.#routines = column<string | null>(size, null);
    this.#names = column<string | null>(size, null);
    this.#data = column<unknown>(size, null);
  }

  /** Adds a line. */
  add(line: KeptLine): void {
    const at = this.#count++ % this.#size;
    if ("step" in line) this.#addStep(at, line.step);
    else this.#addEvent(at, line.event);
  }

  /** The lines, oldest first. */
  *lines(): Generator<KeptLine> {
    for (let index = Math.max(0, this.#count - this.#size); index < this.#count; index++) {
      const at = index % this.#size;
      yield this.#kinds[at] === EVENT ? { event: this.#eventAt(at) } : { step: this.#stepAt(at) };
    }
  }

  #addStep(at: number, { step, at: time, action, routine, name }: StepRecord): void {
    this.#steps[at] = step;
    this.#times[at] = time;
    this.#routines[at] = routine;
    this.#names[at] = name;
    this.#data[at] = null;
    if ("thread" in action) {
      this.#kinds[at] = action.choice;
      this.#whos[at] = action.thread;
    } else if ("clock" in action) {
      this.#kinds[at] = CLOCK;
      this.#numbers[at] = action.clock;
    } else if ("timer" in action) {
      this.#kinds[at] = TIMER;
      this.#whos[at] = action.timer;
    } else {
      this.#kinds[at] = INPUT;
      this.#whos[at] = action.input;
      this.#data[at] = action.data;
    }
  }

  #addEvent(at: number, { seq, step, at: time, by, parent, kind, data }: TraceRecord): void {
    this.#kinds[at] = EVENT;
    this.#steps[at] = step;
    this.#times[at] = time;
    this.#numbers[at] = seq;
    this.#parents[at] = parent;
    this.#whos[at] = by;
    this.#routines[at] = kind;
    this.#data[at] = data;
  }

  #actionAt(at: number): Action {
    const kind = this.#kinds[at] as number;
    const who = this.#whos[at] as string;
    if (kind === CLOCK) return { clock: this.#numbers[at] as number };
    if (kind === TIMER) return { timer: who };
    if (kind === INPUT) return { input: who, data: this.#data[at] as Plain };
    return { thread: who, choice: kind };
  }

  #stepAt(at: number): StepRecord {
    return {
      step: this.#steps[at] as number,
      at: this.#times[at] as number,
      action: this.#actionAt(at),
      routine: this.#routines[at] as string | null,
      name: this.#names[at] as string | null,
    };
  }

  #eventAt(at: number): TraceRecord {
    return {
      seq: this.#numbers[at] as number,
      step: this.#steps[at] as number,
      at: this.#times[at] as number,
      by: this.#whos[at] as string,
      parent: this.#parents[at] as number,
      kind: this.#routines[at],
      data: this.#data[at],
    } as TraceRecord;
  }
}
