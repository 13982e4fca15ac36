// SPDX-License-Identifier: Apache-2.0
//
// orders.md and differences.md are documents for people, and tables for the
// comparators: one row one rule, the last column its reason.

import { readFileSync } from "node:fs";
import { join } from "node:path";

/** `after` never happens before `before`, for equal groups of the two patterns. */
export interface Order {
  name: string;
  before: RegExp;
  after: RegExp;
  reason: string;
}

/** Lines that are not compared: they differ on purpose, or by accident of the recording. */
export interface Exception {
  comparator: string;
  scenario: RegExp;
  list: RegExp;
  line: RegExp;
  reason: string;
}

export function readOrders(): Order[] {
  return rows("orders.md", 4).map(([name, before, after, reason]) => ({
    name: name!,
    before: pattern(before!),
    after: pattern(after!),
    reason: reason!,
  }));
}

/** @param file what is not compared at all, or where oxenstored serves the store */
export function readExceptions(file: "differences.md" | "differences-oxenstored.md"): Exception[] {
  return rows(file, 5).map(([comparator, scenario, list, line, reason]) => ({
    comparator: comparator!,
    scenario: pattern(scenario!),
    list: pattern(list!),
    line: pattern(line!),
    reason: reason!,
  }));
}

/** Rows of all tables of a document beside this file, without their heads. A `|` inside a cell is written `\|`. */
function rows(file: string, columns: number): string[][] {
  const found: string[][] = [];
  for (const line of readFileSync(join(import.meta.dirname, file), "utf8").split("\n")) {
    if (!line.startsWith("| ")) continue;
    const cells = line
      .slice(1, line.lastIndexOf("|"))
      .split(/(?<!\\)\|/)
      .map((cell) => cell.trim().replaceAll("\\|", "|"));
    if (cells.length !== columns)
      throw new Error(`${file}: ${cells.length} columns instead of ${columns}: ${line}`);
    if (cells.at(-1) === "") throw new Error(`${file}: no reason given: ${line}`);
    found.push(cells);
  }
  return found.filter((cells) => !cells.every((cell) => /^-+$/.test(cell)) && cells.at(-1) !== "reason");
}

/** Roles of xl's connections. */
const TOOLSTACK = String.raw`(?:xl \w[\w-]* \[\d+\]|monitor \[\d+\]|(?:creator|monitor) of D\d+)`;

/** A cell's pattern, in backticks, matching the whole text. */
function pattern(cell: string): RegExp {
  const m = /^`(.*)`$/.exec(cell);
  if (!m) throw new Error(`pattern without backticks: ${cell}`);
  return new RegExp(`^(?:${m[1]!.replaceAll("TOOLSTACK", TOOLSTACK)})$`);
}
