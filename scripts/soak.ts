// SPDX-License-Identifier: Apache-2.0
//
// npm run soak: long runs, see USAGE.
//
// A job (test/soak/NAME.soak.ts) is a round that can be run with any seed. Jobs
// take turns, each round with the next seed and in a process of its own, until
// the minutes are used up. Every round is a line of FOLDER/soak-COMMIT.jsonl;
// that file is all the state there is: run again, and it goes on from there.

import { spawnSync } from "node:child_process";
import { appendFileSync, existsSync, globSync, mkdirSync, readFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { optionsOf, refuse } from "./options.ts";
import { nextRound, runRound, type Round } from "./soak-round.ts";

const root = join(import.meta.dirname, "..");

const found = globSync("test/soak/*.soak.ts", { cwd: root }).map((path) => basename(path, ".soak.ts"));

const USAGE = `Usage: npm run soak [-- OPTIONS]

Runs the long tests in turns, each round with the next seed. Run again, it goes
on after the rounds that the folder holds.

  --minutes N    for how long, at most 60 (60)
  --only NAME    only this one
  --seed N       the first seed (1)
  --out FOLDER   where rounds are written down (docs/results)

Names: ${found.toSorted().join(" ")}
Exit code: 0; 1 where a round failed; 2 for a wrong command line

  npm run soak -- --only xenstored-fuzz --minutes 10
`;

interface Options {
  readonly minutes: number;
  readonly out: string;
  readonly seed: number;
  readonly only: string | undefined;
}

function readOptions(): Options {
  const { values } = optionsOf(USAGE, {
    options: {
      minutes: { type: "string", default: "60" },
      out: { type: "string", default: join(root, "docs/results") },
      seed: { type: "string", default: "1" },
      only: { type: "string" },
    },
  });
  const minutes = Number(values.minutes);
  const seed = Number(values.seed);
  if (!(minutes > 0 && minutes <= 60)) refuse("--minutes takes a number above 0, at most 60", USAGE);
  if (!Number.isSafeInteger(seed)) refuse("--seed takes a whole number", USAGE);
  return { minutes, out: resolve(values.out), seed, only: values.only };
}

/** The commit being soaked, with `-dirty` where the tree differs from it. */
function commitName(): string {
  const git = (...args: string[]) => spawnSync("git", args, { cwd: root, encoding: "utf8" }).stdout.trim();
  const changed = git("status", "--porcelain", "--", ".", ":!docs/results") !== "";
  return git("rev-parse", "--short=12", "HEAD") + (changed ? "-dirty" : "");
}

function readRounds(file: string): Round[] {
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, "utf8").split("\n");
  return lines.filter((line) => line !== "").map((line) => JSON.parse(line) as Round);
}

function printSummary(jobs: readonly string[], rounds: readonly Round[]): void {
  for (const job of jobs) {
    const mine = rounds.filter((round) => round.job === job);
    const failed = mine.filter((round) => round.error !== null);
    const seeds = mine.map((round) => round.seed);
    const range = mine.length === 0 ? "" : `, seeds ${Math.min(...seeds)}..${Math.max(...seeds)}`;
    console.log(`${job}: ${mine.length} rounds, ${failed.length} failed${range}`);
    for (const { seed, error } of failed) console.log(`  seed ${seed}: ${error}`);
  }
}

function main(options: Options): void {
  const jobs = found.filter((job) => options.only === undefined || job === options.only).toSorted();
  if (jobs.length === 0) refuse(`no soak job ${options.only}`, USAGE);

  mkdirSync(options.out, { recursive: true });
  const file = join(options.out, `soak-${commitName()}.jsonl`);
  const rounds = readRounds(file);
  if (rounds.length > 0) console.log(`Going on after ${rounds.length} rounds in ${file}`);

  const budgetMs = options.minutes * 60_000;
  for (;;) {
    const usedMs = rounds.reduce((sum, round) => sum + round.ms, 0);
    if (usedMs >= budgetMs) break;
    const next = nextRound(jobs, rounds, options.seed);
    const round = runRound(join(root, `test/soak/${next.job}.soak.ts`), next, Math.ceil(budgetMs - usedMs));
    if (round === "out of time") break;
    appendFileSync(file, `${JSON.stringify(round)}\n`);
    rounds.push(round);
    const left = Math.ceil((budgetMs - usedMs - round.ms) / 60_000);
    console.log(
      `${round.error === null ? "ok    " : "FAILED"} ${round.job} seed ${round.seed} (${left} min left)`,
    );
  }
  printSummary(jobs, rounds);
  console.log(`Results: ${file}`);
  process.exitCode = rounds.some((round) => round.error !== null) ? 1 : 0;
}

main(readOptions());
