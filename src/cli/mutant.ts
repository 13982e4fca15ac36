// SPDX-License-Identifier: Apache-2.0
//
// A mutant: the program with a patch applied as it is loaded. Files stay as they
// are; the patch is a unified diff against the project's root.

import { readFileSync } from "node:fs";
import { registerHooks } from "node:module";
import { fileURLToPath } from "node:url";
import { Problem, systemWords } from "../live/problem.ts";
import { ownFile } from "./self.ts";

/** Lines as they were and as they become; `at` is where the diff says they are, counted from 1. */
interface Hunk {
  at: number;
  before: string[];
  after: string[];
}

/** What a unified diff changes, by path from the project's root. */
export function parsePatch(patch: string): Map<string, Hunk[]> {
  const files = new Map<string, Hunk[]>();
  let hunks: Hunk[] | null = null;
  let hunk: Hunk | null = null;
  for (const line of patch.split("\n")) {
    const header = /^@@ -(\d+)/.exec(line);
    if (line.startsWith("+++ ")) {
      const name = line.slice(4).split("\t")[0]?.replace(/^b\//, "") ?? "";
      files.set(name, (hunks = []));
      hunk = null;
    } else if (header !== null && hunks !== null) {
      hunks.push((hunk = { at: Number(header[1]), before: [], after: [] }));
    } else if (hunk !== null && !line.startsWith("--- ")) {
      const text = line.slice(1);
      if (line.startsWith(" ") || line.startsWith("-")) hunk.before.push(text);
      if (line.startsWith(" ") || line.startsWith("+")) hunk.after.push(text);
    }
  }
  return files;
}

/** Where those lines stand, nearest to where they should; -1 where they do not. */
function find(lines: readonly string[], wanted: readonly string[], near: number): number {
  let best = -1;
  for (let at = 0; at + wanted.length <= lines.length; at++) {
    if (!wanted.every((line, offset) => lines[at + offset] === line)) continue;
    if (best < 0 || Math.abs(at - near) < Math.abs(best - near)) best = at;
  }
  return best;
}

/** A text with hunks applied, or null where one does not fit. */
export function applyHunks(text: string, hunks: readonly Hunk[]): string | null {
  const lines = text.split("\n");
  let moved = 0;
  for (const { at, before, after } of hunks) {
    const found = find(lines, before, at - 1 + moved);
    if (found < 0) return null;
    lines.splice(found, before.length, ...after);
    moved += after.length - before.length;
  }
  return lines.join("\n");
}

/** Files that a mutant changes and nobody has loaded yet, by path from the project's root. */
const notLoaded = new Set<string>();

/**
 * Throws Problem where a mutant changes a file that this run does not load, or had
 * loaded before: it would be taken for one that makes no difference.
 */
export function assertMutantLoaded(): void {
  const [name] = notLoaded;
  if (name !== undefined)
    throw new Problem(`nothing in this run loads ${name}, which the mutant changes`, null);
}

/**
 * Changes what is loaded from here on. Call it before anything the patch touches
 * is imported. Throws Problem where the patch is none or does not fit.
 */
export function installMutant(patch: string): void {
  const files = parsePatch(patch);
  const changed = new Map<string, { name: string; text: string }>();
  for (const [name, hunks] of files) {
    const file = ownFile(name);
    const text = applyHunks(readSource(file, name), hunks);
    if (text === null) throw new Problem(`the mutant does not fit ${name} as it is now`, null);
    changed.set(file, { name, text });
    notLoaded.add(name);
  }
  if (changed.size === 0) throw new Problem("the mutant is no unified diff", null);
  registerHooks({
    load: (url, context, next) => {
      const found = url.startsWith("file:") ? changed.get(fileURLToPath(url)) : undefined;
      if (found === undefined) return next(url, context);
      notLoaded.delete(found.name);
      return { format: "module-typescript", source: found.text, shortCircuit: true };
    },
  });
}

function readSource(file: string, name: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new Problem(`the mutant changes ${name}: ${systemWords(error)}`, null);
  }
}

/** The patch of an option `--mutant FILE`, or null; throws Problem where it cannot be read. */
export function readMutant(file: string | undefined): string | null {
  if (file === undefined) return null;
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new Problem(`cannot read the mutant ${file}: ${systemWords(error)}`, null);
  }
}
