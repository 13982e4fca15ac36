// SPDX-License-Identifier: Apache-2.0
//
// The checks that read the code without running it. Each counts as one test.

import { spawnSync } from "node:child_process";

/** A tool that looks at the whole project; exit code 0 means nothing to say. */
export interface Check {
  readonly name: string;
  /** JavaScript file of the tool, from the project's root, and its arguments. */
  readonly command: readonly [string, ...string[]];
}

/** In the order in which they run: the likeliest to fail first. */
export const checks: readonly Check[] = [
  { name: "types", command: ["node_modules/typescript/bin/tsc", "-p", "tsconfig.json"] },
  { name: "types-pure", command: ["node_modules/typescript/bin/tsc", "-p", "tsconfig.pure.json"] },
  {
    name: "lint",
    command: ["node_modules/oxlint/bin/oxlint", "--type-aware", "--deny-warnings", "-f", "unix"],
  },
  { name: "format", command: ["node_modules/oxfmt/bin/oxfmt", "--check"] },
  { name: "dead-code", command: ["node_modules/knip/bin/knip.js", "--no-progress"] },
];

/**
 * Runs one check in `root` and prints its line, and what the tool said where it failed.
 *
 * @param timeoutMs how long the tool may take
 * @returns whether it passed
 */
export function runCheck(check: Check, root: string, timeoutMs: number): boolean {
  const started = performance.now();
  const result = spawnSync(process.execPath, [...check.command], {
    cwd: root,
    encoding: "utf8",
    timeout: timeoutMs,
    maxBuffer: 1 << 28,
  });
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  const passed = result.status === 0;
  console.log(`${passed ? "ok    " : "FAILED"} ${check.name} (${seconds} s)`);
  if (!passed) console.log(result.stdout + result.stderr + (result.error?.message ?? ""));
  return passed;
}
