// SPDX-License-Identifier: Apache-2.0
//
// Which deadline comes first: a binary heap whose stale entries are thrown away
// when they come up. Derived from the threads' cells, never part of the state.

interface Timer {
  deadline: number;
  thread: string;
}

function before(a: Timer, b: Timer): boolean {
  return a.deadline !== b.deadline ? a.deadline < b.deadline : a.thread < b.thread;
}

/** Deadlines of threads. Adding costs the logarithm of how many wait. */
export class Timers {
  #heap: Timer[] = [];

  add(deadline: number, thread: string): void {
    const heap = this.#heap;
    heap.push({ deadline, thread });
    let at = heap.length - 1;
    while (at > 0) {
      const up = (at - 1) >> 1;
      if (!before(heap[at] as Timer, heap[up] as Timer)) break;
      this.#swap(at, up);
      at = up;
    }
  }

  /** The earliest entry that `valid` still vouches for; earlier stale ones are dropped. */
  first(valid: (thread: string, deadline: number) => boolean): Timer | undefined {
    for (;;) {
      const top = this.#heap[0];
      if (top === undefined || valid(top.thread, top.deadline)) return top;
      this.#removeTop();
    }
  }

  clear(): void {
    this.#heap = [];
  }

  #removeTop(): void {
    const heap = this.#heap;
    const last = heap.pop() as Timer;
    if (heap.length === 0) return;
    heap[0] = last;
    let at = 0;
    for (;;) {
      const left = 2 * at + 1;
      if (left >= heap.length) return;
      const right = left + 1;
      const child = right < heap.length && before(heap[right] as Timer, heap[left] as Timer) ? right : left;
      if (!before(heap[child] as Timer, heap[at] as Timer)) return;
      this.#swap(at, child);
      at = child;
    }
  }

  #swap(a: number, b: number): void {
    const kept = this.#heap[a] as Timer;
    this.#heap[a] = this.#heap[b] as Timer;
    this.#heap[b] = kept;
  }
}
