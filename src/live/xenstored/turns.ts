// SPDX-License-Identifier: Apache-2.0
//
// When clients that have sent something are answered: one by itself at once,
// several together.

/** After so many turns with one client each, so many requests are answered at once. */
const SINGLE_MAX = 4;
const AT_ONCE = 64;

/**
 * Tells when to answer. Writing to a process that sleeps wakes it, which costs
 * more than answering it; one that is written to while it is still busy does not
 * go to sleep. So of several clients all that have sent something are heard before
 * any is answered. Where it is always one that has sent something, waiting for
 * others is left alone for a while.
 */
export class Turns {
  readonly #answer: () => void;
  readonly #ready: () => number;
  /** The client that was heard last. */
  #last = -1;
  /** All are answered when everybody was heard. */
  #waiting = false;
  /** How many times in a row only one client had something. */
  #single = 0;
  /** So many requests are answered without waiting for others. */
  #atOnce = 0;

  /**
   * @param answer sends what clients have to take
   * @param ready how many have something to take
   */
  constructor(answer: () => void, ready: () => number) {
    this.#answer = answer;
    this.#ready = ready;
  }

  /** A client's requests were performed. */
  heard(conn: number): void {
    if (this.#waiting) return;
    if (this.#atOnce > 0) {
      this.#atOnce--;
      this.#answer();
      return;
    }
    if (conn === this.#last) {
      this.#answer();
      return;
    }
    this.#last = conn;
    this.#waiting = true;
    setImmediate(this.#look);
  }

  /** All that had sent something by now were heard. */
  readonly #look = (): void => {
    this.#waiting = false;
    this.#single = this.#ready() > 1 ? 0 : this.#single + 1;
    if (this.#single >= SINGLE_MAX) {
      this.#single = 0;
      this.#atOnce = AT_ONCE;
    }
    this.#answer();
  };
}
