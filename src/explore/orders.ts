// SPDX-License-Identifier: Apache-2.0
//
// Search through the orders that can matter: from each state only so many
// threads take their turns that any other order leads to the same ends, and to
// the same findings of properties. How many that are follows from the cells that
// turns were seen to touch; where more is seen later, states are gone back to.
// The argument: docs/designs/0014-orders-from-footprints.md.

import { hashText } from "../core/engine/hash.ts";
import type { Entry } from "../core/engine/registry.ts";
import type { Action, StepUndo, World } from "../core/engine/world.ts";
import { circles } from "./circles.ts";
import type { Found, Limits, Progress } from "./bounds.ts";
import { Known } from "./known.ts";
import type { Turn } from "./known.ts";
import { Persistent } from "./persistent.ts";
import type { Candidate } from "./persistent.ts";
import type { Properties, Violation } from "./property.ts";
import { enabledActions, Turns } from "./turn.ts";
import { Walker } from "./walker.ts";
import { Watched } from "./watched.ts";

/** A state between turns: how it was first reached, and what was tried from it. */
interface Place {
  readonly parent: Place | null;
  readonly actions: readonly Action[];
  /** Give the turn to it back, or take it again. */
  readonly undos: readonly StepUndo[];
  readonly depth: number;
  /** Threads tried, "" for a timer; and where they led. */
  readonly tried: Set<string>;
  readonly next: Place[];
  /** Everything enabled was tried, or is to be. */
  whole: boolean;
  all: boolean;
  /** How much was known when it was asked last whether what was tried is enough. */
  known: number;
}

function placeAfter(parent: Place | null, actions: readonly Action[], undos: readonly StepUndo[]): Place {
  return {
    parent,
    actions,
    undos,
    depth: (parent?.depth ?? 0) + actions.length,
    tried: new Set(),
    next: [],
    whole: false,
    all: false,
    known: -1,
  };
}

/** A thread that could take its turn now. */
interface Ready extends Candidate {
  readonly name: string;
}

/** What is enabled, by thread; "" for a timer. */
type Enabled = ReadonlyMap<string, readonly Action[]>;

/** Searches from the world's present state on. */
export class Orders {
  readonly #world: World;
  readonly #limits: Limits;
  readonly #progress: Progress | undefined;
  readonly #known = new Known();
  readonly #turns: Turns;
  readonly #persistent = new Persistent(this.#known);
  readonly #watched: Watched;
  /** Hashes of states, those within turns included; and those between turns. */
  readonly #seen = new Set<string>();
  readonly #places = new Map<string, Place>();
  readonly #root = placeAfter(null, [], []);
  readonly #walker: Walker<Place>;
  #todo: Place[] = [];
  #transitions = 0;
  #depth = 0;
  #ends = 0;
  #cut = false;
  #violation: Found["violation"] = null;

  constructor(world: World, properties: Properties, limits: Limits, progress: Progress | undefined) {
    this.#world = world;
    this.#limits = limits;
    this.#progress = progress;
    this.#turns = new Turns(world, this.#known, limits.first, limits.timers === "eager");
    this.#watched = new Watched(world, properties, this.#known);
    this.#walker = new Walker(world, this.#root, ({ undos }) => undos);
  }

  run(): Found {
    const violation = this.#watched.first();
    if (violation !== null) this.#fail(this.#root, [], violation);
    this.#turns.learnWaits(this.#world.threadEntries());
    this.#note(this.#hash());
    this.#places.set(this.#hash(), this.#root);
    this.#todo.push(this.#root);
    while (this.#todo.length > 0) {
      this.#work();
      if (this.#violation !== null || this.#cut) break;
      this.#lookAgain();
      if (this.#todo.length === 0) this.#openCircles();
    }
    return {
      states: this.#seen.size,
      transitions: this.#transitions,
      depth: this.#depth,
      ends: this.#ends,
      cut: this.#cut,
      unreached: this.#watched.unreached,
      violation: this.#violation,
    };
  }

  /** Takes the world back to where the search began. */
  goBack(): void {
    this.#walker.moveTo(this.#root);
  }

  #hash(): string {
    return hashText(this.#world.hashAt(this.#world.counters.now));
  }

  #work(): void {
    for (let next = this.#todo.pop(); next !== undefined; next = this.#todo.pop()) {
      this.#progress?.({
        states: this.#seen.size,
        transitions: this.#transitions,
        depth: next.depth,
        frontier: this.#todo.length + 1,
      });
      this.#goOnFrom(next);
      if (this.#violation !== null || this.#cut) return;
    }
  }

  /** What was learned since may make more of the orders from a state matter. */
  #lookAgain(): void {
    for (const place of this.#places.values()) {
      if (!place.whole && place.known < this.#known.version) this.#todo.push(place);
    }
  }

