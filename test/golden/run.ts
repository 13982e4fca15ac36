// SPDX-License-Identifier: Apache-2.0
//
// npm run golden -- FOLDER...: runs the scenario that each folder records on our
// host and compares. npm run golden -- --self A B compares two recordings, and
// npm run golden -- --live builtin|c|ocaml NAME... runs scenarios with the real xl.
// Exit codes: 0 the same, 1 different, 2 wrongly called.

import { basename, resolve } from "node:path";
import { COMPARATORS, factsOf, subjectOf } from "./compare/index.ts";
import { differences, type Facts } from "./compare/facts.ts";
import { drive } from "./drive.ts";
import type { Players } from "./live-collector.ts";
import { play, recorded } from "./live-play.ts";
import { readRecording, readSetting } from "./parse/folder.ts";
import type { Recording } from "./recording.ts";
import { SCENARIOS } from "./scenarios/index.ts";
import type { Setting } from "./scenarios/steps.ts";

const USAGE = `usage: npm run golden -- FOLDER...      our host against recordings
       npm run golden -- --self A B    one recording against another
       npm run golden -- --live builtin|c|ocaml NAME...
                                       the real xl on a live host, with our xenstored or Xen's own,
                                       against the recordings of these names; all where none is given
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

/** What was recorded, and how; null, said why, where a folder cannot be read. */
function read(folder: string): { recording: Recording; setting: Setting } | null {
  try {
    return { recording: readRecording(folder), setting: readSetting(folder) };
  } catch (error) {
    console.error(`${folder}: ${(error as Error).message}`);
    return null;
  }
}

/** The scenario is found by the folder's name. */
function againstOurHost(folder: string): number {
  const scenario = SCENARIOS.get(basename(folder));
  if (!scenario) {
    console.error(`${folder}: no scenario of that name; there are\n  ${[...SCENARIOS.keys()].join("\n  ")}`);
    return 2;
  }
  const expected = read(folder);
  if (!expected) return 2;
  console.log(`${basename(folder)}: recording (-) against our host (+)`);
  return report(expected.recording, drive(expected.recording, scenario(expected.setting))) ? 0 : 1;
}

function isXenstored(name: string | undefined): name is Players["xenstored"] {
  return name === "builtin" || name === "c" || name === "ocaml";
}

/** The real xl on live hosts, one after another. */
async function live([xenstored, ...names]: readonly string[]): Promise<number> {
  const chosen = names.length === 0 ? recorded : names;
  const unknown = chosen.find((name) => !recorded.includes(name));
  if (unknown !== undefined || !isXenstored(xenstored)) {
    console.error(unknown === undefined ? USAGE : `${unknown}: no recording of that name`);
    return 2;
  }
  let found = 0;
  for (const name of chosen) {
    const { differences: different, warnings } = await play(name, { xl: "real", xenstored });
    found += different.length + warnings.length;
    console.log(`${different.length === 0 ? "same     " : "DIFFERS  "}${name}`);
    for (const { comparator, list, detail } of different)
      console.log([`  ${comparator}: ${list}`, ...detail.map((line) => `  ${line}`)].join("\n"));
    for (const warning of warnings) console.log(`  the host warned: ${warning}`);
  }
  return found === 0 ? 0 : 1;
}

function main(args: string[]): number | Promise<number> {
  if (args[0] === "--live") return live(args.slice(1));
  const self = args[0] === "--self";
  const paths = self ? args.slice(1) : args;
  if (paths.length === 0 || (self && paths.length !== 2) || paths.some((path) => path.startsWith("-"))) {
    console.error(USAGE);
    return 2;
  }
  const folders = paths.map((path) => resolve(process.env["INIT_CWD"] ?? ".", path));
  if (!self) return Math.max(...folders.map(againstOurHost));
  const [first, second] = folders.map(read);
  if (!first || !second) return 2;
  return report(first.recording, second.recording) ? 0 : 1;
}

process.exitCode = await main(process.argv.slice(2));
