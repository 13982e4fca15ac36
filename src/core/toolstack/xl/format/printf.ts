// SPDX-License-Identifier: Apache-2.0
//
// The parts of C's printf that xl's tables are made with.

/** How many bytes a text has in UTF-8: what C pads by. */
function byteLength(text: string): number {
  let bytes = 0;
  for (const character of text) {
    const code = character.codePointAt(0) as number;
    bytes += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  }
  return bytes;
}

const padding = (text: string, width: number): string => " ".repeat(Math.max(width - byteLength(text), 0));

/** %-WIDTHs and %-WIDTHd; null is what glibc prints for a null pointer. */
export function left(value: string | number | null, width: number): string {
  const text = value === null ? "(null)" : String(value);
  return text + padding(text, width);
}

/** %WIDTHs and %WIDTHd. */
export function right(value: string | number | null, width: number): string {
  const text = value === null ? "(null)" : String(value);
  return padding(text, width) + text;
}

/** %0WIDTHx. */
export const hex = (value: number, width = 0): string => value.toString(16).padStart(width, "0");

/** %.1f: halves go to the even neighbour. */
export function fixed1(value: number): string {
  // Only a quarter and three quarters lie exactly between two tenths in binary.
  const quarters = value * 4;
  if (!Number.isInteger(quarters) || quarters % 2 === 0) return value.toFixed(1);
  const below = Math.floor(value * 10);
  return ((below % 2 === 0 ? below : below + 1) / 10).toFixed(1);
}

/** Seconds with one digit from nanoseconds, computed in single precision first as xl does. */
export const secondsOf = (nanoseconds: number): string => fixed1(Math.fround(nanoseconds) / 1e9);

/** The set bits below `size`: "0-2,5", "all", "none" (xl_utils.c, print_bitmap). */
export function formatBitmap(bits: readonly number[], size: number): string {
  const set = new Set(bits);
  const ranges: string[] = [];
  for (let first = 0; first < size; first++) {
    if (!set.has(first)) continue;
    let last = first;
    while (last + 1 < size && set.has(last + 1)) last += 1;
    if (first === 0 && last === size - 1) return "all";
    ranges.push(first === last ? `${first}` : `${first}-${last}`);
    first = last;
  }
  return ranges.length === 0 ? "none" : ranges.join(",");
}
