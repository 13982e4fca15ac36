// SPDX-License-Identifier: Apache-2.0
//
// A turn: a thread's step, and what those who go first make of it before anybody
// else steps again. What it touched is recorded, cell by cell.

import { assert } from "../core/engine/errno.ts";
import type { CellType } from "../core/engine/cells.ts";
import type { Entry } from "../core/engine/registry.ts";
import { isUnseen, threadCell } from "../core/engine/thread.ts";
import type { Thread } from "../core/engine/thread.ts";
import type { Action, Footprint, StepUndo, World } from "../core/engine/world.ts";
import { lanesValue, TIMER, valueOf } from "./known.ts";
import type { Known, KnownCell, Turn, Value } from "./known.ts";

/** More steps in one turn than any has: beyond them those who go first do not come to rest. */
const STEPS_MAX = 100_000;

/** Whether a thread, as it stands, goes before all others. */
export type GoesFirst = (name: string, thread: Thread) => boolean;

/** Whether a thread only moves messages on between others. */
export function isServer(thread: string): boolean {
  return thread === "xenstored" || thread.endsWith("/xenbus");
}

/** Servers, threads whose next step nobody sees, and those taken to react at once. */
export function goesFirst(prompt: readonly string[], servers: boolean): GoesFirst {
  return (name, thread) => prompt.includes(name) || (servers && (isServer(name) || isUnseen(thread)));
}

/** What is enabled: of those who go first only the first one's. */
export function enabledActions(world: World, timers: "eager" | "lazy", first: GoesFirst): Action[] {
  const actions = world.actions(timers);
  for (const action of actions) {
    if (!("thread" in action)) continue;
    if (!first(action.thread, world.get(threadCell, action.thread) as Thread)) continue;
    return actions.filter((other) => "thread" in other && other.thread === action.thread);
  }
  return actions;
}

/** Takes turns, and records them. */
export class Turns {
  readonly #world: World;
  readonly #known: Known;
  readonly #first: GoesFirst;
  readonly #timersAnyTime: boolean;
  readonly #footprint: Footprint = { cells: [], asked: [], moved: [] };
  #now = 0;
  #turn = 0;
  #steps = 0;
  #reads: KnownCell[] = [];
  #values: Value[] = [];
  #listings: KnownCell[] = [];
  /** What threads waited for before the turn, where they do not any more. */
  readonly #waited = new Map<KnownCell, readonly Entry[]>();
  #touched: { cell: KnownCell; content: object | undefined }[] = [];
  /** Threads whose waits were asked. */
  readonly #asked = new Set<Entry>();
  /** The step under way. */
  acting: Action = { thread: "", choice: 0 };

  /** @param timersAnyTime timers fire beside other things, and not only when nothing else can happen */
  constructor(world: World, known: Known, first: GoesFirst, timersAnyTime: boolean) {
    this.#timersAnyTime = timersAnyTime;
    this.#world = world;
    this.#known = known;
    this.#first = first;
  }

  /** The turn that an action begins, where one like it was seen. */
  foretell(action: Action): Turn | undefined {
    if (!("thread" in action)) return undefined;
    const thread = this.#world.threadEntry(action.thread) as Entry;
    return this.#known.foretell(this.#known.of(thread), action.choice);
  }

