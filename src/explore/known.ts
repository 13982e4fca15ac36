// SPDX-License-Identifier: Apache-2.0
//
// What exploration has seen turns do: for each thread as it stood, which cells
// its turn read, one after another, and what it wrote. What a turn reads next
// follows from what it has read, so the turns from one place form a tree: its
// branches are the values of a cell. Turns that other orders could take are
// foretold from it; see docs/designs/0014-orders-from-footprints.md.

import type { Entry } from "../core/engine/registry.ts";
import { threadCell } from "../core/engine/thread.ts";

/** A cell's content in one number: 53 bits of its hash; 0 where there is no cell. */
export type Value = number;

/** In the place of a choice: the thread's timer fires. */
export const TIMER = -1;

/** What an entry holds now. */
export function valueOf(entry: Entry): Value {
  return lanesValue(entry.hashA, entry.hashB);
}

/** What an entry held, from the lanes of its hash then. */
export function lanesValue(a: number, b: number): Value {
  return (a >>> 0) * 0x20_0000 + ((b >>> 0) & 0x1f_ffff);
}

/** A cell, as exploration sees it; also what stands for the time, or for which cells of a type there are. */
export interface KnownCell {
  readonly entry: Entry;
  readonly owner: Known;
  /** Properties that have read it, a bit each. */
  seenBy: number;
  /** The turn that read it last, and what it held before; the last that wrote it, and whether it changed in between. */
  turn: number;
  before: Value;
  touched: number;
  changed: boolean;
  /** The step that touched it last, and what it held before that. */
  step: number;
  held: Value;
  /** Where it is a thread's: what its turns did, by what the cell held and by the choice. */
  turns: Map<Value, Node[]> | null;
  /** The question in which it was marked last, and how. */
  asked: number;
  marks: number;
  /** In that question: values that it may come to hold, and what waits for more of them. */
  more: Value[];
  readers: Branch[];
}

/** What a turn did. */
export interface Turn {
  /** The cells it touched or asked about, in the order in which it did, its thread's first; and what they held. */
  readonly reads: readonly KnownCell[];
  readonly values: readonly Value[];
  /** The cells that hold something else behind it, and what. */
  readonly writes: readonly KnownCell[];
  readonly written: readonly Value[];
  /** For types of which cells came or went: what stands for which there are. */
  readonly listings: readonly KnownCell[];
  /** Cells that changed and changed back. */
  readonly passing: readonly KnownCell[];
  /** What those who go first wait for and did not before, or did before and do not any more. */
  readonly waits: readonly KnownCell[];
}

/** A place in a tree: nothing was seen from here on, or a cell was read, or the turn was over. */
export type Node = Branch | Leaf;

/** A cell was read: each value led on to somewhere. */
export interface Branch {
  readonly cell: KnownCell;
  readonly thread: KnownCell;
  /** The values seen, and where each led: most branches have one. */
  readonly values: Value[];
  readonly nodes: Node[];
  /** The question that came here last; whether what is asked about could have written a cell on the way here. */
  asked: number;
  tainted: boolean;
  other: Node | null;
}

/** A turn was over, or its thread could not take it. */
export interface Leaf {
  readonly thread: KnownCell;
  asked: number;
  other: Node | null;
  /** Null where the thread waits on. */
  readonly turn: Turn | null;
}

/** Everything seen so far. */
export class Known {
  /** Grows with everything that is new. */
  version = 0;
  /** The properties still of interest, a bit each. */
  watched = 0;
  /** Every thread's cell that was met. */
  readonly threads: KnownCell[] = [];

  /** What is known of an entry. */
  of(entry: Entry): KnownCell {
    const known = entry.known as KnownCell | null;
    return known !== null && known.owner === this ? known : this.#meet(entry);
  }

  #meet(entry: Entry): KnownCell {
    const isThread = (entry.type as object) === threadCell;
    const known: KnownCell = {
      entry,
      owner: this,
      seenBy: 0,
      turn: 0,
      before: 0,
      touched: 0,
      changed: false,
      step: 0,
      held: 0,
      turns: isThread ? new Map() : null,
      asked: 0,
      marks: 0,
      more: [],
      readers: [],
    };
    if (isThread) this.threads.push(known);
    entry.known = known;
    return known;
  }

  /** Notes that a property read a cell. */
  see(entry: Entry, property: number): void {
    const known = this.of(entry);
    if ((known.seenBy & property) !== 0) return;
    known.seenBy |= property;
    this.version++;
  }

  /** Notes a turn of a thread. */
  learn(turn: Turn, choice: number): void {
    const [thread] = turn.reads as [KnownCell];
    this.#grow(thread, choice, turn.reads, turn.values, turn);
  }

  /** Notes that a thread cannot take its turn, for what its wait read. */
  learnWait(thread: KnownCell): void {
    const cells = (thread.entry.thread?.reads ?? []).map((entry) => this.of(entry));
    const reads = [thread, ...new Set(cells)];
    this.#grow(
      thread,
      0,
      reads,
      reads.map(({ entry }) => valueOf(entry)),
      null,
    );
  }

  /** The turn a thread would take now, where one like it was seen. */
  foretell(thread: KnownCell, choice: number): Turn | undefined {
    let node = thread.turns?.get(valueOf(thread.entry))?.[choice + 1];
    while (node !== undefined && node.other === null && "cell" in node)
      node = node.nodes[node.values.indexOf(valueOf(node.cell.entry))];
    return node !== undefined && node.other === null && "turn" in node ? (node.turn ?? undefined) : undefined;
  }

  /** Adds a way to the tree of a thread as it stood. */
  #grow(
    thread: KnownCell,
    choice: number,
    reads: readonly KnownCell[],
    values: readonly Value[],
    turn: Turn | null,
  ): void {
    let siblings: Node[] = thread.turns?.get(values[0] as Value) as Node[];
    if (siblings === undefined) thread.turns?.set(values[0] as Value, (siblings = []));
    let at = choice + 1;
    for (let read = 1; read < reads.length; read++) {
      const branch = branchAt(siblings, at, thread, reads[read] as KnownCell);
      siblings = branch.nodes;
      at = branch.values.indexOf(values[read] as Value);
      if (at < 0) at = branch.values.push(values[read] as Value) - 1;
    }
    for (let node = siblings[at] ?? null; node !== null; node = node.other) if (!("cell" in node)) return;
    siblings[at] = { thread, turn, asked: 0, other: siblings[at] ?? null };
    this.version++;
  }
}

/** The branch of a cell at a place in the tree, made where there is none. */
function branchAt(siblings: Node[], at: number, thread: KnownCell, cell: KnownCell): Branch {
  for (let node = siblings[at] ?? null; node !== null; node = node.other) {
    if ("cell" in node && node.cell === cell) return node;
  }
  const made = { cell, thread, values: [], nodes: [], asked: 0, tainted: false, other: siblings[at] ?? null };
  siblings[at] = made;
  return made;
}
