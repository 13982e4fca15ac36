// SPDX-License-Identifier: Apache-2.0
//
// Diagrams in the documents show what the program does today.

import * as fs from "node:fs";
import * as path from "node:path";
import { describe, expect, test } from "vitest";
import { illustrated, withDiagrams } from "../scripts/diagrams.ts";
import { root } from "./source-files.ts";

/** More messages than this nobody reads. */
const LINES_MAX = 45;

const documents = illustrated();

test("the life of a domid is illustrated", () => {
  expect(documents.map((file) => path.relative(root, file))).toContain("docs/internals/domid-lifecycle.md");
});

describe.each(documents)("%s", (file) => {
  const text = fs.readFileSync(file, "utf8");

  test("its diagrams are those of a fresh run (npm run diagrams)", async () => {
    expect(await withDiagrams(text)).toBe(text);
  });

  test("its diagrams are short enough to be read", () => {
    const lengths = [...text.matchAll(/```mermaid\n([\s\S]*?)```/g)].map(
      ([, body]) => body!.split("\n").length,
    );
    expect(lengths.length).toBeGreaterThan(0);
    for (const length of lengths) expect(length).toBeLessThanOrEqual(LINES_MAX);
  });

  test("a change of a diagram is noticed", async () => {
    const changed = text.replace(/VIRQ_DOM_EXC \(d1 is dead\)|--> f1$/m, "--> nobody");
    expect(changed).not.toBe(text);
    expect(await withDiagrams(changed)).toBe(text);
  });
});
