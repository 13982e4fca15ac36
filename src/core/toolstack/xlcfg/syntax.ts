// SPDX-License-Identifier: Apache-2.0
//
// The syntax tree of an xl configuration file, and the way back to text.

/** A place in a file; both count from 1. */
export interface Position {
  line: number;
  column: number;
}

/** A string or number (xl does not tell them apart) or a list. */
export type ConfigValue = ConfigAtom | ConfigList;
export interface ConfigAtom {
  kind: "atom";
  text: string;
  position: Position;
}
export interface ConfigList {
  kind: "list";
  values: ConfigValue[];
  position: Position;
}

/** `name = value` or `name += value`, as written. */
export interface Assignment {
  name: string;
  operator: "=" | "+=";
  value: ConfigValue;
  position: Position;
}

/** A parsed file: its statements in order. */
export interface ConfigSyntax {
  /** What messages call the file. */
  source: string;
  assignments: Assignment[];
}

/** xl.cfg text that parses to these assignments again. */
export function printConfig(assignments: readonly Assignment[]): string {
  return assignments
    .map(({ name, operator, value }) => `${name} ${operator} ${printValue(value)}\n`)
    .join("");
}

/** One value as xl.cfg text. */
export function printValue(value: ConfigValue): string {
  if (value.kind === "list") return `[ ${value.values.map(printValue).join(", ")} ]`;
  return /^[0-9][0-9a-fx]*$/.test(value.text) ? value.text : quote(value.text);
}

const escapes: Record<string, string> = {
  "\x07": "\\a",
  "\b": "\\b",
  "\f": "\\f",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
  "\v": "\\v",
  "\\": "\\\\",
  '"': '\\"',
};

function quote(text: string): string {
  return `"${Array.from(text, (character) => escapes[character] ?? character).join("")}"`;
}
