// SPDX-License-Identifier: Apache-2.0
//
// Debug keys q, g and e around a zombie: what our host prints is what Xen itself
// printed, line for line. Masked is what depends on the moment (the time, which
// processor a vCPU is on and whether it runs), on the machine (frame numbers) or
// on dom0's kernel (its own channels).

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { driveDebugKeys } from "./drive.ts";
import { readRecording, readSetting } from "./parse/folder.ts";
import { SCENARIOS } from "./scenarios/index.ts";

const folder = join(import.meta.dirname, "recordings");

/** What is not compared, and why. */
const masks: readonly (readonly [RegExp, string])[] = [
  [/now = \d+/, "now = N"],
  [/(DomPage|XenPage) [0-9a-f]{16}/, "$1 FRAME"],
  [/ 0x[0-9a-f]{6} /g, " FRAME "],
  [/handle=[0-9a-f-]{36}/, "handle=UUID"],
  [/dirty_cpus=\{[\d,-]*\}/, "dirty_cpus={}"],
  // A vCPU that runs at the moment may be in an interrupt.
  [/CPU\d \[has=[TF]\](.*) upcall_pend=\d\d upcall_mask=\d\d dirty_cpu=\d$/, "CPU0$1 running"],
  [/CPU\d \[has=[TF]\](.*) upcall_pend=\d\d upcall_mask=(\d\d) $/, "CPU0$1 upcall_mask=$2"],
  [/pause_flags=[01]$/, "pause_flags=F"],
  [/\(virq 1, port \d+\)/, "(virq 1, port P)"],
  [/(s=3 .* p=)\d+$/, "$1P"],
  // Which vCPU of dom0 takes a channel's events is Linux's choice.
  [/s=3 n=\d (.* d=[1-9])/, "s=3 n=N $1"],
  // An event that waits is soon taken.
  [/\[[01]\/([01])\/ {2}[-0] {3}\]/, "[P/$1]"],
];

function masked(lines: readonly string[]): string[] {
  return lines
    .filter((line) => line !== "")
    .map((line) => masks.reduce((text, [what, by]) => text.replace(what, by), line));
}

/** dom0's own channels are its kernel's affair: compared are those that lead to a guest, by whatever port. */
function withoutDom0sOwn(lines: string[]): string[] {
  let dom0 = false;
  return lines.flatMap((line) => {
    const domid = /channel information for domain (\d+)/.exec(line)?.[1];
    if (domid !== undefined) dom0 = domid === "0";
    if (!dom0 || !/: s=\d/.test(line)) return [line];
    return / d=[1-9]/.test(line) ? [line.replace(/ +\d+ \[/, " PORT [")] : [];
  });
}

describe.each(["k1-zombie-foreign-map", "k3-zombie-sharedinfo"])("%s", (name) => {
  const recording = readRecording(join(folder, name));
  const ours = driveDebugKeys(recording, SCENARIOS.get(recording.scenario)!(readSetting(join(folder, name))));

  test.each(["before", "zombie", "after"].flatMap((when) => ["q", "g", "e"].map((key) => `${key}-${when}`)))(
    "%s",
    (pressed) => {
      const theirs = readFileSync(join(folder, name, `debugkey-${pressed}.txt`), "utf8").split("\n");
      const printed = ours.get(pressed) ?? [];
      expect(printed.length).toBeGreaterThan(0);
      const comparable = (lines: readonly string[]): string[] => withoutDom0sOwn(masked(lines));
      expect(comparable(printed)).toEqual(comparable(theirs));
    },
  );
});
