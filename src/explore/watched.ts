// SPDX-License-Identifier: Apache-2.0
//
// Properties of states, asked only where something that they read has changed.

import type { StepUndo, World } from "../core/engine/world.ts";
import { lanesValue, valueOf } from "./known.ts";
import type { Known } from "./known.ts";
import { firstViolation } from "./property.ts";
import type { Check, Properties, Violation } from "./property.ts";

/** A bit each for so many properties; those beyond share the last. */
const BITS = 30;

interface Watch {
  readonly name: string;
  readonly bit: number;
  /** What is wrong in the present state; null where nothing is. A `sometimes` never finds anything wrong. */
  readonly ask: Check;
}

export class Watched {
  readonly #world: World;
  readonly #properties: Properties;
  readonly #known: Known;
  readonly #always: Watch[];
  #sometimes: (Watch & { so: (host: World) => boolean })[];

  constructor(world: World, properties: Properties, known: Known) {
    this.#world = world;
    this.#properties = properties;
    this.#known = known;
    let at = 0;
    const bit = (): number => 1 << Math.min(at++, BITS);
    this.#always = Object.entries(properties.always ?? {}).map(([name, ask]) => ({ name, ask, bit: bit() }));
    this.#sometimes = Object.entries(properties.sometimes ?? {}).map(([name, so]) => ({
      name,
      so,
      ask: () => null,
      bit: bit(),
    }));
    this.#watch();
  }

  get unreached(): string[] {
    return this.#sometimes.map(({ name }) => name);
  }

  first(): Violation | null {
    return this.#ask(-1);
  }

  after(undo: StepUndo): Violation | null {
    let changed = 0;
    for (const { entry, a, b } of undo.cells) {
      const { seenBy } = this.#known.of(entry);
      if (seenBy !== 0 && (changed & seenBy) !== seenBy && valueOf(entry) !== lanesValue(a, b))
        changed |= seenBy;
      const listing = this.#known.of(this.#world.listing(entry.type)).seenBy;
      if (listing !== 0) changed |= listing;
    }
    return changed === 0 ? null : this.#ask(changed);
  }

  end(): Violation | null {
    return firstViolation(this.#world, "finally", this.#properties.finally);
  }

  #ask(which: number): Violation | null {
    for (const { name, ask, bit } of this.#always) {
      if ((which & bit) === 0) continue;
      const found = this.#look(bit, () => ask(this.#world));
      if (found !== null) return { kind: "always", property: name, found };
    }
    for (const { name, so, bit } of this.#sometimes) {
      if ((which & bit) === 0) continue;
      if (this.#look(bit, () => so(this.#world))) {
        this.#sometimes = this.#sometimes.filter((one) => one.name !== name);
        this.#watch();
      }
    }
    return null;
  }

  #look<R>(bit: number, ask: () => R): R {
    const { result, read } = this.#world.looking(ask);
    for (const entry of read) this.#known.see(entry, bit);
    return result;
  }

  #watch(): void {
    this.#known.watched = [...this.#always, ...this.#sometimes].reduce((bits, { bit }) => bits | bit, 0);
  }
}
