// SPDX-License-Identifier: Apache-2.0
//
// A host in motion: cells, clock, trace, and which of its threads could take a
// step. One step is one action: a thread's next step, a timer, an input.

import type { Plain } from "./cells.ts";
import { assert } from "./errno.ts";
import type { Host, Memory } from "./host.ts";
import { inputNamed } from "./input.ts";
import type { Input } from "./input.ts";
import { CellMemory } from "./memory.ts";
import { seedPrng } from "./prng.ts";
import type { Prng } from "./prng.ts";
import { Registry } from "./registry.ts";
import type { Entry, Tracking, Undo } from "./registry.ts";
import { insertSorted, removeSorted } from "./sorted.ts";
import { canStep, choicesOf, performStep, threadCell } from "./thread.ts";
import type { Thread } from "./thread.ts";
import { Timers } from "./timers.ts";
import type { TraceEvents, TraceRecord, TraceSink } from "./trace.ts";

/** One enabled atomic step. */
export type Action =
  | { readonly thread: string; readonly choice: number }
  | { readonly timer: string }
  | { readonly input: string; readonly data: Plain }
  | { readonly clock: number };

/** A step as it was taken: with the names of what a thread performed. */
export interface StepRecord {
  step: number;
  /** Microseconds since the host came up. */
  at: number;
  action: Action;
  /** Where the thread stood: routine and step; null for timers and inputs. */
  routine: string | null;
  name: string | null;
}

export interface WorldOptions {
  tracking?: Tracking;
  /** Contents of machine frames; in cells unless something else is given. */
  memory?: Memory;
  seed?: number;
}

/** What gives a step back, or takes it again: cells, and the counters beside them. */
export interface StepUndo extends Undo {
  counters: Pick<WorldCounters, "now" | "step" | "seq" | "last">;
}

/** What of a world is neither a cell nor derived from cells. Saved with it. */
export interface WorldCounters {
  now: number;
  step: number;
  seq: number;
  prng: Prng;
  /** The thread that stepped last: where the round of `fifo` goes on. */
  last: string;
}

/** A host in motion. See `Host` for what steps see of it. */
export class World extends Registry implements Host {
  readonly memory: Memory;
  /** Receives events; without it none are made. */
  sink: TraceSink | null = null;
  /** Receives every step taken. */
  onStep: ((record: StepRecord) => void) | null = null;
  readonly counters: WorldCounters;
  readonly #runnable: string[] = [];
  readonly #subscriptions = new Map<string, Entry[]>();
  readonly #timers = new Timers();
  #by = "(boot)";
  #parent = 0;

  constructor(options: WorldOptions = {}) {
    super(options.tracking ?? { undo: false, hash: false });
    this.memory = options.memory ?? new CellMemory(this);
    this.counters = { now: 0, step: 0, seq: 0, prng: seedPrng(options.seed ?? 0), last: "" };
  }

  get now(): number {
    return this.counters.now;
  }

  emit<K extends keyof TraceEvents & string>(kind: K, data: TraceEvents[K]): void {
    if (this.sink === null) return;
    const { step, now } = this.counters;
    const seq = ++this.counters.seq;
    this.sink({
      seq,
      step,
      at: now,
      by: this.#by,
      parent: this.#parent,
      kind,
      data,
    } as unknown as TraceRecord);
    this.#parent = seq;
  }

  /** Names of the threads that could take a step, sorted. */
  get runnable(): readonly string[] {
    return this.#runnable;
  }

  /** The earliest timer that is set, or undefined. */
  nextTimer(): { deadline: number; thread: string } | undefined {
    return this.#timers.first((name, deadline) => this.get(threadCell, name)?.deadline === deadline);
  }

  /**
   * Every action that is enabled, in a fixed order. `eager` timers may fire at any
   * time, in the order of their deadlines; `lazy` ones only when nothing else can.
   */
  actions(timers: "eager" | "lazy"): Action[] {
    const found: Action[] = [];
    for (const thread of this.#runnable) {
      const choices = choicesOf(this.get(threadCell, thread) as Thread);
      for (let choice = 0; choice < choices; choice++) found.push({ thread, choice });
    }
    if (timers === "eager" || found.length === 0) {
      const timer = this.nextTimer();
      if (timer !== undefined) found.push({ timer: timer.thread });
    }
    return found;
  }

