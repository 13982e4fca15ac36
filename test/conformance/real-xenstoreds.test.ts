// SPDX-License-Identifier: Apache-2.0
//
// The suite of `xenolith conformance`, played to Xen's own daemons: it asks
// nothing of ours that they do not do, and what they do otherwise is known.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { type RealKind, type RealXenstored, startReal } from "../../bench/xenstored/real.ts";
import type { Profile } from "../../src/live/conformance/case.ts";
import { CASES } from "../../src/live/conformance/cases/index.ts";
import { playCases } from "../../src/live/conformance/run.ts";
import { requires } from "../capabilities.ts";
import { complaints } from "./suite.ts";

let real: RealXenstored | undefined;
let folder: string;

afterEach(async () => {
  await real?.stop();
  rmSync(folder, { recursive: true });
});

/** Cases a daemon does not pass, and why. */
const known: Readonly<Record<RealKind, readonly string[]>> = {
  // A domain's generation is that of the last write. Where none came between the
  // death of one that was never introduced and its successor, that has its access.
  c: ["advisories/domid-reused-before-introduction"],
  ocaml: [],
};

requires(
  "xen-utils",
  "libxen-dev",
  "c-compiler",
)("the suite and the daemons of Xen 4.17", () => {
  for (const [kind, profile] of [
    ["c", "4.17"],
    ["ocaml", "oxenstored"],
  ] as const satisfies readonly (readonly [RealKind, Profile])[]) {
    test(`${kind} passes as ${profile}`, async () => {
      folder = mkdtempSync(join(tmpdir(), "real-"));
      real = await startReal(kind, join(folder, "run"), { rings: true });
      const target = { socketPath: real.socketPath, domains: real.run, profile };
      const results = await playCases(CASES, target, () => undefined);
      const failed = results.filter(({ outcome }) => outcome === "failed");
      const unknown = failed.filter(({ name }) => !known[kind].includes(name));
      expect(unknown.map((result) => [result.name, ...complaints(result)])).toEqual([]);
      expect(failed.map(({ name }) => name)).toEqual(known[kind]);
    }, 180_000);
  }
});
