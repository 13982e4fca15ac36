// SPDX-License-Identifier: Apache-2.0
//
// npm run golden -- --self A B compares two recordings.
// Exit codes: 0 the same, 1 different, 2 wrongly called.

import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { COMPARATORS, factsOf, subjectOf } from "./compare/index.ts";
import { differences, type Facts } from "./compare/facts.ts";
import { readRecording } from "./parse/folder.ts";
import type { Recording } from "./recording.ts";

const USAGE = `usage: npm run golden -- --self A B    one recording against another`;

/** Prints a comparator's verdicts. Returns whether all agreed. */
function report(expected: Recording, actual: Recording): boolean {
  const want = subjectOf(expected);
  const got = subjectOf(actual);
  let same = true;
  for (const comparator of COMPARATORS) {
    const facts = factsOf(comparator, want);
    const found = differences(comparator.name, facts, factsOf(comparator, got));
    if (found.length === 0) {
      console.log(`same     ${comparator.name} (${size(facts)})`);
      continue;
    }
    same = false;
    console.log(`DIFFERS  ${comparator.name}: ${found.length} of ${size(facts)}`);
    for (const { list, detail } of found)
      console.log([`  ${list}`, ...detail.map((line) => `  ${line}`)].join("\n"));
  }
  return same;
}

function size(facts: Facts): string {
  const lines = [...facts.values()].reduce((sum, list) => sum + list.length, 0);
  return `${facts.size} lists, ${lines} lines`;
}

function main(args: string[]): number {
  const folders = args.slice(1).map((folder) => resolve(process.env["INIT_CWD"] ?? ".", folder));
  if (args[0] !== "--self" || folders.length !== 2) {
    console.error(USAGE);
    return 2;
  }
  for (const folder of folders) {
    if (!existsSync(join(folder, "commands.log"))) {
      console.error(`${folder}: no recording here (commands.log is missing)`);
      return 2;
    }
  }
  return report(readRecording(folders[0]!), readRecording(folders[1]!)) ? 0 : 1;
}

process.exitCode = main(process.argv.slice(2));
