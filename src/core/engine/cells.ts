// SPDX-License-Identifier: Apache-2.0
//
// Host state is a registry of small plain objects, the cells. Everything that
// lives (a domain, a xenstore node, a thread) is one or a few of them, found by
// type and identifier, never by object reference.

import { Numbered } from "./numbered.ts";

/** What tells two cells of one type apart. Strings join parts with `/`. */
export type CellId = number | string;

/**
 * What a cell may hold, at any depth: no functions, promises, class instances,
 * Sets or references to other cells. A Map's insertion order is meaningful (it
 * is hashed); use one only where the order is what the modelled system keeps.
 */
export type Plain =
  | null
  | undefined
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | readonly Plain[]
  | ReadonlyMap<string | number, Plain>
  | { readonly [field: string]: Plain };

/** A cell as everybody but its current editor sees it. */
export type DeepReadonly<T> = T extends
  | null
  | undefined
  | boolean
  | number
  | bigint
  | string
  | symbol
  | Uint8Array
  ? T
  : T extends ReadonlyMap<infer K, infer V>
    ? ReadonlyMap<K, DeepReadonly<V>>
    : T extends readonly (infer E)[]
      ? readonly DeepReadonly<E>[]
      : { readonly [F in keyof T]: DeepReadonly<T[F]> };

/**
 * One kind of cell: `domain`, `node`, `thread`. `T` is the shape of its content.
 * Every field of a cell is semantic unless its name is listed here:
 * - `provenance`: who, when, in which step; no behaviour may depend on it and it
 *   is not part of the state's identity (its hash).
 * - `deadlines`: an absolute time in microseconds, or `null`; compared between
 *   states relative to the host's clock.
 */
export interface CellType<T extends object> {
  readonly name: string;
  /** A small number for table lookups; the order of declaration, not stable between versions. */
  readonly index: number;
  readonly provenance: ReadonlySet<string>;
  readonly deadlines: ReadonlySet<string>;
  /** Carries `T` for inference; never present. */
  readonly content?: T;
}

const declared: CellType<object>[] = [];

/**
 * Declares a kind of cell. Names are unique in the program.
 *
 * @param provenance field names, at any depth of the cell, outside the state's identity
 * @param deadlines top-level field names holding absolute microseconds or `null`
 */
export function cellType<T extends object>(
  name: string,
  options: { provenance?: readonly string[]; deadlines?: readonly string[] } = {},
): CellType<T> {
  if (declared.some((type) => type.name === name)) throw new Error(`cell type ${name} declared twice`);
  const type: CellType<T> = {
    name,
    index: declared.length,
    provenance: new Set(options.provenance),
    deadlines: new Set(options.deadlines),
  };
  declared.push(type);
  return type;
}

/** Every kind of cell declared so far, in order of declaration. */
export function cellTypes(): readonly CellType<object>[] {
  return declared;
}

/**
 * Access to cells. Steps read with `get` and write only through what `edit` or
 * `add` returned in the same step; nothing of a cell is kept across steps.
 * The engine implements it with change tracking and undo; `PlainCells` without.
 */
export interface Cells {
  /** The cell, or undefined where there is none. */
  get<T extends object>(type: CellType<T>, id: CellId): DeepReadonly<T> | undefined;
  /** The cell for writing. Throws where there is none: a broken invariant, not an expected error. */
  edit<T extends object>(type: CellType<T>, id: CellId): T;
  /** Adds a cell. Throws where one exists. The object belongs to the registry from then on. */
  add<T extends object>(type: CellType<T>, id: CellId, content: T): T;
  /** Removes a cell. Throws where there is none. */
  drop<T extends object>(type: CellType<T>, id: CellId): void;
  /** Identifiers of all cells of a type, sorted as `compareIds` does. Costs a sort: not for hot paths. */
  ids<T extends object>(type: CellType<T>): CellId[];
  /** How many cells of a type there are. */
  count<T extends object>(type: CellType<T>): number;
  /**
   * Where text made from cells may be kept, for as long as nobody who changes
   * the cells takes it out. Absent where steps are undone: that changes cells, too.
   */
  readonly texts?: Map<string, string>;
}

/** The cell, which must exist: a missing one is a broken invariant. */
export function must<T extends object>(cells: Cells, type: CellType<T>, id: CellId): DeepReadonly<T> {
  const content = cells.get(type, id);
  if (content === undefined) throw new Error(`no cell ${type.name}/${id}`);
  return content;
}

