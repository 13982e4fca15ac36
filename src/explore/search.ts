// SPDX-License-Identifier: Apache-2.0
//
// Breadth-first search through every order of steps, with a cache of states.
// To get a state back the host walks the search tree, giving steps back and
// taking them again: both exchange the cells a step touched, and perform nothing.
// States of one level are visited in the order of the tree, so that neighbours
// share most of their way.

import { assert } from "../core/engine/errno.ts";
import { hashText } from "../core/engine/hash.ts";
import { isUnseen, threadCell } from "../core/engine/thread.ts";
import type { Thread } from "../core/engine/thread.ts";
import type { Action, StepUndo, World } from "../core/engine/world.ts";
import { firstViolation } from "./property.ts";
import type { Properties, Violation } from "./property.ts";

/** Where a search stops, and when timers may fire. */
export interface Bounds {
  /** Levels of the search; without it, until nothing new is found. */
  depthMax?: number;
  /** Distinct states; reaching it makes the search inexhaustive. */
  statesMax?: number;
  /**
   * `servers first`: while xenstored or a kernel's xenbus thread can step, nobody
   * else does. What they do is moving requests, replies and events on; a request
   * nobody has served is seen by nobody, so any order of service is that of some
   * order of sending. `off`: every order of every step.
   */
  reduction?: "servers first" | "off";
  /** Threads taken to react at once: while one can step, nobody else does. A bound, not a reduction. */
  prompt?: readonly string[];
  /** `eager`: a timer may fire at any time, in the order of deadlines. `lazy`: only when nothing else can happen. */
  timers?: "eager" | "lazy";
}

/** What a search found. */
export interface SearchResult {
  /** Distinct states, the first included. */
  states: number;
  /** Steps tried. */
  transitions: number;
  /** The longest shortest way to a state. */
  depth: number;
  /** States in which nothing is left to do. */
  ends: number;
  /** Every state within the bounds was visited. False for a search that a bound cut. */
  exhaustive: boolean;
  timers: "eager" | "lazy";
  reduction: "servers first" | "off";
  /** Threads that were taken to react at once. */
  prompt: readonly string[];
  /** Names of `sometimes` properties that no state showed. */
  unreached: string[];
  /** The first violation in order of depth, and a shortest way to it. */
  violation: (Violation & { steps: Action[] }) | null;
}

/** Told now and then how far the search is. */
export type Progress = (soFar: {
  states: number;
  transitions: number;
  depth: number;
  frontier: number;
}) => void;

/** A state in the search tree: how it was first reached. */
interface Visit {
  parent: Visit | null;
  action: Action | null;
  /** Gives the step to this state back, or takes it again. */
  undo: StepUndo | null;
  depth: number;
}

/** The host, moved from state to state of the search tree. */
class Walker {
  readonly #world: World;
  #at: Visit;

  constructor(world: World, root: Visit) {
    this.#world = world;
    this.#at = root;
  }

  /** Goes to a state of the tree by the steps between: back to where the ways part, then on. */
  moveTo(goal: Visit): void {
    const way: StepUndo[] = [];
    const down: Visit[] = [];
    let target = goal;
    while (target.depth > this.#at.depth) {
      down.push(target);
      target = target.parent as Visit;
    }
    while (this.#at !== target) {
      if (target.depth === this.#at.depth) {
        down.push(target);
        target = target.parent as Visit;
      }
      way.push(this.#at.undo as StepUndo);
      this.#at = this.#at.parent as Visit;
    }
    for (const visit of down.toReversed()) way.push(visit.undo as StepUndo);
    this.#world.exchange(way);
    this.#at = goal;
  }
}

/**
 * Visits every state that some order of steps reaches from the world's present
 * one. The world must track undo and hash; it is left in some visited state.
 *
 * Cost: one step and one hash a transition, and for each level an exchange of
 * cells for every step of the tree between its states. Memory: a state's hash,
 * and what the step to it touched (about 2 kB on a host).
 */
export function search(
  world: World,
  properties: Properties,
  bounds: Bounds = {},
  progress?: Progress,
): SearchResult {
  return new Search(world, properties, bounds, progress).run();
}

/** Whether a thread only moves messages on between others. */
function isServer(thread: string): boolean {
  return thread === "xenstored" || thread.endsWith("/xenbus");
}

class Search {
  readonly #world: World;
  readonly #properties: Properties;
  readonly #bounds: Bounds;
  readonly #progress: Progress | undefined;
  readonly #seen = new Set<string>();
  readonly #unreached: Set<string>;
  readonly #timers: "eager" | "lazy";
  readonly #reduction: "servers first" | "off";
  #transitions = 0;
  #ends = 0;
  #cut = false;
  #violation: SearchResult["violation"] = null;

