// SPDX-License-Identifier: Apache-2.0
//
// Which of the threads that can take a turn must be tried in a state: so many
// that nothing the others do before one of them takes its turn could matter to
// that turn, as far as is known.

import { valueOf } from "./known.ts";
import type { Branch, Known, KnownCell, Leaf, Node, Turn, Value } from "./known.ts";

const READ = 1;
const WRITTEN = 2;
const AWAITED = 4;
const LISTED = 8;
const PASSING = 16;
const WAITED = 32;

/** A thread that could step, and the turns it could take. */
export interface Candidate {
  readonly cell: KnownCell;
  readonly turns: readonly Turn[];
}

/** Asks, in the state in which the host is, who must be tried. */
export class Persistent {
  readonly #known: Known;
  #asked = 0;
  #members = new Set<KnownCell>();
  /** What the turns asked about may not be moved past: properties' cells, servers. */
  #visible = 0;
  #pending: { node: Node; tainted: boolean }[] = [];

  constructor(known: Known) {
    this.#known = known;
  }

  /**
   * The candidates that must be tried if `first` is, itself included. They are all
   * threads that could take a turn now.
   */
  closure(first: Candidate, candidates: readonly Candidate[]): readonly Candidate[] {
    const members = new Set([first.cell]);
    for (;;) {
      const chosen = candidates.filter(({ cell }) => members.has(cell));
      if (chosen.length === candidates.length) return chosen;
      const another = this.#disturber(members, candidates);
      if (another === null) return chosen;
      members.add(another);
    }
  }

  /** A thread outside that could disturb a member's turn without any member taking one. */
  #disturber(members: Set<KnownCell>, candidates: readonly Candidate[]): KnownCell | null {
    this.#asked++;
    this.#members = members;
    this.#visible = 0;
    this.#pending = [];
    const able = new Map(candidates.map(({ cell, turns }) => [cell, turns]));
    for (const member of members) {
      const turns = able.get(member);
      if (turns === undefined) this.#markWait(member);
      else for (const turn of turns) this.#markTurn(turn);
    }
    for (const thread of this.#known.threads) {
      if (!members.has(thread)) this.#enter(thread, valueOf(thread.entry));
    }
    return this.#follow();
  }

  #markTurn({ reads, writes, passing, listings, waits }: Turn): void {
    for (const cell of reads) this.#mark(cell, READ);
    for (const cell of writes) this.#visible |= this.#mark(cell, WRITTEN).seenBy;
    for (const cell of passing) this.#visible |= this.#mark(cell, PASSING).seenBy;
    for (const cell of listings) this.#visible |= this.#mark(cell, WRITTEN).seenBy;
    for (const cell of waits) this.#mark(cell, READ | WAITED);
  }

  #markWait(thread: KnownCell): void {
    this.#mark(thread, AWAITED);
    for (const entry of thread.entry.thread?.reads ?? []) this.#mark(this.#known.of(entry), AWAITED);
  }

  #mark(cell: KnownCell, mark: number): KnownCell {
    this.#marksOf(cell);
    cell.marks |= mark;
    return cell;
  }

  #marksOf(cell: KnownCell): number {
    if (cell.asked !== this.#asked) {
      cell.asked = this.#asked;
      cell.marks = 0;
      if (cell.more.length > 0) cell.more = [];
      if (cell.readers.length > 0) cell.readers = [];
    }
    return cell.marks;
  }

  /** A thread may come to stand so. */
  #enter(thread: KnownCell, value: Value): void {
    const tainted = (this.#marksOf(thread) & WRITTEN) !== 0;
    for (const node of thread.turns?.get(value) ?? [])
      if (node !== undefined) this.#pending.push({ node, tainted });
  }

  /** Follows every turn that could be taken, and what could come of it. */
  #follow(): KnownCell | null {
    for (;;) {
      const next = this.#pending.pop();
      if (next === undefined) return null;
      if (next.node.asked === this.#asked) continue;
      next.node.asked = this.#asked;
      if (next.node.other !== null) this.#pending.push({ node: next.node.other, tainted: next.tainted });
      const disturbing = "cell" in next.node ? this.#branch(next.node, next.tainted) : this.#leaf(next.node);
      if (disturbing !== null) return disturbing;
    }
  }

  #branch(branch: Branch, tainted: boolean): KnownCell | null {
    const { cell } = branch;
    const marks = this.#marksOf(cell);
    branch.tainted = tainted || (marks & WRITTEN) !== 0;
    cell.readers.push(branch);
    if ((marks & LISTED) !== 0) {
      for (const node of branch.nodes) this.#pending.push({ node, tainted: branch.tainted });
      return null;
    }
    if (!this.#goOn(branch, valueOf(cell.entry))) return branch.thread;
    for (const value of cell.more) if (!this.#goOn(branch, value)) return branch.thread;
    return null;
  }

  /** Goes on behind a value; false where nothing is known of it, and what is asked about could matter. */
  #goOn(branch: Branch, value: Value): boolean {
    const node = branch.nodes[branch.values.indexOf(value)];
    if (node === undefined) return !branch.tainted;
    this.#pending.push({ node, tainted: branch.tainted });
    return true;
  }

  #leaf({ turn, thread }: Leaf): KnownCell | null {
    if (turn === null) return null;
    if (this.#conflicts(turn)) return thread;
    for (const [at, cell] of turn.writes.entries()) {
      const found = this.#mayHold(cell, turn.written[at] as Value);
      if (found !== null) return found;
    }
    for (const cell of turn.listings) this.#mayList(cell);
    return null;
  }

  #conflicts({ reads, writes, passing, listings, waits }: Turn): boolean {
    for (const cell of waits) if ((this.#marksOf(cell) & (WRITTEN | PASSING)) !== 0) return true;
    for (const cell of passing) if ((this.#marksOf(cell) & WAITED) !== 0) return true;
    let visible = 0;
    for (const cell of reads) if ((this.#marksOf(cell) & WRITTEN) !== 0) return true;
    for (const cell of writes) {
      if ((this.#marksOf(cell) & (READ | WRITTEN | AWAITED)) !== 0) return true;
      visible |= cell.seenBy;
    }
    for (const cell of listings) {
      if ((this.#marksOf(cell) & (READ | AWAITED)) !== 0) return true;
      visible |= cell.seenBy;
    }
    for (const cell of passing) visible |= cell.seenBy;
    return (visible & this.#visible & this.#known.watched) !== 0;
  }

  /** A cell may come to hold a value: who reads it may go on from there. */
  #mayHold(cell: KnownCell, value: Value): KnownCell | null {
    this.#marksOf(cell);
    if (value === valueOf(cell.entry) || cell.more.includes(value)) return null;
    cell.more.push(value);
    for (const branch of cell.readers) if (!this.#goOn(branch, value)) return branch.thread;
    if (cell.turns !== null && !this.#members.has(cell)) this.#enter(cell, value);
    return null;
  }

  /** Cells of a type may come and go: whatever was seen where they are listed may be seen again. */
  #mayList(cell: KnownCell): void {
    if ((this.#marksOf(cell) & LISTED) !== 0) return;
    cell.marks |= LISTED;
    for (const { nodes, tainted } of cell.readers)
      for (const node of nodes) this.#pending.push({ node, tainted });
  }
}
