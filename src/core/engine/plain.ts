// SPDX-License-Identifier: Apache-2.0
//
// Plain data: copying it, and writing it so that equal data gives equal text.

import type { Plain } from "./cells.ts";

/** A deep copy. Costs what the value holds. */
export function clonePlain<T>(value: T): T {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map((item: unknown) => clonePlain(item)) as T;
  if (value instanceof Uint8Array) return value.slice() as T;
  if (value instanceof Map) {
    const copy = new Map<unknown, unknown>();
    for (const [key, item] of value) copy.set(key, clonePlain(item as unknown));
    return copy as T;
  }
  const copy: Record<string, unknown> = {};
  for (const field in value) copy[field] = clonePlain(value[field]);
  return copy as T;
}

/**
 * A copy whose records have their fields in order: whatever is written from it
 * does not show in which order the fields came to be.
 */
export function fieldsInOrder<T>(value: T): T {
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return value;
  if (Array.isArray(value)) return value.map((item: unknown) => fieldsInOrder(item)) as T;
  if (value instanceof Map) {
    return new Map([...value].map(([key, item]) => [key, fieldsInOrder(item as unknown)])) as T;
  }
  const fields = Object.keys(value).toSorted() as (keyof T & string)[];
  return Object.fromEntries(fields.map((field) => [field, fieldsInOrder(value[field])])) as T;
}

/**
 * One text for equal values: fields sorted, Maps in their order, every kind of
 * value told apart.
 *
 * @param skip names of fields left out, at any depth
 */
export function canonicalText(value: Plain, skip: ReadonlySet<string> = new Set()): string {
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "number" && Object.is(value, -0)) return "-0";
  if (typeof value !== "object" || value === null)
    return typeof value === "string" ? JSON.stringify(value) : String(value);
  if (value instanceof Uint8Array)
    return `bytes(${[...value].map((byte) => byte.toString(16).padStart(2, "0")).join("")})`;
  if (value instanceof Map) {
    const entries = [...(value as ReadonlyMap<string | number, Plain>)];
    return `Map{${entries.map(([key, item]) => `${JSON.stringify(key)}=>${canonicalText(item, skip)}`).join(",")}}`;
  }
  if (Array.isArray(value)) return `[${value.map((item: Plain) => canonicalText(item, skip)).join(",")}]`;
  const record = value as { readonly [field: string]: Plain };
  const fields = Object.keys(record).filter((field) => !skip.has(field));
  return `{${fields
    .toSorted()
    .map((field) => `${field}:${canonicalText(record[field], skip)}`)
    .join(",")}}`;
}

/** Plain data as JSON text that `parsePlain` reads back whole: bigints, bytes and Maps are marked. */
export function stringifyPlain(value: Plain): string {
  return JSON.stringify(encode(value));
}

/** Reads what `stringifyPlain` wrote. Throws where the text is not that. */
export function parsePlain(text: string): Plain {
  return decode(JSON.parse(text));
}

/** Plain data without bytes, bigints and Maps as text of ASCII's characters alone, for files and memory. */
export function asciiText(value: Plain): string {
  return encodeURIComponent(JSON.stringify(value));
}

/** Reads what `asciiText` wrote; null where the text is not that. */
export function parseAscii(text: string): Plain {
  try {
    return JSON.parse(decodeURIComponent(text)) as Plain;
  } catch {
    return null;
  }
}

// Marked values are one-field objects whose field starts with `$`; no cell has such a field.
function encode(value: Plain): unknown {
  if (value === undefined) return { $undefined: true };
  if (typeof value === "bigint") return { $bigint: value.toString() };
  if (typeof value !== "object" || value === null) return value;
  if (value instanceof Uint8Array) return { $bytes: [...value] };
  if (value instanceof Map) {
    const entries = [...(value as ReadonlyMap<string | number, Plain>)];
    return { $map: entries.map(([key, item]) => [key, encode(item)]) };
  }
  if (Array.isArray(value)) return value.map((item: Plain) => encode(item));
  return Object.fromEntries(Object.entries(value).map(([field, item]) => [field, encode(item as Plain)]));
}

function decode(value: unknown): Plain {
  if (typeof value !== "object" || value === null) return value as Plain;
  if (Array.isArray(value)) return value.map((item) => decode(item));
  if ("$undefined" in value) return undefined;
  if ("$bigint" in value) return BigInt(value.$bigint as string);
  if ("$bytes" in value) return Uint8Array.from(value.$bytes as number[]);
  if ("$map" in value)
    return new Map((value.$map as [string | number, unknown][]).map(([key, item]) => [key, decode(item)]));
  return Object.fromEntries(Object.entries(value).map(([field, item]) => [field, decode(item)]));
}