  constructor(world: World, properties: Properties, bounds: Bounds, progress: Progress | undefined) {
    this.#world = world;
    this.#properties = properties;
    this.#bounds = bounds;
    this.#progress = progress;
    this.#timers = bounds.timers ?? "lazy";
    this.#reduction = bounds.reduction ?? "servers first";
    this.#unreached = new Set(Object.keys(properties.sometimes ?? {}));
  }

  run(): SearchResult {
    const root: Visit = { parent: null, action: null, undo: null, depth: 0 };
    const walker = new Walker(this.#world, root);
    this.#arrive(root);
    let level: Visit[] = [root];
    let depth = 0;
    while (level.length > 0 && this.#violation === null) {
      depth = (level[0] as Visit).depth;
      if (depth >= (this.#bounds.depthMax ?? Infinity)) {
        this.#cut = true;
        break;
      }
      this.#progress?.({
        states: this.#seen.size,
        transitions: this.#transitions,
        depth,
        frontier: level.length,
      });
      level = this.#expandLevel(walker, level);
    }
    return {
      states: this.#seen.size,
      transitions: this.#transitions,
      depth,
      ends: this.#ends,
      exhaustive: !this.#cut && this.#violation === null,
      timers: this.#timers,
      reduction: this.#reduction,
      prompt: this.#bounds.prompt ?? [],
      unreached: [...this.#unreached],
      violation: this.#violation,
    };
  }

  #expandLevel(walker: Walker, level: readonly Visit[]): Visit[] {
    const found: Visit[] = [];
    for (const visit of level) {
      walker.moveTo(visit);
      const actions = this.#enabled();
      if (actions.length === 0) this.#end(visit);
      for (const action of actions) {
        if (this.#violation !== null) return found;
        const reached: Visit = { parent: visit, action, undo: null, depth: visit.depth + 1 };
        if (this.#step(reached)) found.push(reached);
      }
    }
    return found;
  }

  #enabled(): Action[] {
    const actions = this.#world.actions(this.#timers);
    const first = actions.find((action) => "thread" in action && this.#goesFirst(action.thread));
    return first === undefined ? actions : [first];
  }

  #goesFirst(name: string): boolean {
    if (this.#bounds.prompt?.includes(name) === true) return true;
    if (this.#reduction === "off") return false;
    return isServer(name) || isUnseen(this.#world.get(threadCell, name) as Thread);
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
    const hash = hashText(this.#world.hashAt(this.#world.now));
    if (this.#seen.has(hash)) return false;
    if (this.#seen.size >= (this.#bounds.statesMax ?? Infinity)) {
      this.#cut = true;
      return false;
    }
    this.#seen.add(hash);
    const violation = firstViolation(this.#world, "always", this.#properties.always);
    if (violation !== null) this.#fail(visit, violation);
    for (const name of this.#unreached) {
      if (this.#properties.sometimes?.[name]?.(this.#world)) this.#unreached.delete(name);
    }
    return true;
  }

  #end(visit: Visit): void {
    this.#ends++;
    const violation = firstViolation(this.#world, "finally", this.#properties.finally);
    if (violation !== null) this.#fail(visit, violation);
  }

  #fail(visit: Visit, violation: Violation): void {
    if (this.#violation !== null) return;
    const steps: Action[] = [];
    for (let at: Visit = visit; at.parent !== null; at = at.parent) steps.push(at.action as Action);
    this.#violation = { ...violation, steps: steps.toReversed() };
  }
}
