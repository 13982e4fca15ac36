// SPDX-License-Identifier: Apache-2.0
//
// docs/reference/unmodified-programs.md says which test runs which program: each
// is there, under that name.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { root } from "../source-files.ts";

const page = readFileSync(join(root, "docs/reference/unmodified-programs.md"), "utf8");
/** Program, file and title of every row. */
const rows = [...page.matchAll(/^\| (.*?) \| `(test\/\S+)`: (.*?) \|/gm)].map(
  ([, program = "", file = "", title = ""]) => ({ program, file, title }),
);

test("every row of the table of programs names a test", () => {
  const lines = page.split("\n").filter((line) => /^\| (?!---|program )/.test(line));
  expect(rows).toHaveLength(lines.length);
  expect(rows.length).toBeGreaterThan(40);
});

test("the tests that the table names are there", () => {
  const texts = new Map(rows.map(({ file }) => [file, readFileSync(join(root, file), "utf8")]));
  expect(rows.filter(({ file, title }) => !texts.get(file)?.includes(title))).toEqual([]);
});