  /** Nobody may be left out for ever: from one state of each circle everybody goes on. */
  #openCircles(): void {
    for (const circle of circles(this.#root)) {
      const [first] = circle as [Place];
      if (circle.some(({ whole }) => whole)) continue;
      first.all = true;
      this.#todo.push(first);
    }
  }

  #goOnFrom(place: Place): void {
    this.#walker.moveTo(place);
    place.known = this.#known.version;
    const actions = enabledActions(this.#world, this.#limits.timers, this.#limits.first);
    if (actions.length === 0) {
      place.whole = true;
      this.#end(place);
      return;
    }
    const enabled = Map.groupBy(actions, (action) => ("thread" in action ? action.thread : ""));
    for (const thread of this.#enough(place, enabled)) {
      if (place.tried.has(thread)) continue;
      place.tried.add(thread);
      for (const action of enabled.get(thread) as readonly Action[]) {
        if (this.#violation !== null || this.#cut) return;
        this.#take(place, action, (taken, undos) => this.#arrive(place, taken, undos));
      }
    }
    place.whole = place.tried.size === enabled.size;
  }

  /** So many threads, by name, that what others do before one of them takes its turn does not matter. */
  #enough(place: Place, enabled: Enabled): Iterable<string> {
    // A timer may change what time it is for everybody.
    if (place.all || enabled.size === 1 || enabled.has("")) return enabled.keys();
    const ready = this.#ready(place, enabled);
    if (this.#violation !== null || this.#cut) return [];
    let best: readonly string[] = [...enabled.keys()];
    let cost = best.filter((name) => !place.tried.has(name)).length;
    for (const first of ready) {
      if (cost === 0) break;
      const chosen = this.#persistent.closure(first, ready) as Ready[];
      const more = chosen.filter(({ name }) => !place.tried.has(name)).length;
      if (more >= cost && (more > cost || chosen.length >= best.length)) continue;
      cost = more;
      best = chosen.map(({ name }) => name);
      if (chosen.length === 1) break;
    }
    return best;
  }

  /** The threads that are enabled, with the turns they would take; those already tried first. */
  #ready(place: Place, enabled: Enabled): Ready[] {
    const ready: Ready[] = [];
    for (const [name, actions] of enabled) {
      const entry = this.#world.threadEntry(name) as Entry;
      const turns: Turn[] = [];
      for (const action of actions) {
        const turn = this.#turns.foretell(action) ?? this.#take(place, action, () => {});
        if (turn === null) return ready;
        turns.push(turn);
      }
      ready.push({ name, cell: this.#known.of(entry), turns });
    }
    return ready.toSorted((a, b) => Number(place.tried.has(b.name)) - Number(place.tried.has(a.name)));
  }

  /**
   * Takes a turn from the place where the world is, learns from it and gives it
   * back. Null where it breaks an invariant.
   */
  #take(
    from: Place,
    action: Action,
    arrive: (taken: readonly Action[], undos: readonly StepUndo[]) => void,
  ): Turn | null {
    const undos: StepUndo[] = [];
    const taken: Action[] = [];
    let turn: Turn | null = null;
    try {
      turn = this.#turns.take(action, undos, (undo, step) => {
        taken.push(step);
        this.#stepped(from, taken, undo);
      });
    } catch (error) {
      const found = (error as Error).message;
      const steps = [...taken, this.#turns.acting];
      this.#fail(from, steps, { kind: "assertion", property: "no assertion fails", found });
    }
    if (turn !== null && !this.#cut) arrive(taken, undos);
    this.#world.exchange(undos.toReversed());
    return turn;
  }

  #stepped(from: Place, taken: readonly Action[], undo: StepUndo): void {
    this.#transitions++;
    this.#note(this.#hash());
    const violation = this.#watched.after(undo);
    if (violation !== null) this.#fail(from, taken, violation);
  }

  #note(hash: string): void {
    if (this.#seen.size < this.#limits.statesMax) this.#seen.add(hash);
    else this.#cut ||= !this.#seen.has(hash);
  }

  #arrive(from: Place, taken: readonly Action[], undos: readonly StepUndo[]): void {
    const hash = this.#hash();
    let reached = this.#places.get(hash);
    if (reached === undefined) {
      reached = placeAfter(from, taken, undos);
      this.#depth = Math.max(this.#depth, reached.depth);
      this.#places.set(hash, reached);
      this.#todo.push(reached);
    }
    from.next.push(reached);
  }

  #end(place: Place): void {
    this.#ends++;
    const violation = this.#watched.end();
    if (violation !== null) this.#fail(place, [], violation);
  }

  #fail(from: Place, taken: readonly Action[], violation: Violation): void {
    if (this.#violation !== null) return;
    const turns: (readonly Action[])[] = [[...taken]];
    for (let at: Place | null = from; at !== null; at = at.parent) turns.push(at.actions);
    this.#violation = { ...violation, steps: turns.toReversed().flat() };
  }
}
