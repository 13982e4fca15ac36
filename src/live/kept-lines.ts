// SPDX-License-Identifier: Apache-2.0
//
// The last lines of a run, in columns. A record that is kept for some seconds
// outlives the collector's young space, and a host that takes thirty thousand
// steps a second would stop for tens of milliseconds to move them all.

import type { StepRecord } from "../core/engine/world.ts";
import type { TraceLine } from "../export/trace-file.ts";

/** In the place of a choice: the step set the clock. */
const CLOCK = -1;
/** In the place of a choice: the line is kept as it is. */
const WHOLE = -2;

/** Keeps so many of the lines that were added last. */
export class KeptLines {
  readonly #size: number;
  readonly #steps: Float64Array;
  readonly #times: Float64Array;
  readonly #clocks: Float64Array;
  readonly #choices: Int32Array;
  readonly #threads: string[];
  readonly #routines: (string | null)[];
  readonly #names: (string | null)[];
  readonly #whole: (TraceLine | null)[];
  #count = 0;

  constructor(size: number) {
    this.#size = size;
    this.#steps = new Float64Array(size);
    this.#times = new Float64Array(size);
    this.#clocks = new Float64Array(size);
    this.#choices = new Int32Array(size);
    this.#threads = Array.from({ length: size }, () => "");
    this.#routines = Array.from({ length: size }, () => null);
    this.#names = Array.from({ length: size }, () => null);
    this.#whole = Array.from({ length: size }, () => null);
  }

  /** Adds a line; nothing of a thread's step or of the clock's is held on to. */
  add(line: TraceLine): void {
    const at = this.#count++ % this.#size;
    if (!("step" in line) || !this.#addStep(at, line.step)) {
      this.#choices[at] = WHOLE;
      this.#whole[at] = line;
    } else if (this.#whole[at] !== null) this.#whole[at] = null;
  }

  /** The lines, oldest first. */
  *lines(): Generator<TraceLine> {
    for (let index = Math.max(0, this.#count - this.#size); index < this.#count; index++) {
      const at = index % this.#size;
      yield this.#whole[at] ?? { step: this.#stepAt(at) };
    }
  }

  #addStep(at: number, { step, at: time, action, routine, name }: StepRecord): boolean {
    if ("thread" in action) {
      this.#choices[at] = action.choice;
      this.#threads[at] = action.thread;
    } else if ("clock" in action) {
      this.#choices[at] = CLOCK;
      this.#clocks[at] = action.clock;
    } else return false;
    this.#steps[at] = step;
    this.#times[at] = time;
    this.#routines[at] = routine;
    this.#names[at] = name;
    return true;
  }

  #stepAt(at: number): StepRecord {
    const choice = this.#choices[at] as number;
    return {
      step: this.#steps[at] as number,
      at: this.#times[at] as number,
      action:
        choice === CLOCK
          ? { clock: this.#clocks[at] as number }
          : { thread: this.#threads[at] as string, choice },
      routine: this.#routines[at] as string | null,
      name: this.#names[at] as string | null,
    };
  }
}
