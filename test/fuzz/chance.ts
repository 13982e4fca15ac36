// SPDX-License-Identifier: Apache-2.0
//
// Chance from a seed: the same numbers every time (xorshift128).

/** A source of chance. */
export class Chance {
  #a: number;
  #b: number;
  #c = 0x9e3779b9;
  #d = 0x243f6a88;

  constructor(seed: number) {
    this.#a = seed | 0;
    this.#b = Math.imul(seed, 0x85ebca6b) | 1;
    for (let i = 0; i < 16; i++) this.u32();
  }

  /** 32 bits. */
  u32(): number {
    const t = this.#d ^ (this.#d << 11);
    this.#d = this.#c;
    this.#c = this.#b;
    this.#b = this.#a;
    this.#a = this.#a ^ (this.#a >>> 19) ^ (t ^ (t >>> 8));
    return this.#a >>> 0;
  }

  /** From 0 to below `count`. */
  below(count: number): number {
    return this.u32() % count;
  }

  /** Once in `count` times. */
  once(count: number): boolean {
    return this.below(count) === 0;
  }

  /** One of them. */
  of<T>(items: readonly T[]): T {
    return items[this.below(items.length)] as T;
  }
}
