// SPDX-License-Identifier: Apache-2.0
//
// C's number and string readers, as xl uses them on what users write.

const LONG_MIN = -(2n ** 63n);
const LONG_MAX = 2n ** 63n - 1n;
const ULONG_MAX = 2n ** 64n - 1n;

/** What strtol and its relatives found. */
export interface ParsedNumber {
  value: bigint;
  /** Index of the first character not used; 0 when there was no number. */
  end: number;
  /** The number did not fit (ERANGE); `value` is the bound. */
  overflow: boolean;
}

const patterns: Record<number, RegExp> = {
  0: /^[ \t\n\v\f\r]*([+-]?)(?:0[xX]([0-9a-fA-F]+)|0([0-7]*)|([0-9]+))/,
  10: /^[ \t\n\v\f\r]*([+-]?)()()([0-9]+)/,
  16: /^[ \t\n\v\f\r]*([+-]?)(?:0[xX])?([0-9a-fA-F]+)/,
};

function magnitude(text: string, base: 0 | 10 | 16): { value: bigint; negative: boolean; end: number } {
  const match = (patterns[base] as RegExp).exec(text);
  if (match === null) return { value: 0n, negative: false, end: 0 };
  const [whole, sign, hex, octal, decimal] = match;
  const value = hex ? BigInt(`0x${hex}`) : octal ? BigInt(`0o${octal}`) : BigInt(decimal ?? 0);
  return { value, negative: sign === "-", end: whole.length };
}

/** strtol(3) with a 64-bit long. */
export function strtol(text: string, base: 0 | 10 | 16): ParsedNumber {
  const { value, negative, end } = magnitude(text, base);
  const signed = negative ? -value : value;
  if (signed < LONG_MIN) return { value: LONG_MIN, end, overflow: true };
  if (signed > LONG_MAX) return { value: LONG_MAX, end, overflow: true };
  return { value: signed, end, overflow: false };
}

/** strtoul(3) with a 64-bit unsigned long: a minus sign wraps around. */
export function strtoul(text: string, base: 0 | 10 | 16): ParsedNumber {
  const { value, negative, end } = magnitude(text, base);
  if (value > ULONG_MAX) return { value: ULONG_MAX, end, overflow: true };
  return { value: negative ? BigInt.asUintN(64, -value) : value, end, overflow: false };
}

/** atoi(3). */
export const atoi = (text: string): number => int32(strtol(text, 10).value);

/** A long stored into an int. */
export const int32 = (value: bigint): number => Number(BigInt.asIntN(32, value));
/** A long stored into a uint32_t. */
export const uint32 = (value: bigint): number => Number(BigInt.asUintN(32, value));

/** strtok(3) over the whole text: the non-empty parts between delimiters. */
export function strtok(text: string, delimiters: string): string[] {
  const parts: string[] = [];
  let part = "";
  for (const character of text) {
    if (!delimiters.includes(character)) part += character;
    else if (part !== "") {
      parts.push(part);
      part = "";
    }
  }
  if (part !== "") parts.push(part);
  return parts;
}

/** The comma-separated parts of a device specification, without leading spaces. */
export function specParts(spec: string): string[] {
  return strtok(spec, ",").map((part) => part.replace(/^ +/, ""));
}

/** `option=` at the start of a part: what follows it, or undefined (xl's MATCH_OPTION). */
export function matchOption(option: string, part: string): string | undefined {
  return part.startsWith(`${option}=`) ? part.slice(option.length + 1) : undefined;
}

/** An enumeration's value by name, whatever the case (libxl_TYPE_from_string). */
export function enumFromString<const N extends readonly string[]>(
  names: N,
  text: string,
): N[number] | undefined {
  const lower = text.toLowerCase();
  return names.find((name) => name === lower);
}

/** A UUID in its 36-character form, in lower case, or undefined (libuuid's uuid_parse). */
export function parseUuid(text: string): string | undefined {
  const lower = text.toLowerCase();
  return /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/.test(lower) ? lower : undefined;
}
