// SPDX-License-Identifier: Apache-2.0

import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { Recording } from "../recording.ts";
import { readRecording, readSetting } from "../parse/folder.ts";
import { SCENARIOS } from "./index.ts";
import type { Step } from "./steps.ts";

const folder = join(import.meta.dirname, "../recordings");

/** What `commands.log` shows of the steps, `$N` filled in. */
function shown(steps: Step[], domids: number[]): string[] {
  const fill = (text: string): string =>
    text.replace(/\$(\d)/g, (_, nth: string) => String(domids[Number(nth) - 1]));
  return steps.flatMap((step) => {
    if (step.do === "command") return [`$ ${fill(step.line)}`];
    if (step.do === "note") return [`# ${fill(step.text)}`];
    if (step.do === "snapshot") return [`# snapshot ${step.name}`];
    if (step.do === "up") return [`# guest ${step.name} up`];
    if (step.do === "gone") return [`# dom ${domids[step.domain - 1]} gone from hypervisor`];
    return [];
  });
}

/** Domids as the driver knew them: in the order of its `domid` steps, told by its remarks or by their creation. */
function domidsOf(recording: Recording, entries: string[]): number[] {
  for (const line of entries) {
    const pair = /(?:domid (\d+) -> (\d+)|consecutive domids: (\d+) (\d+))$/.exec(line);
    if (pair) return [Number(pair[1] ?? pair[3]), Number(pair[2] ?? pair[4])];
    const zombie = /domid=(\d+) \(zombie is (\d+)\)$/.exec(line);
    if (zombie) return [Number(zombie[2]), Number(zombie[1])];
  }
  return [...new Set(recording.domains.filter((row) => row.change === "NEW").map((row) => row.domid))];
}

for (const [name, scenario] of [...SCENARIOS].filter(([name]) => existsSync(join(folder, name)))) {
  test(`${name} asks what the recording's driver asked`, () => {
    const recording = readRecording(join(folder, name));
    const entries = recording.commands.map((entry) =>
      entry.kind === "note" ? `# ${entry.text}` : `$ ${entry.line.trim()}`,
    );
    expect(shown(scenario(readSetting(join(folder, name))), domidsOf(recording, entries))).toEqual(entries);
  });

  test(`${name} writes the recording's configuration`, () => {
    const last = new Map(
      scenario(readSetting(join(folder, name))).flatMap((step) =>
        step.do === "config" ? [[step.name, step.text] as const] : [],
      ),
    );
    const recorded = readdirSync(join(folder, name)).filter((file) => file.endsWith(".cfg"));
    expect(recorded.length + Number(name.startsWith("k"))).toBeGreaterThan(0);
    for (const file of recorded)
      expect(last.get(file.slice(0, -".cfg".length))).toBe(readFileSync(join(folder, name, file), "utf8"));
  });
}
