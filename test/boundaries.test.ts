// SPDX-License-Identifier: Apache-2.0
//
// The house's order: each folder of src imports only from folders above it in the
// list of scripts/house.ts, and the pure ones use nothing that could differ between two runs.

import { posix } from "node:path";
import ts from "typescript";
import { expect, test } from "vitest";
import { FOLDERS, importsOf, rankOf } from "../scripts/house.ts";
import { codeFiles, textOf } from "./source-files.ts";

const pureUntil = FOLDERS.indexOf("src/export");

/** Names that bring in time, chance, waiting or a locale. What Node and browsers add, tsconfig.pure.json leaves out. */
const impure = new Set([
  "Date",
  "Promise",
  "Intl",
  "Atomics",
  "SharedArrayBuffer",
  "WeakRef",
  "FinalizationRegistry",
  "globalThis",
]);
const impureMembers = new Set(["localeCompare", "toLocaleString", "toLocaleLowerCase", "toLocaleUpperCase"]);

/** What is wrong with the imports of a file, as lines `path:line: what`. */
function badImports(path: string, text: string): string[] {
  const problems: string[] = [];
  const rank = rankOf(path);
  // `testing.ts` is what a folder's tests share; tests may run on a whole host.
  const isTest = path.endsWith(".test.ts") || posix.basename(path) === "testing.ts";
  for (const { fileName, pos } of ts.preProcessFile(text, true, true).importedFiles) {
    const at = `${path}:${text.slice(0, pos).split("\n").length}`;
    if (!fileName.startsWith(".")) {
      if (rank <= pureUntil && !isTest) problems.push(`${at}: a pure folder imports ${fileName}`);
      continue;
    }
    const target = posix.join(posix.dirname(path), fileName);
    const targetRank = rankOf(target);
    if (!target.startsWith("src/") && !isTest) problems.push(`${at}: ${fileName} is outside src`);
    else if (isTest && target === "src/core/host.ts") continue;
    else if (posix.basename(target) === "testing.ts" && !isTest)
      problems.push(`${at}: ${fileName} is for tests`);
    else if (targetRank > rank) problems.push(`${at}: ${FOLDERS[targetRank]} is below ${FOLDERS[rank]}`);
  }
  return problems;
}

/** Uses of what pure code may not use, as lines `path:line: what`. */
function impurities(path: string, text: string): string[] {
  const file = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  const problems: string[] = [];
  const report = (node: ts.Node, what: string) =>
    void problems.push(`${path}:${file.getLineAndCharacterOfPosition(node.getStart()).line + 1}: ${what}`);
  const visit = (node: ts.Node): void => {
    if (ts.isIdentifier(node) && impure.has(node.text) && isReference(node)) report(node, node.text);
    if (ts.isPropertyAccessExpression(node)) {
      if (node.getText() === "Math.random") report(node, "Math.random");
      if (impureMembers.has(node.name.text)) report(node, node.name.text);
    }
    if (node.kind === ts.SyntaxKind.AsyncKeyword || ts.isAwaitExpression(node)) report(node, "async");
    ts.forEachChild(node, visit);
  };
  visit(file);
  return problems;
}

/** Whether the name stands for a variable, not for a field or a key. */
function isReference(node: ts.Identifier): boolean {
  const { parent } = node;
  if (ts.isPropertyAccessExpression(parent)) return parent.expression === node;
  if (ts.isPropertyAssignment(parent) || ts.isPropertySignature(parent)) return parent.name !== node;
  return !ts.isMethodDeclaration(parent) && !ts.isQualifiedName(parent);
}

/** Groups of files of which each imports all others, directly or not (Tarjan's algorithm). */
function circles(paths: readonly string[], importsOf: (path: string) => readonly string[]): string[][] {
  const found: string[][] = [];
  const stack: string[] = [];
  const numbers = new Map<string, number>();
  const visit = (path: string): number => {
    const number = numbers.size;
    numbers.set(path, number);
    stack.push(path);
    let lowest = number;
    for (const next of importsOf(path)) {
      if (!numbers.has(next)) lowest = Math.min(lowest, visit(next));
      else if (stack.includes(next)) lowest = Math.min(lowest, numbers.get(next) ?? 0);
    }
    if (lowest === number) {
      const circle = stack.splice(stack.indexOf(path)).toSorted();
      if (circle.length > 1) found.push(circle);
    }
    return lowest;
  };
  for (const path of paths) if (!numbers.has(path)) visit(path);
  return found;
}

/** Circles there are for a reason. */
const knownCircles: readonly string[][] = [
  // A page that is a table of pages holds pages, which may be tables.
  ["src/core/hypervisor/page-table.ts", "src/core/hypervisor/page.ts"],
];

const sources = codeFiles().filter((path) => path.startsWith("src/") && !path.endsWith(".d.ts"));

test("every source file is in a folder that has its place in the order", () => {
  expect(sources.length).toBeGreaterThan(0);
  expect(sources.filter((path) => rankOf(path) < 0)).toEqual([]);
});

test("folders import only from folders above them", () => {
  expect(sources.flatMap((path) => badImports(path, textOf(path)))).toEqual([]);
});

test("files do not import each other in a circle", () => {
  expect(circles(sources, (path) => importsOf(path, textOf(path)))).toEqual(knownCircles);
});

test("pure folders use no clock, chance, promise or locale", () => {
  const pure = sources.filter((path) => rankOf(path) <= pureUntil && !path.endsWith(".test.ts"));
  expect(pure.length).toBeGreaterThan(0);
  expect(pure.flatMap((path) => impurities(path, textOf(path)))).toEqual([]);
});

test("the boundary check notices what it is there for", () => {
  expect(badImports("src/core/xenstore/store.ts", 'import { a } from "../hypervisor/domain.ts";')).toEqual([
    "src/core/xenstore/store.ts:1: src/core/hypervisor is below src/core/xenstore",
  ]);
  expect(badImports("src/core/host.ts", '\nimport type { a } from "node:fs";')).toEqual([
    "src/core/host.ts:2: a pure folder imports node:fs",
  ]);
  expect(badImports("src/live/up.ts", 'import { a } from "../../test/a.ts";')).toEqual([
    "src/live/up.ts:1: ../../test/a.ts is outside src",
  ]);
  expect(
    badImports("src/cli/main.ts", 'import { a } from "node:fs"; import { b } from "../abi/b.ts";'),
  ).toEqual([]);
  const pointsTo: { readonly [path: string]: readonly string[] } = {
    a: ["b"],
    b: ["c"],
    c: ["b", "d"],
    d: [],
  };
  expect(circles(Object.keys(pointsTo), (path) => pointsTo[path] ?? [])).toEqual([["b", "c"]]);
  const text =
    "const t = Date.now();\nawait f(Math.random());\nconst ok = { Date: x.Date };\nlet p: Promise<void>;";
  expect(impurities("a.ts", text)).toEqual([
    "a.ts:1: Date",
    "a.ts:2: async",
    "a.ts:2: Math.random",
    "a.ts:4: Promise",
  ]);
});
