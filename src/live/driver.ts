// SPDX-License-Identifier: Apache-2.0
//
// Runs a host against the real clock: takes steps while there are any, sleeps
// until the next timer, and lets inputs in between.

import type { Plain } from "../core/engine/cells.ts";
import type { Host } from "../core/engine/host.ts";
import type { Input } from "../core/engine/input.ts";
import { fifo } from "../core/engine/scheduler.ts";
import type { World } from "../core/engine/world.ts";

/** Milliseconds of steps before others get the process: a client's request does not wait on another's long work. */
const TURN_MS = 0.25;
/** Steps between looks at the clock. */
const STEPS_A_LOOK = 4;
/** A timer further away than this is waited for in parts: setTimeout knows 31 bits. */
const SLEEP_MS_MAX = 1_000_000;

/** A host that lives in real time. */
export class Driver {
  readonly world: World;
  readonly #afterTurn = new Set<() => void>();
  readonly #failed: (error: unknown) => void;
  readonly #origin: number;
  #scheduled: NodeJS.Immediate | null = null;
  #timer: NodeJS.Timeout | null = null;
  /** When the timer that is set goes off, by the host's clock. */
  #alarm = Infinity;
  #stopped = false;

  /** @param failed told of a broken invariant; the host has stopped then */
  constructor(world: World, failed: (error: unknown) => void) {
    this.world = world;
    this.#failed = failed;
    this.#origin = performance.now() * 1_000 - world.now;
  }

  /**
   * Called after every turn of steps, before the process waits: where output leaves.
   * Returns what ends that.
   */
  afterTurn(call: () => void): () => void {
    this.#afterTurn.add(call);
    return () => void this.#afterTurn.delete(call);
  }

  /** Gives an input and sees to it that what it wakes is run. */
  give<D extends Plain>(input: Input<D>, data: D): void {
    this.guard(() => {
      this.#setClock();
      this.world.give(input, data);
      this.wake();
    });
  }

  /**
   * Gives an input and runs at once what it wakes: for what somebody waits for who
   * can be answered now. Where a turn is to come anyway, those who ask meanwhile
   * share it. Not to be called in a turn.
   */
  serve<D extends Plain>(input: Input<D>, data: D): void {
    this.guard(() => {
      this.#setClock();
      this.world.give(input, data);
      if (this.#scheduled === null) this.#turn();
    });
  }

  /** Asks something of the host as it is now. The question changes nothing. */
  look<R>(ask: (host: Host) => R): R {
    this.#setClock();
    return ask(this.world);
  }

  /** Does something to the world from outside a turn; not once it has stopped. A broken invariant stops it. */
  guard(call: () => void): void {
    if (this.#stopped) return;
    try {
      call();
    } catch (error) {
      this.stop();
      this.#failed(error);
    }
  }

  /** Runs what can run, soon. */
  wake(): void {
    if (this.#scheduled === null && !this.#stopped)
      this.#scheduled = setImmediate(() => this.guard(() => this.#turn()));
  }

  /** Stops for good. */
  stop(): void {
    this.#stopped = true;
    if (this.#scheduled !== null) clearImmediate(this.#scheduled);
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  #turn(): void {
    this.#scheduled = null;
    this.#setClock();
    this.#fireDue();
    const end = performance.now() + TURN_MS;
    for (let steps = 1; this.world.runnable.length > 0; steps++) {
      const action = fifo(this.world);
      if (action !== null) this.world.perform(action);
      if (steps % STEPS_A_LOOK === 0 && performance.now() >= end) break;
    }
    for (const call of this.#afterTurn) call();
    this.#sleep();
  }

  #fireDue(): void {
    for (;;) {
      const timer = this.world.nextTimer();
      if (timer === undefined || timer.deadline > this.world.now) return;
      this.world.perform({ timer: timer.thread });
    }
  }

  #sleep(): void {
    if (this.world.runnable.length > 0) return this.wake();
    const timer = this.world.nextTimer();
    // One that goes off too early costs less than setting another at the end of every turn.
    if (timer === undefined || timer.deadline >= this.#alarm) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    const now = this.#microseconds();
    const wait = Math.min(SLEEP_MS_MAX, Math.max(0, (timer.deadline - now) / 1_000));
    this.#alarm = now + wait * 1_000;
    this.#timer = setTimeout(() => {
      this.#alarm = Infinity;
      this.wake();
    }, wait);
  }

  #microseconds(): number {
    return Math.floor(performance.now() * 1_000 - this.#origin);
  }

  #setClock(): void {
    const now = this.#microseconds();
    if (now > this.world.now) this.world.setClock(now);
  }
}
