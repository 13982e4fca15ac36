// SPDX-License-Identifier: Apache-2.0
//
// npm run golden -- FOLDER...: runs the scenario that each folder records on our
// host and compares. npm run golden -- --self A B compares two recordings.
// Exit codes: 0 the same, 1 different, 2 wrongly called.

import { existsSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { COMPARATORS, factsOf, subjectOf } from "./compare/index.ts";
import { differences, type Facts } from "./compare/facts.ts";
import { drive } from "./drive.ts";
import { readRecording, readSetting } from "./parse/folder.ts";
import type { Recording } from "./recording.ts";
import { SCENARIOS } from "./scenarios/index.ts";

const USAGE = `usage: npm run golden -- FOLDER...      our host against recordings
       npm run golden -- --self A B    one recording against another
for example: npm run golden -- test/golden/recordings/b-orderly-shutdown`;

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
  const self = args[0] === "--self";
  const folders = (self ? args.slice(1) : args).map((folder) =>
    resolve(process.env["INIT_CWD"] ?? ".", folder),
  );
  if (
    folders.length === 0 ||
    (self && folders.length !== 2) ||
    args.some((arg) => arg.startsWith("--") && arg !== "--self")
  ) {
    console.error(USAGE);
    return 2;
  }
  for (const folder of folders) {
    if (!existsSync(join(folder, "commands.log"))) {
      console.error(`${folder}: no recording here (commands.log is missing)`);
      return 2;
    }
  }
  if (self) return report(readRecording(folders[0]!), readRecording(folders[1]!)) ? 0 : 1;
  const unknown = folders.find((folder) => !SCENARIOS.has(basename(folder)));
  if (unknown !== undefined) {
    console.error(`${unknown}: no scenario of that name; there are\n  ${[...SCENARIOS.keys()].join("\n  ")}`);
    return 2;
  }
  let same = true;
  for (const folder of folders) {
    console.log(`${basename(folder)}: recording (-) against our host (+)`);
    const recording = readRecording(folder);
    const steps = SCENARIOS.get(basename(folder))!(readSetting(folder));
    same = report(recording, drive(recording, steps)) && same;
  }
  return same ? 0 : 1;
}

process.exitCode = main(process.argv.slice(2));
