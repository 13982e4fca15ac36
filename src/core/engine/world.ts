// SPDX-License-Identifier: Apache-2.0
//
// A host in motion: cells, clock, trace, and which of its threads could take a
// step. One step is one action: a thread's next step, a timer, an input.

import type { CellId, Plain } from "./cells.ts";
import { assert } from "./errno.ts";
import type { Host, Memory } from "./host.ts";
import { inputNamed } from "./input.ts";
import type { Input } from "./input.ts";
import { CellMemory } from "./memory.ts";
import { seedPrng } from "./prng.ts";
import type { Prng } from "./prng.ts";
import { besideCell, makeEntry, Registry } from "./registry.ts";
import type { Entry, ThreadDerived, Tracking, Undo } from "./registry.ts";
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

/** What a program outside had put into memory that it maps, as the step found it that looked there first. */
export interface ForeignWrite {
  step: number;
  mfn: number;
  offset: number;
  bytes: Uint8Array;
}

export interface WorldOptions {
  tracking?: Tracking;
  /** Contents of machine frames; in cells unless something else is given. */
  memory?: Memory;
  /** Leaves in those cells what is stale: programs outside go on from it, whose writes are written in. */
  keepsStale?: boolean;
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

/** What steps touch, in the order in which they do; and threads whose waits were asked behind them. */
export interface Footprint {
  readonly cells: Entry[];
  readonly asked: Entry[];
  /** Threads whose waits read other cells than before, and what they had read. */
  readonly moved: { thread: Entry; reads: readonly Entry[] }[];
}

const NO_READS: readonly Entry[] = [];

/** A host in motion. See `Host` for what steps see of it. */
export class World extends Registry implements Host {
  readonly memory: Memory;
  /** Receives events; without it none are made. */
  sink: TraceSink | null = null;
  /** Where is noted what steps read and write, and which threads' waits were asked behind them; null: nowhere. */
  footprint: Footprint | null = null;
  /** Receives every step taken. */
  onStep: ((record: StepRecord) => void) | null = null;
  readonly counters: WorldCounters;
  /** What stands for the time where steps read it. It tells no times apart, as states do not. */
  readonly clock = makeEntry(besideCell, "clock");
  readonly #runnable: string[] = [];
  readonly #timers = new Timers();
  /** Numbers the rounds of asking who can step. */
  #round = 0;
  #by = "(boot)";
  #current = "";
  #parent = 0;
  #acting = false;

  constructor(options: WorldOptions = {}) {
    super(options.tracking ?? { undo: false, hash: false });
    this.memory = options.memory ?? new CellMemory(this, options.keepsStale);
    this.counters = { now: 0, step: 0, seq: 0, prng: seedPrng(options.seed ?? 0), last: "" };
  }

  get now(): number {
    if (this.isNoting) this.noteRead(this.clock);
    return this.counters.now;
  }

  /** What a thread's cell is kept in; undefined where no thread had that name. */
  threadEntry(name: string): Entry | undefined {
    return this.entryOf(threadCell, name);
  }

  /** What the cells of threads are kept in. */
  threadEntries(): Entry[] {
    return this.ids(threadCell).map((name) => this.entryOf(threadCell, name) as Entry);
  }

  /** What `ask` gives, and everything it reads. Unlike a wait's condition it may list cells. */
  looking<R>(ask: () => R): { result: R; read: Entry[] } {
    const read: Entry[] = [];
    this.noteReads(read);
    try {
      return { result: ask(), read };
    } finally {
      this.noteReads(null);
    }
  }

  get current(): string {
    return this.#current;
  }

  get step(): number {
    return this.counters.step;
  }

  /** Whether a step is being taken: what is read of memory then may decide what it does. */
  get acting(): boolean {
    return this.#acting;
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

  /**
   * What a thread's wait asked about: the cells its condition read when it was asked
   * last, absent ones too. Empty for a thread that does not wait, or does not exist.
   */
  waitsOn(thread: string): readonly { readonly type: string; readonly id: CellId }[] {
    const reads = this.entryOf(threadCell, thread)?.thread?.reads ?? NO_READS;
    return reads.map(({ type, id }) => ({ type: type.name, id }));
  }

  /** The earliest timer that is set, or undefined. */
  nextTimer(): { deadline: number; thread: string } | undefined {
    return this.#timers.first();
  }

  /** How many threads wait with a time-out. */
  get timersSet(): number {
    return this.#timers.size;
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
    if ("clock" in action) return this.#act("(clock)", action, () => this.setClock(action.clock));
    return this.#act(`(${action.input})`, action, () =>
      inputNamed(action.input).apply(this, action.data as never),
    );
  }

  /** Gives an input from outside. */
  give<D extends Plain>(input: Input<D>, data: D): StepUndo | null {
    return this.perform({ input: input.name, data });
  }

