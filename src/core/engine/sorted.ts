// SPDX-License-Identifier: Apache-2.0

/** Where `item` is, or would be put, in a sorted list. */
export function lowerBound(list: readonly string[], item: string): number {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((list[middle] as string) < item) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Puts an item into a sorted list without repeats. */
export function insertSorted(list: string[], item: string): void {
  const at = lowerBound(list, item);
  if (list[at] !== item) list.splice(at, 0, item);
}

/** Takes an item out of a sorted list, if it is there. */
export function removeSorted(list: string[], item: string): void {
  const at = lowerBound(list, item);
  if (list[at] === item) list.splice(at, 1);
}
