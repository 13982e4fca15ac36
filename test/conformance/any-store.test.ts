// SPDX-License-Identifier: Apache-2.0
//
// Xen's own xenstoreds in ours' place: kernels speak to them in bytes over
// rings, so that an orderly shutdown must look just as it did on real Xen.

import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { COMPARATORS, factsOf, subjectOf } from "../golden/compare/index.ts";
import { differences, type Difference, type Facts } from "../golden/compare/facts.ts";
import { LiveRun, type Players } from "../golden/live.ts";
import { readRecording, readSetting } from "../golden/parse/folder.ts";
import type { Recording } from "../golden/recording.ts";
import { SCENARIOS } from "../golden/scenarios/index.ts";
import { requires } from "../capabilities.ts";

const recordings = join(import.meta.dirname, "../golden/recordings");
let run: LiveRun | null = null;
let root = "";

afterEach(async () => {
  await run?.stop();
  run = null;
  fs.rmSync(root, { recursive: true, force: true });
});

/** Runs a recorded scenario live. */
async function play(name: string, players: Players): Promise<{ expected: Recording; ours: Recording }> {
  const folder = join(recordings, name);
  const expected = readRecording(folder);
  root = fs.mkdtempSync(join(tmpdir(), "xenolith-store-"));
  run = await LiveRun.start(expected, players, root);
  const ours = await run.run(SCENARIOS.get(name)!(readSetting(folder)));
  expect(run.warnings).toEqual([]);
  return { expected, ours };
}

/**
 * What the comparators see. xl's monitor ends as soon as destroydomain returns:
 * whether xenstored tells it of the death it caused before that is a race, which
 * emulation always decided in one way.
 */
function facts(comparator: (typeof COMPARATORS)[number], recording: Recording): Facts {
  const found = factsOf(comparator, subjectOf(recording));
  for (const [list, lines] of found) {
    const last = lines.at(-1);
    if (/^monitor \[\d+\]: events$/.test(list) && last?.text === "@releaseDomain 3/0") last.brief = true;
  }
  return found;
}

function compare(expected: Recording, ours: Recording, names?: readonly string[]): Difference[] {
  return COMPARATORS.filter(({ name }) => names === undefined || names.includes(name)).flatMap((comparator) =>
    differences(comparator.name, facts(comparator, expected), facts(comparator, ours)),
  );
}

requires(
  "xen-utils",
  "xenstore-utils",
  "c-compiler",
)("the real xenstored in C", () => {
  for (const name of ["b-orderly-shutdown", "c-guest-poweroff", "e1-crash-destroy", "h-rename"]) {
    test(`our xl: ${name} is as on real Xen`, async () => {
      const { expected, ours } = await play(name, { xenstored: "c", xl: "builtin" });
      expect(compare(expected, ours)).toEqual([]);
    }, 90_000);
  }

  test("the real xl: b-orderly-shutdown is as on real Xen", async () => {
    const { expected, ours } = await play("b-orderly-shutdown", { xenstored: "c", xl: "real" });
    expect(compare(expected, ours)).toEqual([]);
  }, 90_000);
});

requires(
  "xen-utils",
  "xenstore-utils",
  "c-compiler",
)("the real oxenstored", () => {
  // Its trace is another, and it lists directories and maps rings in its own way.
  const same = ["domain-flags", "words"];
  for (const xl of ["builtin", "real"] as const) {
    test(`${xl} xl: the domain's states and xl's words are as on real Xen`, async () => {
      const { expected, ours } = await play("b-orderly-shutdown", { xenstored: "ocaml", xl });
      expect(compare(expected, ours, same)).toEqual([]);
      const gone = ours.snapshots.find(({ name }) => name === "gone")?.nodes.map(({ path }) => path) ?? [];
      expect(gone).toContain("/local/domain/0/name");
      expect(gone.filter((path) => path.startsWith("/local/domain/2"))).toEqual([]);
    }, 90_000);
  }
});
