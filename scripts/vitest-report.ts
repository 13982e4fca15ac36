// SPDX-License-Identifier: Apache-2.0
//
// What `npm test` needs to know from vitest's JSON report.

/** How many tests ended how. */
export interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

/** The part of vitest's JSON report that is read here. */
export interface VitestReport {
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly assertionResults: readonly {
      readonly status: string;
      readonly ancestorTitles: readonly string[];
    }[];
  }[];
}

/** Counts tests; a file that failed without a failing test (it did not load) counts as one. */
export function countTests(report: VitestReport): Counts {
  const counts: Counts = { passed: 0, failed: 0, skipped: 0 };
  for (const file of report.testResults) {
    let failed = 0;
    for (const { status } of file.assertionResults) {
      if (status === "passed") counts.passed += 1;
      else if (status === "failed") failed += 1;
      else counts.skipped += 1;
    }
    if (file.status === "failed" && failed === 0) failed = 1;
    counts.failed += failed;
  }
  return counts;
}

/** How many tests were skipped for want of each capability; see test/capabilities.ts for the mark. */
export function skippedFor(report: VitestReport): Map<string, number> {
  const skipped = new Map<string, number>();
  for (const { assertionResults } of report.testResults) {
    for (const { status, ancestorTitles } of assertionResults) {
      if (status === "passed" || status === "failed") continue;
      const mark = / \[needs ([^\]]+)\]$/;
      const names = new Set(ancestorTitles.flatMap((title) => mark.exec(title)?.[1]?.split(" ") ?? []));
      for (const name of names.size === 0 ? ["no stated reason"] : names) {
        skipped.set(name, (skipped.get(name) ?? 0) + 1);
      }
    }
  }
  return skipped;
}
