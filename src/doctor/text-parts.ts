// SPDX-License-Identifier: Apache-2.0
//
// Pieces of sentences.

/** `1 page`, `2 pages`. */
export function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? "" : "s"}`;
}

/** Microseconds of the host's clock, as seconds. */
export function seconds(micros: number): string {
  return `${(micros / 1e6).toFixed(3)} s`;
}
