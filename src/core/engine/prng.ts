// SPDX-License-Identifier: Apache-2.0
//
// A small generator (the published splitmix32 and sfc32 recurrences)
// whose state is four numbers, so that it can be saved with a run.

/** State of a generator: four 32-bit words. */
export type Prng = [number, number, number, number];

/** A generator from a seed: any safe integer. */
export function seedPrng(seed: number): Prng {
  let state = (seed ^ Math.floor(seed / 0x1_0000_0000)) | 0;
  const word = (): number => {
    state = (state + 0x9e3779b9) | 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return mixed ^ (mixed >>> 15);
  };
  const made: Prng = [word(), word(), word(), 1];
  for (let turn = 0; turn < 12; turn++) nextWord(made);
  return made;
}

/** The next 32 bits, as an unsigned number. Moves the state. */
export function nextWord(state: Prng): number {
  const [a, b, c, counter] = state;
  const out = (((a + b) | 0) + counter) | 0;
  state[3] = (counter + 1) | 0;
  state[0] = b ^ (b >>> 9);
  state[1] = (c + (c << 3)) | 0;
  state[2] = (((c << 21) | (c >>> 11)) + out) | 0;
  return out >>> 0;
}

/** A number from 0 to `count - 1`; each equally likely to within 2^-32. */
export function nextBelow(state: Prng, count: number): number {
  return Math.floor((nextWord(state) / 0x1_0000_0000) * count);
}
