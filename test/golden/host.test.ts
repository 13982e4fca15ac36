// SPDX-License-Identifier: Apache-2.0

import { join } from "node:path";
import { expect, test } from "vitest";
import { compare } from "./compare/index.ts";
import { drive } from "./drive.ts";
import { readRecording, readSetting } from "./parse/folder.ts";
import { SCENARIOS } from "./scenarios/index.ts";

/** Scenarios in which our host does what real Xen did. */
const SAME = [
  "a-create-paused-unpause",
  "b-orderly-shutdown",
  "c-guest-poweroff",
  "d-guest-reboot-restart",
  "d2-xl-reboot",
  "dev-vbd-vif",
  "e1-crash-destroy",
  "err-xl-errors",
  "f-destroy-running",
  "g-pause-unpause",
  "h-rename",
  "i1-save-restore",
  "m-domid-allocation",
];

for (const name of SAME) {
  test(`our host does what real Xen did: ${name}`, () => {
    const folder = join(import.meta.dirname, "recordings", name);
    const recording = readRecording(folder);
    const ours = drive(recording, SCENARIOS.get(name)!(readSetting(folder)));
    expect(compare(recording, ours)).toEqual([]);
  });
}

test("a run is repeatable", () => {
  const folder = join(import.meta.dirname, "recordings/a-create-paused-unpause");
  const run = (): unknown =>
    drive(readRecording(folder), SCENARIOS.get("a-create-paused-unpause")!(readSetting(folder)));
  expect(run()).toEqual(run());
});
