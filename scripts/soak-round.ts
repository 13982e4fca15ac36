// SPDX-License-Identifier: Apache-2.0
//
// One round of a soak job, in a process of its own: what it leaks or breaks ends with it.

import { spawnSync } from "node:child_process";
import { pathToFileURL } from "node:url";

/** What test/soak/NAME.soak.ts exports as `round`: some seconds of work, the same for the same seed. */
export type SoakRound = (seed: number) => Promise<SoakFigures> | SoakFigures;

/** What a round has to report beside that it passed, plain JSON: counts, sizes, milliseconds (say so in the name). */
export type SoakFigures = Record<string, number | string>;

/** A finished round, a line of the results. */
export interface Round {
  readonly job: string;
  readonly seed: number;
  /** How long it took, milliseconds. */
  readonly ms: number;
  /** Why it failed, or null. */
  readonly error: string | null;
  readonly figures: SoakFigures;
}

const roundMsMax = 5 * 60_000;

/** The job with the fewest rounds so far, and its next seed. */
export function nextRound(
  jobs: readonly string[],
  rounds: readonly Round[],
  firstSeed: number,
): Pick<Round, "job" | "seed"> {
  const doneOf = (job: string) => rounds.filter((round) => round.job === job);
  const job = jobs.toSorted((a, b) => doneOf(a).length - doneOf(b).length)[0]!;
  const seed = doneOf(job).reduce((next, round) => Math.max(next, round.seed + 1), firstSeed);
  return { job, seed };
}

/**
 * Runs a job's round.
 *
 * @param file the job's absolute path
 * @param msLeft what is left of the whole run's time; a round it cuts short is no result
 */
export function runRound(
  file: string,
  next: Pick<Round, "job" | "seed">,
  msLeft: number,
): Round | "out of time" {
  const started = performance.now();
  const code =
    `const { round } = await import(${JSON.stringify(pathToFileURL(file).href)});` +
    `console.log("\\n" + JSON.stringify((await round(${next.seed})) ?? {}));`;
  const result = spawnSync(process.execPath, ["--input-type=module", "--eval", code], {
    encoding: "utf8",
    timeout: Math.min(roundMsMax, msLeft),
    maxBuffer: 1 << 26,
  });
  const ms = Math.round(performance.now() - started);
  if (ms >= msLeft) return "out of time";
  if (result.status === 0) {
    const figures = JSON.parse(result.stdout.trimEnd().split("\n").at(-1) ?? "{}") as SoakFigures;
    return { ...next, ms, error: null, figures };
  }
  const why = result.status === null ? `did not end (${result.signal})` : result.stderr.trim();
  return { ...next, ms, error: why, figures: {} };
}
