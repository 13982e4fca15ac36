// SPDX-License-Identifier: Apache-2.0
//
// JSON as libxl prints it: yajl's beautified form with four spaces.

import type { Json } from "./idl.ts";

const escapes: Record<string, string> = {
  '"': '\\"',
  "\\": "\\\\",
  "\b": "\\b",
  "\f": "\\f",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
};

function quote(text: string): string {
  let quoted = "";
  for (const character of text) {
    const code = character.charCodeAt(0);
    const plain = code < 0x20 ? `\\u00${code.toString(16).toUpperCase().padStart(2, "0")}` : character;
    quoted += escapes[character] ?? plain;
  }
  return `"${quoted}"`;
}

/**
 * The text of a JSON value, ended by a newline. An empty object or array has an
 * empty line inside, as yajl 2 prints it.
 */
export function printJson(json: Json): string {
  return `${print(json, "")}\n`;
}

function print(json: Json, indent: string): string {
  if (typeof json === "string") return quote(json);
  if (json === null || typeof json !== "object") return String(json);
  const inner = `${indent}    `;
  const items = Array.isArray(json)
    ? json.map((item) => inner + print(item, inner))
    : Object.entries(json).map(([key, item]) => `${inner}${quote(key)}: ${print(item, inner)}`);
  const [open, close] = Array.isArray(json) ? "[]" : "{}";
  return `${open}\n${items.join(",\n")}\n${indent}${close}`;
}