  /** Performs an action that is enabled. Returns what gives it back, where the host keeps that. */
  perform(action: Action): StepUndo | null {
    if ("thread" in action)
      return this.#act(action.thread, action, () => performStep(this, action.thread, action.choice));
    if ("timer" in action)
      return this.#act(`(timer ${action.timer})`, action, () => this.#fire(action.timer));
    if ("clock" in action) return this.#act("(clock)", action, () => this.#advance(action.clock));
    return this.#act(`(${action.input})`, action, () =>
      inputNamed(action.input).apply(this, action.data as never),
    );
  }

  /** Gives an input from outside. */
  give<D extends Plain>(input: Input<D>, data: D): StepUndo | null {
    return this.perform({ input: input.name, data });
  }

  /** Sets the host up, as one step before the first. */
  boot(setUp: (host: Host) => void): void {
    this.begin();
    setUp(this);
    this.#wake(this.end());
    this.counters.last = "";
  }

  /** Gives back the step whose record this is: the latest not yet given back. The record then serves `reperform`. */
  unperform(undo: StepUndo): void {
    this.#swap(undo);
  }

  /** Takes a step again that was just given back, without performing it: costs what it touched. */
  reperform(undo: StepUndo): void {
    this.#swap(undo);
  }

  #swap(undo: StepUndo): void {
    const { now, step, seq, last } = this.counters;
    Object.assign(this.counters, undo.counters);
    undo.counters = { now, step, seq, last };
    for (const entry of this.swap(undo)) this.#refreshFor(entry);
  }

  /** Finds anew what is derived from cells: after cells were put in from a saved host. */
  rederive(): void {
    this.#runnable.length = 0;
    this.#subscriptions.clear();
    this.#timers.clear();
    for (const name of this.ids(threadCell)) this.#refresh(name as string);
  }

  #act(by: string, action: Action, perform: () => void): StepUndo | null {
    const { now, step, seq, last } = this.counters;
    this.counters.step++;
    if (this.onStep !== null) this.onStep(this.#stepRecord(action));
    this.#by = by;
    this.#parent = "thread" in action ? (this.get(threadCell, action.thread)?.wokenBy ?? 0) : 0;
    this.begin();
    perform();
    if ("thread" in action) this.counters.last = action.thread;
    const touched = this.end();
    const undo = this.tracking.undo
      ? { ...this.takeUndo(touched), counters: { now, step, seq, last } }
      : null;
    this.#wake(touched);
    return undo;
  }

  #stepRecord(action: Action): StepRecord {
    const frame = "thread" in action ? this.get(threadCell, action.thread)?.frame : undefined;
    return {
      step: this.counters.step,
      at: this.now,
      action,
      routine: frame?.routine ?? null,
      name: frame?.at ?? null,
    };
  }

  #fire(name: string): void {
    const thread = this.edit(threadCell, name);
    assert(thread.deadline !== null, `${name} waits for no time`);
    this.counters.now = Math.max(this.counters.now, thread.deadline);
    thread.deadline = null;
    thread.timedOut = true;
  }

  #advance(now: number): void {
    assert(now >= this.counters.now, "the clock does not go back");
    this.counters.now = now;
  }

  #wake(touched: readonly Entry[]): void {
    for (const entry of touched) this.#refreshFor(entry);
    // A thread goes on from the last event of its own step, or of the one that woke it.
    if (this.sink !== null) this.#noteCause(touched);
  }

  #noteCause(touched: readonly Entry[]): void {
    for (const { type, content } of touched) {
      if ((type as unknown) !== threadCell || content === undefined) continue;
      const thread = content as Thread;
      thread.wokenBy = Math.max(thread.wokenBy, this.#parent);
    }
  }

  #refreshFor(entry: Entry): void {
    if ((entry.type as unknown) === threadCell) this.#refresh(entry.id as string);
    if (entry.waiters === null) return;
    for (const name of [...entry.waiters]) this.#refresh(name);
  }

  /** Asks again whether a thread can step, and notes what its answer rests on. */
  #refresh(name: string): void {
    for (const entry of this.#subscriptions.get(name) ?? []) {
      entry.waiters?.delete(name);
      this.forget(entry);
    }
    this.#subscriptions.delete(name);
    const thread = this.get(threadCell, name);
    if (thread === undefined || thread.exit !== null) return removeSorted(this.#runnable, name);
    const { result, read } = this.reading(() => canStep(this, thread as Thread));
    for (const entry of read) (entry.waiters ??= new Set()).add(name);
    if (read.length > 0) this.#subscriptions.set(name, read);
    if (thread.deadline !== null) this.#timers.add(thread.deadline, name);
    if (result) this.#becomeRunnable(name, thread as Thread);
    else removeSorted(this.#runnable, name);
  }

  #becomeRunnable(name: string, thread: Thread): void {
    insertSorted(this.#runnable, name);
    if (this.sink !== null && thread.wokenBy < this.#parent) thread.wokenBy = this.#parent;
  }
}