  /** Writes into memory what a recorded step found there, before that step is taken again. */
  writeForeign(writes: readonly ForeignWrite[]): void {
    this.begin();
    for (const { mfn, offset, bytes } of writes) this.memory.write(mfn, offset, bytes);
    this.#refreshAll(this.end());
  }

  /**
   * Says what time it is, on a host whose clock is real. No step of its own: the
   * next one's record says at what time it was taken.
   */
  setClock(now: number): void {
    assert(now >= this.counters.now, "the clock does not go back");
    this.counters.now = now;
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
    this.exchange([undo]);
  }

  /** Takes a step again that was just given back, without performing it: costs what it touched. */
  reperform(undo: StepUndo): void {
    this.exchange([undo]);
  }

  /**
   * `unperform` and `reperform` for steps one after another: back along a branch
   * of a search and on along another. Who can step is asked once, at the end.
   */
  exchange(undos: readonly StepUndo[]): void {
    const { counters } = this;
    for (const undo of undos) {
      const { now, step, seq, last } = counters;
      counters.now = undo.counters.now;
      counters.step = undo.counters.step;
      counters.seq = undo.counters.seq;
      counters.last = undo.counters.last;
      undo.counters = { now, step, seq, last };
    }
    this.#refreshAll(this.swap(undos));
  }

  #act(by: string, action: Action, perform: () => void): StepUndo | null {
    const { now, step, seq, last } = this.counters;
    this.counters.step++;
    if (this.onStep !== null) this.onStep(this.#stepRecord(action));
    this.#by = by;
    this.#parent = "thread" in action ? (this.get(threadCell, action.thread)?.wokenBy ?? 0) : 0;
    this.#current = "thread" in action ? action.thread : "";
    this.begin();
    this.#acting = true;
    try {
      if (this.footprint !== null) this.noteReads(this.footprint.cells);
      perform();
    } catch (error) {
      this.#giveUp({ now, step, seq, last });
      throw error;
    } finally {
      this.noteReads(null);
    }
    this.#current = "";
    if ("thread" in action) this.counters.last = action.thread;
    const touched = this.end();
    const undo = this.tracking.undo
      ? { ...this.takeUndo(touched), counters: { now, step, seq, last } }
      : null;
    this.#wake(touched);
    this.#acting = false;
    return undo;
  }

  /** Leaves a step that broke an invariant, as if it had not been begun, where steps can be given back. */
  #giveUp(counters: StepUndo["counters"]): void {
    if (!this.tracking.undo) return;
    this.swap([this.takeUndo(this.end())]);
    Object.assign(this.counters, counters);
    this.#current = "";
    this.#acting = false;
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

  #wake(touched: readonly Entry[]): void {
    this.#refreshAll(touched);
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

  /** Asks every thread anew whose answer may have changed: each once. */
  #refreshAll(touched: readonly Entry[]): void {
    this.#round++;
    for (const entry of touched) {
      if ((entry.type as unknown) === threadCell) this.#refresh(entry);
      // A thread that leaves the set and comes back is met again, and not asked again.
      if (entry.waiters !== null) for (const waiter of entry.waiters) this.#refresh(waiter);
    }
  }

  /** Asks whether a thread can step, and notes what its answer rests on. */
  #refresh(entry: Entry): void {
    const derived = (entry.thread ??= { reads: NO_READS, canStep: false, asked: 0 });
    if (derived.asked === this.#round) return;
    derived.asked = this.#round;
    this.footprint?.asked.push(entry);
    const name = entry.id as string;
    const thread = entry.content as Thread | undefined;
    if (thread === undefined || thread.exit !== null) {
      this.#subscribe(entry, derived, NO_READS);
      this.#timers.set(name, null);
      this.#setCanStep(name, derived, false);
      return;
    }
    const { result, read } = this.reading(() => canStep(this, thread));
    this.#subscribe(entry, derived, read);
    this.#timers.set(name, thread.deadline);
    this.#setCanStep(name, derived, result);
    if (result && this.sink !== null && thread.wokenBy < this.#parent) thread.wokenBy = this.#parent;
  }

  #subscribe(entry: Entry, derived: ThreadDerived, read: readonly Entry[]): void {
    const { reads } = derived;
    if (reads.length === read.length && reads.every((old, at) => old === read[at])) return;
    this.footprint?.moved.push({ thread: entry, reads });
    for (const old of reads) old.waiters?.delete(entry);
    for (const now of read) (now.waiters ??= new Set()).add(entry);
    for (const old of reads) this.forget(old);
    derived.reads = read;
  }

  #setCanStep(name: string, derived: ThreadDerived, canStepNow: boolean): void {
    if (derived.canStep === canStepNow) return;
    derived.canStep = canStepNow;
    if (canStepNow) insertSorted(this.#runnable, name);
    else removeSorted(this.#runnable, name);
  }
}
