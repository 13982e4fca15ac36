// SPDX-License-Identifier: Apache-2.0
//
// The tracked registry of cells: knows what the step under way has touched, can
// give it back (undo), keeps the sum of the cells' hashes, and can say which
// cells somebody read.

import { cellType, compareIds } from "./cells.ts";
import type { CellId, Cells, CellType, DeepReadonly } from "./cells.ts";
import { assert } from "./errno.ts";
import { deadlineFactors, hashCell, seedOf } from "./hash.ts";
import type { DeadlineFactor, Hash } from "./hash.ts";
import { clonePlain } from "./plain.ts";

/** A cell in its table. `content` is undefined where there is no cell, but somebody waits for one. */
export interface Entry {
  readonly type: CellType<object>;
  readonly id: CellId;
  content: object | undefined;
  /** The step that touched it last. */
  stamp: number;
  /** What it held before that step, kept for undo. */
  before: object | undefined;
  /** What it counts in the host's hash, its deadlines apart, and what it counted before that step. */
  hashA: number;
  hashB: number;
  beforeA: number;
  beforeB: number;
  /** What does not change with the content: found when first needed. */
  seed: Hash | null;
  factors: readonly DeadlineFactor[] | null;
  /** Among those that may have become useless. */
  isIdle: boolean;
  /** The threads whose wait read it. */
  waiters: Set<Entry> | null;
  /** What the world derived from it, where it is a thread's. */
  thread: ThreadDerived | null;
  /** What exploration knows of it. */
  known: object | null;
}

/** What follows from a thread's cell and those its wait read. */
export interface ThreadDerived {
  /** The cells its wait read, absent ones too. */
  reads: readonly Entry[];
  canStep: boolean;
  /** The round of waking in which it was asked last. */
  asked: number;
}

/**
 * What gives a step back: the cells it touched, as they were. Once the step has
 * been given back, the same record holds what takes it again.
 */
export interface Undo {
  readonly cells: readonly KeptCell[];
}

/** A cell as it was on the other side of a step, and what it counted. */
interface KeptCell {
  readonly entry: Entry;
  content: object | undefined;
  a: number;
  b: number;
}

/** How much the registry does beside holding cells. */
export interface Tracking {
  /** Keep pre-images, so that a step can be undone. */
  undo: boolean;
  /** Keep the host's hash up to date. */
  hash: boolean;
}

const scratch: Hash = { a: 0, b: 0 };
/** So many entries may be useless before they are dropped. */
const IDLE_MAX = 4_096;

/** An entry without a content. */
export function makeEntry(type: CellType<object>, id: CellId): Entry {
  return {
    type,
    id,
    content: undefined,
    stamp: 0,
    before: undefined,
    hashA: 0,
    hashB: 0,
    beforeA: 0,
    beforeB: 0,
    seed: null,
    factors: null,
    isIdle: false,
    waiters: null,
    thread: null,
    known: null,
  };
}

/** What stands for a thing beside the cells that steps read: it is in no table, and counts in no sum. */
export const besideCell = cellType<object>("(beside)");

/** Cells with change tracking. Costs of a step's bookkeeping follow what the step touched. */
export class Registry implements Cells {
  readonly tracking: Tracking;
  readonly #tables: Map<CellId, Entry>[] = [];
  readonly #counts: number[] = [];
  /** For each type, what stands for which cells of it there are. */
  readonly #listings: Entry[] = [];
  #stamp = 0;
  #touched: Entry[] = [];
  #idle: Entry[] = [];
  #reads: Entry[] | null = null;
  /** Whether what reads is a wait's condition: it may not write. */
  #asking = false;
  /** Sums over all cells, lane by lane: of hashes and of factors times deadlines, and of the factors alone. */
  #sumA = 0;
  #sumB = 0;
  #factorsA = 0;
  #factorsB = 0;

  constructor(tracking: Tracking) {
    this.tracking = tracking;
  }

