// SPDX-License-Identifier: Apache-2.0
//
// House rules that no tool knows. A rule that finds something names the place.

import { existsSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import ts from "typescript";
import { expect, test } from "vitest";
import { codeFiles, projectFiles, root, textOf } from "./source-files.ts";

const lineColumnsMax = 120;
const functionLinesMax = 100;

const files = projectFiles();
const code = codeFiles();

/** `path:line: text` for every line of these files that the pattern finds. */
function linesWith(paths: readonly string[], pattern: RegExp): string[] {
  return paths.flatMap((path) =>
    textOf(path)
      .split("\n")
      .flatMap((line, index) => (pattern.test(line) ? [`${path}:${index + 1}: ${line.trim()}`] : [])),
  );
}

/** Named and unnamed functions longer than the limit; a test's body is a list of cases, not a function. */
function longFunctions(path: string, text: string): string[] {
  const file = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isFunctionLike(node)) {
      const first = file.getLineAndCharacterOfPosition(node.getStart()).line;
      const lines = file.getLineAndCharacterOfPosition(node.end).line - first + 1;
      if (lines > functionLinesMax) found.push(`${path}:${first + 1}: a function of ${lines} lines`);
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  return found;
}

/** Relative targets of a page's links, without code blocks and anchors. */
function localLinks(markdown: string): string[] {
  const prose = markdown.replace(/^```[^]*?^```/gm, "").replace(/`[^`\n]*`/g, "");
  const links = [...prose.matchAll(/\]\(([^)\s]+)\)/g)].map((match) => match[1] ?? "");
  return links.filter((link) => !/^([a-z]+:|#)/.test(link)).map((link) => link.replace(/#.*/, ""));
}

test("every source file names its licence in the first two lines", () => {
  const sources = files.filter((path) => /\.(ts|tsx|js|c|h|S|py|sh|css)$|(^|\/)Makefile$|^\.ci\//.test(path));
  const header = "SPDX-License-Identifier: Apache-2.0";
  const without = sources.filter((path) => !textOf(path).split("\n", 2).join("\n").includes(header));
  expect(sources.length).toBeGreaterThan(0);
  expect(without).toEqual([]);
});

test("files are named in kebab-case", () => {
  const kebab = /^[a-z0-9]+(-[a-z0-9]+)*(\.(test|soak|config|d))?\.(ts|tsx|js)$/;
  expect(code.filter((path) => !kebab.test(basename(path)))).toEqual([]);
});

test(`lines fit ${lineColumnsMax} columns`, () => {
  // Prose in a string that has the line to itself may go on: cut in pieces it reads worse.
  const prose = /^\s*(\w+: )?(["'`]).*\2( \+|[,;])?$/;
  const long = new RegExp(`^(?!${prose.source.slice(1)}).{${lineColumnsMax + 1},}`);
  expect(linesWith(code, long)).toEqual([]);
});

test(`functions have at most ${functionLinesMax} lines`, () => {
  const sources = code.filter((path) => !path.endsWith(".test.ts"));
  expect(sources.flatMap((path) => longFunctions(path, textOf(path)))).toEqual([]);
});

test("nothing is left for later and no test is left out", () => {
  expect(linesWith(code, /\b(TO[D]O|FIX[M]E|X[X]X|HA[C]K)\b/)).toEqual([]);
  const tests = code.filter((path) => path.endsWith(".test.ts"));
  expect(linesWith(tests, /\b(it|test|describe)\.(only|skip|todo|fails)\b/)).toEqual([]);
});

test("no file names a machine it was made on", () => {
  const text = files.filter((path) => !/\.(png|ico|gz|bin)$/.test(path));
  expect(
    linesWith(text, /(^|[\s"'`(=:])\/(work|farm)\/|\/(home|Users)\/[a-z]|\.\.\/shared\/|\/tmp\/xe[n]-/),
  ).toEqual([]);
});

test("links between pages lead somewhere", () => {
  const pages = files.filter((path) => path.endsWith(".md"));
  const broken = pages.flatMap((page) =>
    localLinks(textOf(page))
      .filter((link) => !existsSync(join(root, dirname(page), link)))
      .map((link) => `${page}: ${link}`),
  );
  expect(pages.length).toBeGreaterThan(0);
  expect(broken).toEqual([]);
});

test("the rules notice what they are there for", () => {
  expect(longFunctions("a.ts", `function f() {${"\n".repeat(functionLinesMax)}}`)).toEqual([
    "a.ts:1: a function of 101 lines",
  ]);
  expect(longFunctions("a.ts", `const f = () => {${"\n".repeat(functionLinesMax - 1)}}`)).toEqual([]);
  const page = "[a](b.md#c) [d](https://e) `[no](x)` [f](#g)\n```\n[no](y)\n```\n[h](i/)";
  expect(localLinks(page)).toEqual(["b.md", "i/"]);
});