/** Numbers by value, strings by code unit, numbers before strings. */
export function compareIds(a: CellId, b: CellId): number {
  if (typeof a === typeof b) return a < b ? -1 : a > b ? 1 : 0;
  return typeof a === "number" ? -1 : 1;
}

/**
 * Entries that every table has and that never go. V8's Map is copied into a new
 * table whenever entries that came, those that went included, fill the old one,
 * and shrinks to what is left; each old table refers to the next. Once one of
 * them has been moved to the old generation, all that follow it stay until that
 * is collected, with every cell they held when they were full. A table of a few
 * cells that come and go was full every fourth time: nearly all of a
 * transaction's cells outlived it, and collecting them took a quarter of all
 * time. With these entries it is full every sixty-fourth time.
 */
const ballast: readonly symbol[] = Array.from({ length: 64 }, () => Symbol("ballast"));

/** What keeps the cells of one type, where there is no tracking. */
export interface CellTable {
  get(id: CellId): object | undefined;
  /** The cell from then on; undefined where there is one already. */
  add(id: CellId, content: object): object | undefined;
  /** False where there is none. */
  drop(id: CellId): boolean;
  /** Identifiers of all, in any order. */
  ids(): CellId[];
  readonly count: number;
}

/** Cells without tracking: for a standalone xenstored and for tests of pure parts. */
export class PlainCells implements Cells {
  readonly texts = new Map<string, string>();
  /** Of each type those identified by a number. */
  readonly #numbered: (Numbered | undefined)[] = [];
  /** And those identified by a text: a map, or else a table of its own. */
  readonly #maps: (Map<string | symbol, object> | undefined)[] = [];
  readonly #tables: (CellTable | undefined)[] = [];

  /** @param tables for types whose cells, all identified by a text, are to be kept in another way */
  constructor(tables: readonly (readonly [CellType<object>, CellTable])[] = []) {
    for (const [type, table] of tables) this.#tables[type.index] = table;
  }

  // Nearly all look-ups are short enough to be inlined where they are used.
  get<T extends object>(type: CellType<T>, id: CellId): DeepReadonly<T> | undefined {
    if (typeof id === "number") return this.#numbered[type.index]?.get(id) as DeepReadonly<T> | undefined;
    return this.#getByText(type.index, id) as DeepReadonly<T> | undefined;
  }

  #getByText(index: number, id: string): object | undefined {
    const table = this.#tables[index];
    return table === undefined ? this.#maps[index]?.get(id) : table.get(id);
  }

  edit<T extends object>(type: CellType<T>, id: CellId): T {
    const content =
      typeof id === "number" ? this.#numbered[type.index]?.get(id) : this.#getByText(type.index, id);
    if (content === undefined) throw new Error(`edit of missing cell ${type.name}/${id}`);
    return content as T;
  }

  add<T extends object>(type: CellType<T>, id: CellId, content: T): T {
    const added =
      typeof id === "number"
        ? (this.#numbered[type.index] ??= new Numbered()).add(id, content)
        : this.#addByText(type.index, id, content);
    if (added === undefined) throw new Error(`cell ${type.name}/${id} added twice`);
    return added as T;
  }

  #addByText(index: number, id: string, content: object): object | undefined {
    const table = this.#tables[index];
    if (table !== undefined) return table.add(id, content);
    const map = (this.#maps[index] ??= new Map(ballast.map((key) => [key, ballast])));
    const before = map.size;
    map.set(id, content);
    return map.size === before ? undefined : content;
  }

  drop<T extends object>(type: CellType<T>, id: CellId): void {
    const { index } = type;
    const was =
      typeof id === "number"
        ? this.#numbered[index]?.drop(id)
        : (this.#tables[index]?.drop(id) ?? this.#maps[index]?.delete(id));
    if (was !== true) throw new Error(`drop of missing cell ${type.name}/${id}`);
  }

  ids<T extends object>(type: CellType<T>): CellId[] {
    const ids: CellId[] = this.#numbered[type.index]?.ids() ?? [];
    for (const key of this.#tables[type.index]?.ids() ?? []) ids.push(key);
    for (const key of this.#maps[type.index]?.keys() ?? []) if (typeof key !== "symbol") ids.push(key);
    return ids.sort(compareIds);
  }

  count<T extends object>(type: CellType<T>): number {
    const { index } = type;
    const map = this.#maps[index];
    const texts = this.#tables[index]?.count ?? (map === undefined ? 0 : map.size - ballast.length);
    return texts + (this.#numbered[index]?.count ?? 0);
  }
}
