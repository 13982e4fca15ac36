// SPDX-License-Identifier: Apache-2.0
//
// Scenarios by name: those that come with the program, and anybody's modules.

import { existsSync, readdirSync } from "node:fs";
import * as path from "node:path";
import { pathToFileURL } from "node:url";
import type { Scenario } from "../explore/scenario.ts";
import { Problem } from "../live/problem.ts";
import { assertMutantLoaded } from "./mutant.ts";
import { ownFile } from "./self.ts";

const FOLDER = "examples";

/** Names of the scenarios that come with the program. */
export function scenarioNames(): string[] {
  return readdirSync(ownFile(FOLDER))
    .filter((file) => file.endsWith(".ts") && !file.endsWith(".test.ts"))
    .map((file) => file.slice(0, -".ts".length))
    .toSorted();
}

function fileOf(word: string): string {
  if (!/[./]/.test(word)) {
    const names = scenarioNames();
    if (names.includes(word)) return ownFile(`${FOLDER}/${word}.ts`);
    const first = names[0];
    const known = first === undefined ? "none come along" : `there are ${names.join(", ")}`;
    throw new Problem(`no scenario ${word}: ${known}`, first === undefined ? null : `xenolith sim ${first}`);
  }
  const file = path.resolve(word);
  if (existsSync(file)) return file;
  throw new Problem(`no scenario: there is no file ${word}`, "xenolith sim --help");
}

/**
 * A scenario by its name in examples/, or by its module's path. Throws Problem.
 *
 * @returns with the name under which `replay` finds it again, from any folder
 */
export async function loadScenario(word: string): Promise<{ scenario: Scenario; reference: string }> {
  const file = fileOf(word);
  let loaded: { default?: unknown };
  try {
    loaded = (await import(pathToFileURL(file).href)) as { default?: unknown };
  } catch (error) {
    throw new Problem(`${word} cannot be loaded: ${(error as Error).message}`, null);
  }
  assertMutantLoaded();
  const found = loaded.default as Partial<Scenario> | undefined;
  if (typeof found !== "object" || found === null || found.scriptRoutine === undefined) {
    throw new Problem(`${word} is no scenario: its default export is not what scenario(…) returns`, null);
  }
  const reference = file.startsWith(ownFile(`${FOLDER}/`)) ? path.basename(file, ".ts") : file;
  return { scenario: found as Scenario, reference };
}
