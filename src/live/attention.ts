// SPDX-License-Identifier: Apache-2.0
//
// Staying awake for the next request. A program asks one thing after another, and
// each time the host has to be woken for it, which between two processors of a
// virtual machine takes longer than most requests. So after a request the host looks
// again and again for a moment whether there is another before it sleeps. Where that
// did not help it sleeps at once after some requests, after more of them each time;
// after fewer where it did.

import { availableParallelism } from "node:os";

/** How long to look: about what being woken costs both sides. */
export const MOMENT_MS = 0.03;
/** Requests that at most are not followed by a look after one that was in vain. */
export const ASLEEP_MAX = 1023;

/** What attention is measured with. */
export interface AttentionClock {
  /** Milliseconds. */
  readonly now: () => number;
  /** Calls back when the system has been asked for what there is. */
  readonly soon: (call: () => void) => void;
  /** How many processors this process may run on. */
  readonly processors: number;
}

const real: AttentionClock = {
  now: () => performance.now(),
  soon: (call) => void setImmediate(call),
  processors: availableParallelism(),
};

/** Whether a host is looking for the next request. */
export class Attention {
  readonly #clock: AttentionClock;
  #looks = false;
  #until = 0;
  /** Requests that came while it looked. */
  #found = 0;
  /** Requests still not to be followed by a look. */
  #asleep = 0;
  /** How many it were after the last look in vain. */
  #vain = 0;

  constructor(clock: AttentionClock = real) {
    this.#clock = clock;
  }

  /** A request was answered, and its sender may have another. */
  answered(): void {
    if (this.#looks) {
      this.#found++;
      this.#until = this.#clock.now() + MOMENT_MS;
      return;
    }
    if (this.#clock.processors < 2) return;
    if (this.#asleep > 0) {
      this.#asleep--;
      return;
    }
    this.#looks = true;
    this.#found = 0;
    this.#until = this.#clock.now() + MOMENT_MS;
    this.#clock.soon(this.#look);
  }

  readonly #look = (): void => {
    if (this.#clock.now() < this.#until) {
      this.#clock.soon(this.#look);
      return;
    }
    this.#looks = false;
    if (this.#found > 0) this.#vain >>= this.#found;
    else this.#vain = Math.min(this.#vain + (this.#vain >> 2) + 1, ASLEEP_MAX);
    this.#asleep = this.#vain;
  };
}