  get<T extends object>(type: CellType<T>, id: CellId): DeepReadonly<T> | undefined {
    if (this.#reads !== null) return this.#read(type, id) as DeepReadonly<T> | undefined;
    return this.#tables[type.index]?.get(id)?.content as DeepReadonly<T> | undefined;
  }

  edit<T extends object>(type: CellType<T>, id: CellId): T {
    const entry = this.#tables[type.index]?.get(id);
    if (entry?.content === undefined) throw new Error(`edit of missing cell ${type.name}/${id}`);
    this.#touch(entry);
    return entry.content as T;
  }

  add<T extends object>(type: CellType<T>, id: CellId, content: T): T {
    const entry = this.#entry(type, id);
    if (entry.content !== undefined) throw new Error(`cell ${type.name}/${id} added twice`);
    this.#touch(entry);
    entry.content = content;
    this.#changeCount(entry, 1);
    return content;
  }

  drop<T extends object>(type: CellType<T>, id: CellId): void {
    const entry = this.#tables[type.index]?.get(id);
    if (entry?.content === undefined) throw new Error(`drop of missing cell ${type.name}/${id}`);
    this.#touch(entry);
    entry.content = undefined;
    this.#changeCount(entry, -1);
  }

  ids<T extends object>(type: CellType<T>): CellId[] {
    assert(!this.#asking, `a wait's condition may not list ${type.name} cells`);
    this.#reads?.push(this.listing(type));
    const found: CellId[] = [];
    for (const [id, { content }] of this.#tables[type.index] ?? []) if (content !== undefined) found.push(id);
    return found.toSorted(compareIds);
  }

  count<T extends object>(type: CellType<T>): number {
    this.#reads?.push(this.listing(type));
    return this.#counts[type.index] ?? 0;
  }

  /** What `ask` gives, and every cell it read, absent ones too. */
  reading<R>(ask: () => R): { result: R; read: Entry[] } {
    assert(this.#reads === null, "reads are tracked already");
    const read: Entry[] = [];
    this.#reads = read;
    this.#asking = true;
    try {
      return { result: ask(), read };
    } finally {
      this.#reads = null;
      this.#asking = false;
    }
  }

  /**
   * From now on notes every cell that is read or written, absent ones too, in that
   * list, as often as it is; null: no longer. What lists a type's cells or counts
   * them reads the type's `listing`.
   */
  protected noteReads(into: Entry[] | null): void {
    this.#reads = into;
  }

  /** Whether reads are noted. */
  protected get isNoting(): boolean {
    return this.#reads !== null;
  }

  /** Notes that something beside the cells was read. */
  protected noteRead(entry: Entry): void {
    this.#reads?.push(entry);
  }

  /**
   * What stands for which cells of a type there are: its hash is that of the
   * identifiers, now and before the step that changed them last.
   */
  listing(type: CellType<object>): Entry {
    return (this.#listings[type.index] ??= makeEntry(besideCell, type.name));
  }

  /** How many cells there are. */
  get size(): number {
    return this.#counts.reduce((sum, count) => sum + count, 0);
  }

  /** Entries in the tables: cells, and absent ones that were cells or waited for not long ago. */
  get held(): number {
    return this.#tables.reduce((sum, table) => sum + table.size, 0);
  }

  /** Notes that an entry may have become useless: a cell that is gone, or that nobody waits for any more. */
  forget(entry: Entry): void {
    // Where steps are undone, records of them hold the entry.
    if (this.tracking.undo || entry.isIdle || entry.content !== undefined) return;
    entry.isIdle = true;
    this.#idle.push(entry);
    if (this.#idle.length >= IDLE_MAX) this.#sweep();
  }

  /**
   * Drops the entries that are still useless. Together and not one by one: the
   * names of short-lived cells come again and again, and deleting a key from a
   * big Map leaves a hole on the way to its next use until the Map is rehashed.
   */
  #sweep(): void {
    const idle = this.#idle;
    this.#idle = [];
    for (const entry of idle) {
      entry.isIdle = false;
      if (entry.content !== undefined || (entry.waiters?.size ?? 0) > 0) continue;
      // One that was dropped before may be noted again; by then its name can be another entry's.
      const table = this.#tables[entry.type.index];
      if (table?.get(entry.id) === entry) table.delete(entry.id);
    }
  }

  /** Begins a step: what is touched from now on belongs to it. */
  begin(): void {
    assert(this.#touched.length === 0, "a step is under way");
    this.#stamp++;
  }

  /** Ends the step: brings the hash up to date and returns what it touched. */
  end(): readonly Entry[] {
    const touched = this.#touched;
    this.#touched = [];
    for (const entry of touched) {
      if (this.tracking.hash) this.#rehash(entry);
      if (entry.content === undefined) this.forget(entry);
    }
    return touched;
  }

  /** The record that gives the ended step back. Pre-images move into it. */
  takeUndo(touched: readonly Entry[]): Undo {
    assert(this.tracking.undo, "this host keeps no pre-images");
    const cells = touched.map((entry) => {
      const kept = { entry, content: entry.before, a: entry.beforeA, b: entry.beforeB };
      entry.before = undefined;
      return kept;
    });
    return { cells };
  }

  /**
   * Gives steps back, or takes some again that were given back, one after another:
   * what cells hold and what the records hold change places. Only ever the step
   * at the end of those taken, or states mix. Returns what was touched. Cells
   * that several of the steps touched are counted once.
   */
  swap(steps: readonly Undo[]): readonly Entry[] {
    this.begin();
    for (const { cells } of steps) {
      for (const kept of cells) {
        const { entry } = kept;
        this.#touch(entry, false);
        const { content, hashA, hashB } = entry;
        entry.content = kept.content;
        entry.hashA = kept.a;
        entry.hashB = kept.b;
        if (content === undefined) this.#changeCount(entry, 1);
        if (kept.content === undefined) this.#changeCount(entry, -1);
        kept.content = content;
        kept.a = hashA;
        kept.b = hashB;
      }
    }
    const touched = this.#touched;
    this.#touched = [];
    if (this.tracking.hash) for (const entry of touched) this.#count(entry, 1);
    return touched;
  }

  /** The host's hash at a moment of its clock. */
  hashAt(now: number): Hash {
    const time = now | 0;
    return {
      a: (this.#sumA - Math.imul(this.#factorsA, time)) | 0,
      b: (this.#sumB - Math.imul(this.#factorsB, time)) | 0,
    };
  }

  /** The hash counted anew over every cell: what the incremental one must equal. */
  fullHashAt(now: number): Hash {
    const fresh = new Registry({ undo: false, hash: true });
    fresh.begin();
    for (const entry of this.entries()) fresh.add(entry.type, entry.id, entry.content as object);
    fresh.end();
    return fresh.hashAt(now);
  }

  /** Cells whose content no longer has the hash it was counted with: somebody wrote without `edit`. */
  changedBehindBack(): string[] {
    const changed: string[] = [];
    for (const { type, id, content, hashA, hashB } of this.entries()) {
      hashCell(type, seedOf(type, id), content as object, scratch);
      if (scratch.a !== hashA || scratch.b !== hashB) changed.push(`${type.name}/${id}`);
    }
    return changed;
  }

  /** Every cell, in order of type and identifier. */
  *entries(): Generator<Entry> {
    for (const table of this.#tables) {
      if (table === undefined) continue;
      const sorted = [...table.values()].toSorted((x, y) => compareIds(x.id, y.id));
      for (const entry of sorted) if (entry.content !== undefined) yield entry;
    }
  }

  /** What the tables have of that name: a cell, or an absent one that somebody waits for. */
  protected entryOf<T extends object>(type: CellType<T>, id: CellId): Entry | undefined {
    return this.#tables[type.index]?.get(id);
  }

  #entry(type: CellType<object>, id: CellId): Entry {
    const table = (this.#tables[type.index] ??= new Map());
    let entry = table.get(id);
    if (entry === undefined) {
      entry = makeEntry(type, id);
      table.set(id, entry);
    }
    return entry;
  }

  #read(type: CellType<object>, id: CellId): object | undefined {
    const entry = this.#entry(type, id);
    this.#reads?.push(entry);
    return entry.content;
  }

  #touch(entry: Entry, keep = true): void {
    if (entry.stamp === this.#stamp) return;
    assert(!this.#asking, `a wait's condition may not write ${entry.type.name}/${entry.id}`);
    entry.stamp = this.#stamp;
    this.#reads?.push(entry);
    if (keep && this.tracking.undo) entry.before = clonePlain(entry.content);
    this.#touched.push(entry);
    if (!this.tracking.hash) return;
    this.#count(entry, -1);
    entry.beforeA = entry.hashA;
    entry.beforeB = entry.hashB;
  }

  #changeCount(entry: Entry, by: 1 | -1): void {
    const { type, id } = entry;
    this.#counts[type.index] = (this.#counts[type.index] ?? 0) + by;
    if (!this.tracking.hash) return;
    const listing = this.listing(type);
    if (listing.stamp !== this.#stamp) {
      listing.stamp = this.#stamp;
      listing.beforeA = listing.hashA;
      listing.beforeB = listing.hashB;
    }
    const { a, b } = (entry.seed ??= seedOf(type, id));
    listing.hashA = (listing.hashA + by * a) | 0;
    listing.hashB = (listing.hashB + by * b) | 0;
  }

  #rehash(entry: Entry): void {
    const { type, id, content } = entry;
    if (content === undefined) entry.hashA = entry.hashB = 0;
    else {
      hashCell(type, (entry.seed ??= seedOf(type, id)), content, scratch);
      entry.hashA = scratch.a;
      entry.hashB = scratch.b;
    }
    this.#count(entry, 1);
  }

  /** Adds or takes away what an entry counts in the sums. */
  #count(entry: Entry, sign: 1 | -1): void {
    const { type, id, content, hashA, hashB } = entry;
    this.#sumA = (this.#sumA + sign * hashA) | 0;
    this.#sumB = (this.#sumB + sign * hashB) | 0;
    if (content === undefined || type.deadlines.size === 0) return;
    for (const { field, a, b } of (entry.factors ??= deadlineFactors(type, id))) {
      const deadline = (content as Record<string, number | null>)[field];
      if (deadline === null || deadline === undefined) continue;
      const time = deadline | 0;
      this.#sumA = (this.#sumA + sign * Math.imul(a, time)) | 0;
      this.#sumB = (this.#sumB + sign * Math.imul(b, time)) | 0;
      this.#factorsA = (this.#factorsA + sign * a) | 0;
      this.#factorsB = (this.#factorsB + sign * b) | 0;
    }
  }
}
