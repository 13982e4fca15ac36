// SPDX-License-Identifier: Apache-2.0
//
// npm test [-- PATTERN...]: every check and every test, in order, at most ten
// minutes. A pattern chooses the checks with that in their name, or else the test
// files with that in their path. The last line is the count alone.
// XENOLITH_REQUIRE_ALL=1: nothing may be skipped.

import { spawnSync, type SpawnSyncReturns } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { capabilities, howToEnable, type Capability } from "./capabilities.ts";
import { checks, runCheck, type Check } from "./checks.ts";
import { countTests, skippedFor, type Counts, type VitestReport } from "./vitest-report.ts";

const root = join(import.meta.dirname, "..");
const MINUTES_MAX = 10;
const deadline = performance.now() + MINUTES_MAX * 60_000;
const requireAll = process.env["XENOLITH_REQUIRE_ALL"] === "1";

/** Whole milliseconds left of the ten minutes, at least one. */
function msLeft(): number {
  return Math.max(1, Math.round(deadline - performance.now()));
}

function runVitest(patterns: readonly string[], counts: Counts): void {
  const reportFile = join(root, "build/test-report.json");
  rmSync(reportFile, { force: true });
  const vitest = join(root, "node_modules/vitest/vitest.mjs");
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${reportFile}`];
  const result = spawnSync(process.execPath, [vitest, "run", ...reporters, ...patterns], {
    cwd: root,
    stdio: "inherit",
    env: process.stdout.isTTY ? process.env : { ...process.env, NO_COLOR: "1" },
    timeout: msLeft(),
  });
  const report = readReport(reportFile);
  const tests = countTests(report);
  // An error outside all tests, no report, out of time: nothing may make a failed run look like a passed one.
  if (result.status !== 0 && tests.failed === 0) {
    console.log(`FAILED vitest ${howItEnded(result)}`);
    tests.failed = 1;
  }
  counts.passed += tests.passed;
  counts.failed += tests.failed;
  counts.skipped += tests.skipped;
  printSkipped(skippedFor(report));
}

function howItEnded({ error, status, signal }: SpawnSyncReturns<unknown>): string {
  // spawnSync's own words name neither the limit nor what to do.
  if (error !== undefined && "code" in error && error.code === "ETIMEDOUT")
    return `was ended: npm test takes ${MINUTES_MAX} minutes at most; npm test -- PATTERN runs a part`;
  return `ended with ${error?.message ?? status ?? signal}`;
}

function readReport(file: string): VitestReport {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as VitestReport;
  } catch {
    return { testResults: [] };
  }
}

function printSkipped(skipped: ReadonlyMap<string, number>): void {
  if (skipped.size === 0) return;
  console.log("\nSkipped, because this machine lacks what they need (.ci/run installs all of it):");
  for (const [name, count] of skipped) {
    const what = name in capabilities ? howToEnable(name as Capability) : name;
    console.log(`  ${String(count).padStart(4)} tests  ${what}`);
  }
}

function main(patterns: readonly string[]): void {
  const counts: Counts = { passed: 0, failed: 0, skipped: 0 };
  const isFor = (check: Check) => (pattern: string) => check.name.includes(pattern);
  const chosen = patterns.length === 0 ? checks : checks.filter((check) => patterns.some(isFor(check)));
  for (const check of chosen) counts[runCheck(check, root, msLeft()) ? "passed" : "failed"] += 1;
  const rest = patterns.filter((pattern) => !checks.some((check) => isFor(check)(pattern)));
  if (patterns.length === 0 || rest.length > 0) runVitest(rest, counts);

  if (requireAll && counts.skipped > 0) console.log("XENOLITH_REQUIRE_ALL=1: a skipped test is a failure.");
  console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
  process.exitCode = counts.failed > 0 || (requireAll && counts.skipped > 0) ? 1 : 0;
}

main(process.argv.slice(2));
