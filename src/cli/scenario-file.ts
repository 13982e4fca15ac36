// SPDX-License-Identifier: Apache-2.0
//
// Scenarios by name: those that come with the program, and anybody's modules.

import { existsSync, readdirSync } from "node:fs";
import * as path from "node:path";
import { pathToFileURL } from "node:url";
import type { Scenario } from "../explore/scenario.ts";
import { Problem } from "../live/problem.ts";
import { assertMutantLoaded } from "./mutant.ts";
import { nearest } from "./nearest.ts";
import { ownFile } from "./self.ts";

const FOLDER = "examples";

/** Names of the scenarios that come with the program. */
export function scenarioNames(): string[] {
  return readdirSync(ownFile(FOLDER))
    .filter((file) => file.endsWith(".ts") && !file.endsWith(".test.ts"))
    .map((file) => file.slice(0, -".ts".length))
    .toSorted();
}

function fileOf(word: string, command: string): string {
  if (!/[./]/.test(word)) {
    const names = scenarioNames();
    if (names.includes(word)) return ownFile(`${FOLDER}/${word}.ts`);
    const known = names.length === 0 ? "none come along" : `there are ${names.join(", ")}`;
    throw new Problem(
      `no scenario ${word}: ${known}`,
      `xenolith ${command} ${nearest(word, names) ?? names[0] ?? "--help"}`,
    );
  }
  const file = path.resolve(word);
  if (existsSync(file)) return file;
  throw new Problem(`no scenario: there is no file ${word}`, `xenolith ${command} --help`);
}

/**
 * A scenario by its name in examples/, or by its module's path. Throws Problem.
 *
 * @param command the command that wants it, for what to try instead
 * @returns with the name under which `replay` finds it again, from any folder
 */
export async function loadScenario(
  word: string,
  command = "sim",
): Promise<{ scenario: Scenario; reference: string }> {
  const file = fileOf(word, command);
  const next = `xenolith ${command} --help`;
  let loaded: { default?: unknown };
  try {
    loaded = (await import(pathToFileURL(file).href)) as { default?: unknown };
  } catch (error) {
    throw new Problem(`${word} cannot be loaded: ${(error as Error).message}`, next);
  }
  assertMutantLoaded();
  const found = loaded.default as Partial<Scenario> | undefined;
  if (typeof found !== "object" || found === null || found.scriptRoutine === undefined) {
    throw new Problem(`${word} is no scenario: its default export is not what scenario(…) returns`, next);
  }
  const reference = file.startsWith(ownFile(`${FOLDER}/`)) ? path.basename(file, ".ts") : file;
  return { scenario: found as Scenario, reference };
}