  /** Learns what threads wait for that cannot take a turn as things are. */
  learnWaits(threads: Iterable<Entry>): void {
    for (const entry of threads) {
      const thread = entry.content as Thread | undefined;
      if (thread === undefined || thread.exit !== null || entry.thread?.canStep !== false) continue;
      // Those who go first take no turns of their own.
      if (!this.#first(entry.id as string, thread)) this.#known.learnWait(this.#known.of(entry));
    }
  }

  /**
   * Takes the turn that begins with an action. Its steps go into `undos`, each
   * told as soon as it was taken, and learns from it; a broken invariant is thrown.
   */
  take(action: Action, undos: StepUndo[], stepped: (undo: StepUndo, action: Action) => void): Turn {
    this.#turn++;
    this.#steps++;
    this.#reads = [];
    this.#values = [];
    this.#listings = [];
    this.#touched = [];
    this.#asked.clear();
    this.#waited.clear();
    const own = this.#begin(action);
    this.#now = this.#world.counters.now;
    let next: Action | undefined = action;
    while (next !== undefined) {
      const undo = this.#step(next);
      undos.push(undo);
      stepped(undo, next);
      assert(undos.length <= STEPS_MAX, "those who go first do not come to rest");
      next = this.#nextFirst();
    }
    const turn = this.#record(own);
    if ("thread" in action) this.#known.learn(turn, action.choice);
    else if (this.#timersAnyTime) this.#known.learn(turn, TIMER);
    this.learnWaits(this.#asked);
    return turn;
  }

  /** Notes what decides that the action can be taken: the thread it is of, and what its wait read. */
  #begin(action: Action): KnownCell | null {
    if ("thread" in action) {
      const thread = this.#world.threadEntry(action.thread) as Entry;
      this.#noteThread(thread);
      return this.#known.of(thread);
    }
    if (!("timer" in action)) return null;
    const own = this.#known.of(this.#world.threadEntry(action.timer) as Entry);
    this.#note(own);
    return own;
  }

  /** The step that goes first now, if there is just one way to take it. */
  #nextFirst(): Action | undefined {
    const [action, other] = enabledActions(this.#world, "lazy", this.#first);
    if (other !== undefined || action === undefined || !("thread" in action)) return undefined;
    return this.#isFirst(action.thread) ? action : undefined;
  }

  #isFirst(name: string): boolean {
    const thread = this.#world.get(threadCell, name);
    return thread !== undefined && this.#first(name, thread);
  }

  #step(action: Action): StepUndo {
    const { cells, asked, moved } = this.#footprint;
    cells.length = asked.length = moved.length = 0;
    this.acting = action;
    this.#world.footprint = this.#footprint;
    let undo: StepUndo | null;
    try {
      undo = this.#world.perform(action);
    } finally {
      this.#world.footprint = null;
    }
    assert(undo !== null, "exploration needs a host that keeps pre-images");
    this.#steps++;
    for (const { entry, content, a, b } of undo.cells) {
      const cell = this.#known.of(entry);
      cell.step = this.#steps;
      cell.held = lanesValue(a, b);
      if ((content === undefined) !== (entry.content === undefined)) this.#noteListing(entry.type);
    }
    for (const entry of cells) this.#note(this.#known.of(entry));
    for (const { entry, content } of undo.cells) this.#noteTouched(this.#known.of(entry), content);
    this.#noteAsked(asked);
    for (const { thread, reads } of moved) {
      const cell = this.#known.of(thread);
      if (!this.#waited.has(cell)) this.#waited.set(cell, reads);
    }
    return undo;
  }

  /** Notes a cell where the turn meets it first, with what it held before the turn. */
  #note(cell: KnownCell): void {
    if (cell.turn === this.#turn) return;
    cell.turn = this.#turn;
    if (cell.touched !== this.#turn)
      cell.before = cell.step === this.#steps ? cell.held : valueOf(cell.entry);
    this.#reads.push(cell);
    this.#values.push(cell.before);
  }

  /** Which cells of a type there are has changed: what there were before the turn is kept, should it ask. */
  #noteListing(type: CellType<object>): void {
    const listing = this.#known.of(this.#world.listing(type));
    if (listing.touched === this.#turn) return;
    listing.touched = this.#turn;
    listing.before = lanesValue(listing.entry.beforeA, listing.entry.beforeB);
    this.#listings.push(listing);
  }

  #noteTouched(cell: KnownCell, content: object | undefined): void {
    if (cell.touched !== this.#turn) {
      cell.touched = this.#turn;
      cell.changed = false;
      this.#touched.push({ cell, content });
    }
    if (valueOf(cell.entry) !== cell.held) cell.changed = true;
  }

  /** Whether a thread that goes first is woken is a part of the turn. */
  #noteAsked(asked: readonly Entry[]): void {
    const first: Entry[] = [];
    for (const entry of asked) {
      this.#asked.add(entry);
      if (this.#isFirst(entry.id as string)) first.push(entry);
    }
    if (first.length > 1) first.sort((a, b) => (a.id < b.id ? -1 : 1));
    for (const entry of first) this.#noteThread(entry);
  }

  /** A thread's cell, and what its wait read. */
  #noteThread(entry: Entry): void {
    this.#note(this.#known.of(entry));
    for (const read of entry.thread?.reads ?? []) this.#note(this.#known.of(read));
  }

  #record(own: KnownCell | null): Turn {
    const writes: KnownCell[] = [];
    const passing: KnownCell[] = [];
    const waits = new Set<KnownCell>();
    for (const { cell, content } of this.#touched) {
      const { entry, before } = cell;
      const now = valueOf(entry);
      if (now === before && !deadlinesDiffer(entry, content)) {
        if (cell.changed) passing.push(cell);
        continue;
      }
      writes.push(cell);
      if (cell.turns !== null && cell !== own && content !== undefined)
        if (this.#first(entry.id as string, content as Thread)) this.#noteWaits(cell, waits);
    }
    if (this.#world.counters.now !== this.#now) writes.push(this.#known.of(this.#world.clock));
    return {
      reads: this.#reads,
      values: this.#values,
      writes,
      written: writes.map(({ entry }) => valueOf(entry)),
      listings: this.#listings.filter(({ entry, before }) => valueOf(entry) !== before),
      passing,
      waits: [...waits],
    };
  }

  /** What a thread waited for before the turn, and behind it. */
  #noteWaits(thread: KnownCell, waits: Set<KnownCell>): void {
    const now = thread.entry.thread?.reads ?? [];
    for (const entry of this.#waited.get(thread) ?? now) waits.add(this.#known.of(entry));
    for (const entry of now) waits.add(this.#known.of(entry));
  }
}

/** Whether one of a cell's deadlines is another one: they are no part of its hash. */
function deadlinesDiffer({ type, content }: Entry, before: object | undefined): boolean {
  if (content === undefined || before === undefined) return false;
  for (const field of type.deadlines) {
    if (content[field as keyof typeof content] !== before[field as keyof typeof before]) return true;
  }
  return false;
}
