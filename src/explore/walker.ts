// SPDX-License-Identifier: Apache-2.0
//
// Moving a host about in the tree of states that a search has reached: steps are
// given back and taken again by exchanging the cells they touched, and none is
// performed.

import { assert } from "../core/engine/errno.ts";
import type { StepUndo, World } from "../core/engine/world.ts";

/** A state in a search's tree. */
export interface Reached<R> {
  readonly parent: R | null;
  /** Steps from the root: more than the parent's. */
  readonly depth: number;
}

function above<R extends Reached<R>>({ parent }: R): R {
  assert(parent !== null, "states are of one tree");
  return parent;
}

/** The host, at one state of the tree. */
export class Walker<R extends Reached<R>> {
  readonly #world: World;
  readonly #undosOf: (reached: R) => readonly StepUndo[];
  #at: R;

  /** @param undosOf gives the steps from a state's parent to it back, or takes them again */
  constructor(world: World, root: R, undosOf: (reached: R) => readonly StepUndo[]) {
    this.#world = world;
    this.#at = root;
    this.#undosOf = undosOf;
  }

  /** Goes to a state by the steps between: back to where the ways part, then on. */
  moveTo(goal: R): void {
    const way: StepUndo[] = [];
    const on: R[] = [];
    let from = this.#at;
    let target = goal;
    while (from !== target) {
      if (target.depth > from.depth) {
        on.push(target);
        target = above(target);
      } else {
        way.push(...this.#undosOf(from).toReversed());
        from = above(from);
      }
    }
    for (const reached of on.toReversed()) way.push(...this.#undosOf(reached));
    this.#world.exchange(way);
    this.#at = goal;
  }
}
