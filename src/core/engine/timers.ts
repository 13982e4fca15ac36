// SPDX-License-Identifier: Apache-2.0
//
// Which deadline comes first: a binary heap with one entry for each thread that
// waits with a time-out. Derived from the threads' cells, never part of the state.

interface Timer {
  deadline: number;
  readonly thread: string;
  /** Where in the heap it is. */
  at: number;
}

function before(a: Timer, b: Timer): boolean {
  return a.deadline !== b.deadline ? a.deadline < b.deadline : a.thread < b.thread;
}

/** Deadlines of threads. A change costs the logarithm of how many wait. */
export class Timers {
  readonly #heap: Timer[] = [];
  readonly #byThread = new Map<string, Timer>();

  /** How many threads wait with a time-out. */
  get size(): number {
    return this.#heap.length;
  }

  /** Sets, moves or, with null, cancels a thread's timer. */
  set(thread: string, deadline: number | null): void {
    const timer = this.#byThread.get(thread);
    if (timer === undefined) {
      if (deadline !== null) this.#add({ deadline, thread, at: this.#heap.length });
    } else if (deadline === null) this.#remove(timer);
    else if (timer.deadline !== deadline) {
      timer.deadline = deadline;
      this.#settle(timer);
    }
  }

  /** The timer that fires first. */
  first(): Readonly<Timer> | undefined {
    return this.#heap[0];
  }

  #add(timer: Timer): void {
    this.#heap.push(timer);
    this.#byThread.set(timer.thread, timer);
    this.#settle(timer);
  }

  #remove(timer: Timer): void {
    this.#byThread.delete(timer.thread);
    const last = this.#heap.pop() as Timer;
    if (last === timer) return;
    last.at = timer.at;
    this.#heap[last.at] = last;
    this.#settle(last);
  }

  /** Moves a timer up or down to where its deadline belongs. */
  #settle(timer: Timer): void {
    const heap = this.#heap;
    while (timer.at > 0) {
      const up = heap[(timer.at - 1) >> 1] as Timer;
      if (!before(timer, up)) break;
      this.#swap(timer, up);
    }
    for (;;) {
      const left = heap[2 * timer.at + 1];
      if (left === undefined) return;
      const right = heap[2 * timer.at + 2];
      const child = right !== undefined && before(right, left) ? right : left;
      if (!before(child, timer)) return;
      this.#swap(child, timer);
    }
  }

  #swap(a: Timer, b: Timer): void {
    const { at } = a;
    a.at = b.at;
    b.at = at;
    this.#heap[a.at] = a;
    this.#heap[b.at] = b;
  }
}
