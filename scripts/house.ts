// SPDX-License-Identifier: Apache-2.0
//
// The order of the folders of src, and a picture of what they import of each other.

import * as fs from "node:fs";
import * as path from "node:path";
import ts from "typescript";

const ROOT = path.resolve(import.meta.dirname, "..");

/** A folder imports only from those before it. */
export const FOLDERS: readonly string[] = [
  "src/abi",
  "src/core/engine",
  "src/core/xenstore",
  "src/core/hypervisor",
  "src/core/daemons",
  "src/core/xenbus",
  "src/core/drivers",
  "src/core/guest",
  "src/core/toolstack",
  "src/core/host.ts",
  "src/explore",
  "src/doctor",
  "src/export",
  "src/client",
  "src/live",
  "src/cli",
];

/** The place in the order of the folder that a file is in, -1 where it is in none. */
export function rankOf(file: string): number {
  return FOLDERS.findIndex((folder) => file === folder || file.startsWith(`${folder}/`));
}

/** What a file with this text imports when it is loaded, types included, as paths from the root. */
export function importsOf(file: string, text: string): string[] {
  return ts.createSourceFile(file, text, ts.ScriptTarget.Latest).statements.flatMap((statement) => {
    if (!ts.isImportDeclaration(statement) && !ts.isExportDeclaration(statement)) return [];
    const from = statement.moduleSpecifier;
    if (from === undefined || !ts.isStringLiteral(from) || !from.text.startsWith(".")) return [];
    return [path.posix.join(path.posix.dirname(file), from.text)];
  });
}

/** For each folder those that its files import from, tests left out. */
function foldersImported(): Set<number>[] {
  const imported = FOLDERS.map(() => new Set<number>());
  for (const name of fs.readdirSync(path.join(ROOT, "src"), { recursive: true, encoding: "utf8" })) {
    const file = `src/${name}`;
    const rank = rankOf(file);
    if (rank < 0 || !/(?<!\.test|testing)\.ts$/.test(file)) continue;
    for (const target of importsOf(file, fs.readFileSync(path.join(ROOT, file), "utf8"))) {
      if (rankOf(target) !== rank) imported[rank]?.add(rankOf(target));
    }
  }
  return imported;
}

/** Folders and their imports as a Mermaid flowchart; an import that follows from others is left out. */
export function drawHouse(): string {
  const imported = foldersImported();
  /** All that a folder needs, itself included; those before it in the order are known by then. */
  const needs: Set<number>[] = [];
  for (const direct of imported) {
    needs.push(new Set([needs.length, ...[...direct].flatMap((rank) => [...(needs[rank] ?? [])])]));
  }
  const follows = (from: number, to: number): boolean =>
    [...(imported[from] ?? [])].some((between) => between !== to && needs[between]?.has(to));
  const boxes = FOLDERS.map((folder, rank) => `  f${rank}["${folder.replace("src/", "")}"]`);
  const arrows = imported.flatMap((direct, from) =>
    [...direct]
      .filter((to) => !follows(from, to))
      .toSorted((a, b) => a - b)
      .map((to) => `  f${from} --> f${to}`),
  );
  return ["flowchart TD", ...boxes, ...arrows, ""].join("\n");
}
