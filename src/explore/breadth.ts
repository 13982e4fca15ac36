// SPDX-License-Identifier: Apache-2.0
//
// Breadth-first search, with a cache of states: what finds a shortest way.
// To get a state back the host walks the search tree, giving steps back and
// taking them again: both exchange the cells a step touched, and perform nothing.
// States of one level are visited in the order of the tree, so that neighbours
// share most of their way.

import { assert } from "../core/engine/errno.ts";
import { hashText } from "../core/engine/hash.ts";
import type { Action, StepUndo, World } from "../core/engine/world.ts";
import type { Found, Limits, Progress } from "./bounds.ts";
import { Known } from "./known.ts";
import type { Properties, Violation } from "./property.ts";
import { enabledActions } from "./turn.ts";
import { Walker } from "./walker.ts";
import { Watched } from "./watched.ts";

/** A state in the search tree: how it was first reached. */
interface Visit {
  parent: Visit | null;
  action: Action | null;
  /** Gives the step to this state back, or takes it again. */
  undo: StepUndo | null;
  depth: number;
}

/** Visits states in the order of how many steps lead to them. */
export class Breadth {
  readonly #world: World;
  readonly #limits: Limits;
  readonly #progress: Progress | undefined;
  readonly #watched: Watched;
  readonly #seen = new Set<string>();
  readonly #root: Visit = { parent: null, action: null, undo: null, depth: 0 };
  readonly #walker: Walker<Visit>;
  #transitions = 0;
  #ends = 0;
  #cut = false;
  #violation: Found["violation"] = null;

  constructor(world: World, properties: Properties, limits: Limits, progress: Progress | undefined) {
    this.#world = world;
    this.#limits = limits;
    this.#progress = progress;
    this.#watched = new Watched(world, properties, new Known());
    this.#walker = new Walker(world, this.#root, ({ undo }) => [undo as StepUndo]);
  }

  run(): Found {
    this.#arrive(this.#root);
    let level: Visit[] = [this.#root];
    let depth = 0;
    while (level.length > 0 && this.#violation === null) {
      depth = (level[0] as Visit).depth;
      if (depth >= this.#limits.depthMax) {
        this.#cut = true;
        break;
      }
      this.#progress?.({
        states: this.#seen.size,
        transitions: this.#transitions,
        depth,
        frontier: level.length,
      });
      level = this.#expandLevel(level);
    }
    return {
      states: this.#seen.size,
      transitions: this.#transitions,
      depth,
      ends: this.#ends,
      cut: this.#cut,
      unreached: this.#watched.unreached,
      violation: this.#violation,
    };
  }

  #expandLevel(level: readonly Visit[]): Visit[] {
    const found: Visit[] = [];
    for (const visit of level) {
      this.#walker.moveTo(visit);
      const actions = enabledActions(this.#world, this.#limits.timers, this.#limits.first);
      if (actions.length === 0) this.#end(visit);
      for (const action of actions) {
        if (this.#violation !== null) return found;
        const reached: Visit = { parent: visit, action, undo: null, depth: visit.depth + 1 };
        if (this.#step(reached)) found.push(reached);
      }
    }
    return found;
  }

  /** Takes a step and gives it back. Whether it led to a new state to go on from. */
  #step(reached: Visit): boolean {
    this.#transitions++;
    try {
      reached.undo = this.#world.perform(reached.action as Action);
    } catch (error) {
      this.#fail(reached, {
        kind: "assertion",
        property: "no assertion fails",
        found: (error as Error).message,
      });
      return false;
    }
    assert(reached.undo !== null, "exploration needs a host that keeps pre-images");
    const isNew = this.#arrive(reached);
    this.#world.unperform(reached.undo);
    return isNew;
  }

  #arrive(visit: Visit): boolean {
    const hash = hashText(this.#world.hashAt(this.#world.counters.now));
    if (this.#seen.has(hash)) return false;
    if (this.#seen.size >= this.#limits.statesMax) {
      this.#cut = true;
      return false;
    }
    this.#seen.add(hash);
    const violation = visit.undo === null ? this.#watched.first() : this.#watched.after(visit.undo);
    if (violation !== null) this.#fail(visit, violation);
    return true;
  }

  #end(visit: Visit): void {
    this.#ends++;
    const violation = this.#watched.end();
    if (violation !== null) this.#fail(visit, violation);
  }

  #fail(visit: Visit, violation: Violation): void {
    if (this.#violation !== null) return;
    const steps: Action[] = [];
    for (let at: Visit = visit; at.parent !== null; at = at.parent) steps.push(at.action as Action);
    this.#violation = { ...violation, steps: steps.toReversed() };
  }
}
