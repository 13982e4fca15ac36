// SPDX-License-Identifier: Apache-2.0
//
// The tracked registry of cells: knows what the step under way has touched, can
// give it back (undo), keeps the sum of the cells' hashes, and can say which
// cells somebody read.

import { compareIds } from "./cells.ts";
import type { CellId, Cells, CellType, DeepReadonly } from "./cells.ts";
import { assert } from "./errno.ts";
import { deadlineFactor, hashCell } from "./hash.ts";
import type { Hash } from "./hash.ts";
import { clonePlain } from "./plain.ts";

/** A cell in its table. `content` is undefined where there is no cell, but somebody waits for one. */
export interface Entry {
  readonly type: CellType<object>;
  readonly id: CellId;
  content: object | undefined;
  /** The step that touched it last. */
  stamp: number;
  /** What it held before that step, and what that counted, kept for undo. */
  before: object | undefined;
  hashBefore: Hash;
  hash: Hash;
  /** Names of threads whose wait read it. */
  waiters: Set<string> | null;
}

/**
 * What gives a step back: the cells it touched, as they were. Once the step has
 * been given back, the same record holds what takes it again.
 */
export interface Undo {
  cells: { type: CellType<object>; id: CellId; content: object | undefined; hash: Hash }[];
}

/** How much the registry does beside holding cells. */
export interface Tracking {
  /** Keep pre-images, so that a step can be undone. */
  undo: boolean;
  /** Keep the host's hash up to date. */
  hash: boolean;
}

const scratch: Hash = { a: 0, b: 0 };
/** What an absent cell counts. Never written to. */
const NOTHING: Hash = { a: 0, b: 0 };

/** Cells with change tracking. Costs of a step's bookkeeping follow what the step touched. */
export class Registry implements Cells {
  readonly tracking: Tracking;
  readonly #tables: Map<CellId, Entry>[] = [];
  readonly #counts: number[] = [];
  #stamp = 0;
  #touched: Entry[] = [];
  #reads: Entry[] | null = null;
  /** Sum of the cells' hashes without deadlines, and of factor times deadline, and of factors. */
  readonly #sum: Hash = { a: 0, b: 0 };
  readonly #factors: Hash = { a: 0, b: 0 };

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
    this.#counts[type.index] = (this.#counts[type.index] ?? 0) + 1;
    return content;
  }

  drop<T extends object>(type: CellType<T>, id: CellId): void {
    const entry = this.#tables[type.index]?.get(id);
    if (entry?.content === undefined) throw new Error(`drop of missing cell ${type.name}/${id}`);
    this.#touch(entry);
    entry.content = undefined;
    this.#counts[type.index] = (this.#counts[type.index] as number) - 1;
  }

  ids<T extends object>(type: CellType<T>): CellId[] {
    assert(this.#reads === null, `a wait's condition may not list ${type.name} cells`);
    const found: CellId[] = [];
    for (const [id, { content }] of this.#tables[type.index] ?? []) if (content !== undefined) found.push(id);
    return found.toSorted(compareIds);
  }

  count<T extends object>(type: CellType<T>): number {
    return this.#counts[type.index] ?? 0;
  }

  /** What `ask` gives, and every cell it read, absent ones too. */
  reading<R>(ask: () => R): { result: R; read: Entry[] } {
    assert(this.#reads === null, "reads are tracked already");
    const read: Entry[] = [];
    this.#reads = read;
    try {
      return { result: ask(), read };
    } finally {
      this.#reads = null;
    }
  }

  /** Forgets the entry of an absent cell that nobody waits for any more. */
  forget(entry: Entry): void {
    if (
      entry.content === undefined &&
      (entry.waiters === null || entry.waiters.size === 0) &&
      entry.stamp !== this.#stamp
    )
      this.#tables[entry.type.index]?.delete(entry.id);
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
    if (this.tracking.hash) for (const entry of touched) this.#rehash(entry);
    return touched;
  }

  /** The record that gives the ended step back. Pre-images move into it. */
  takeUndo(touched: readonly Entry[]): Undo {
    assert(this.tracking.undo, "this host keeps no pre-images");
    const cells = touched.map(({ type, id, before, hashBefore }) => ({
      type,
      id,
      content: before,
      hash: hashBefore,
    }));
    for (const entry of touched) entry.before = undefined;
    return { cells };
  }

  /**
   * Gives a step back, or takes one again that was given back: what cells hold
   * and what the record holds change places. Only ever the step at the end of
   * those taken, or states mix. Returns what changed.
   */
  swap({ cells }: Undo): readonly Entry[] {
    this.begin();
    for (const kept of cells) {
      const entry = this.#entry(kept.type, kept.id);
      const { content, hash } = entry;
      this.#touch(entry, false);
      entry.content = kept.content;
      entry.hash = kept.hash;
      if (this.tracking.hash) this.#count(entry, 1);
      this.#counts[kept.type.index] =
        (this.#counts[kept.type.index] ?? 0) +
        Number(kept.content !== undefined) -
        Number(content !== undefined);
      kept.content = content;
      kept.hash = hash;
    }
    const touched = this.#touched;
    this.#touched = [];
    return touched;
  }

  /** The host's hash at a moment of its clock. */
  hashAt(now: number): Hash {
    const time = now | 0;
    return {
      a: (this.#sum.a - Math.imul(this.#factors.a, time)) | 0,
      b: (this.#sum.b - Math.imul(this.#factors.b, time)) | 0,
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
    for (const { type, id, content, hash } of this.entries()) {
      hashCell(type, id, content as object, scratch);
      if (scratch.a !== hash.a || scratch.b !== hash.b) changed.push(`${type.name}/${id}`);
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

  #entry(type: CellType<object>, id: CellId): Entry {
    const table = (this.#tables[type.index] ??= new Map());
    let entry = table.get(id);
    if (entry === undefined) {
      entry = {
        type,
        id,
        content: undefined,
        stamp: 0,
        before: undefined,
        hashBefore: NOTHING,
        hash: NOTHING,
        waiters: null,
      };
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
    assert(this.#reads === null, `a wait's condition may not write ${entry.type.name}/${entry.id}`);
    entry.stamp = this.#stamp;
    if (keep && this.tracking.undo) entry.before = clonePlain(entry.content);
    this.#touched.push(entry);
    if (!this.tracking.hash) return;
    this.#count(entry, -1);
    entry.hashBefore = entry.hash;
  }

  #rehash(entry: Entry): void {
    if (entry.content === undefined) entry.hash = NOTHING;
    else hashCell(entry.type, entry.id, entry.content, (entry.hash = { a: 0, b: 0 }));
    this.#count(entry, 1);
  }

  /** Adds or takes away what an entry counts in the sums. */
  #count({ type, id, content, hash }: Entry, sign: 1 | -1): void {
    this.#sum.a = (this.#sum.a + sign * hash.a) | 0;
    this.#sum.b = (this.#sum.b + sign * hash.b) | 0;
    if (content === undefined || type.deadlines.size === 0) return;
    for (const field of type.deadlines) {
      const deadline = (content as Record<string, number | null>)[field];
      if (deadline === null || deadline === undefined) continue;
      deadlineFactor(type, id, field, scratch);
      const time = deadline | 0;
      this.#sum.a = (this.#sum.a + sign * Math.imul(scratch.a, time)) | 0;
      this.#sum.b = (this.#sum.b + sign * Math.imul(scratch.b, time)) | 0;
      this.#factors.a = (this.#factors.a + sign * scratch.a) | 0;
      this.#factors.b = (this.#factors.b + sign * scratch.b) | 0;
    }
  }
}
