// SPDX-License-Identifier: Apache-2.0
//
// The project's own files, for the tests that read them.

import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** The project's root, an absolute path. */
export const root = join(import.meta.dirname, "..");

/** Paths from the root of everything git knows or would add, but recordings and generated files, sorted. */
export function projectFiles(): string[] {
  const listed = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], {
    cwd: root,
    encoding: "utf8",
    maxBuffer: 1 << 26,
  });
  const paths = listed
    .split("\0")
    .filter((path) => path !== "" && !path.startsWith("test/golden/recordings/"));
  return paths.filter((path) => existsSync(join(root, path))).toSorted();
}

/** Paths of the TypeScript and JavaScript files among them. */
export function codeFiles(): string[] {
  return projectFiles().filter((path) => /\.(ts|tsx|js)$/.test(path));
}

/** A file's text. */
export function textOf(path: string): string {
  return readFileSync(join(root, path), "utf8");
}
