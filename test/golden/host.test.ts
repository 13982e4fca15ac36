// SPDX-License-Identifier: Apache-2.0

import { readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { compare } from "./compare/index.ts";
import { drive } from "./drive.ts";
import { readRecording, readSetting } from "./parse/folder.ts";
import type { Recording } from "./recording.ts";
import { SCENARIOS } from "./scenarios/index.ts";

const folder = join(import.meta.dirname, "recordings");
const recorded = readdirSync(folder).filter((name) => name !== "_repeat");
const repeated = readdirSync(join(folder, "_repeat")).map((name) => `_repeat/${name}`);

function run(name: string): { expected: Recording; ours: Recording } {
  const expected = readRecording(join(folder, name));
  const steps = SCENARIOS.get(expected.scenario)!(readSetting(join(folder, name)));
  return { expected, ours: drive(expected, steps) };
}

for (const name of [...recorded, ...repeated]) {
  test(`our host does what real Xen did: ${name}`, () => {
    const { expected, ours } = run(name);
    expect(compare(expected, ours)).toEqual([]);
    // Words are compared without libxl's files and lines.
    expect([...debugLines(ours)].filter((where) => !debugLines(expected).has(where))).toEqual([]);
  });
}

/** Where in libxl the words of -vvv come from. */
function debugLines({ commands, monitorLogs }: Recording): ReadonlySet<string> {
  const said = commands.flatMap((entry) => (entry.kind === "note" ? [] : entry.stderr));
  const logged = monitorLogs.flatMap(({ lines }) => lines);
  return new Set(
    [...said, ...logged].flatMap((line) => /libxl: (?:debug|detail): (\S+):/.exec(line)?.[1] ?? []),
  );
}

test("a run is repeatable", () => {
  expect(run("a-create-paused-unpause").ours).toEqual(run("a-create-paused-unpause").ours);
});
