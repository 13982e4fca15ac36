// SPDX-License-Identifier: Apache-2.0
//
// What somebody may have meant who mistyped a name.

/** How many letters may be wrong. */
const WRONG_MAX = 2;

/** How many letters must change to make one word of the other (Levenshtein). */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 0; i < a.length; i++) {
    const next = [i + 1];
    for (let j = 0; j < b.length; j++) {
      const swapped = (row[j] as number) + Number(a[i] !== b[j]);
      next.push(Math.min((row[j + 1] as number) + 1, (next[j] as number) + 1, swapped));
    }
    row = next;
  }
  return row[b.length] as number;
}

/** The name that is most like a word; null where none is much like it. */
export function nearest(word: string, names: readonly string[]): string | null {
  const [near] = names.toSorted((a, b) => distance(word, a) - distance(word, b));
  return near !== undefined && distance(word, near) <= WRONG_MAX ? near : null;
}
