// SPDX-License-Identifier: Apache-2.0
//
// Programs with one thing wrong, each a patch beside this file: what explores and
// checks the program must notice every one.

import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { describe, expect, test } from "vitest";
import { folder, xenolith } from "../e2e/xenolith.ts";

const here = import.meta.dirname;

/** Who notices a mutant of the model: a search through a scenario of this folder, and what it says then. */
const explored: { readonly [mutant: string]: { scenario: string; says: RegExp } } = {
  "lost-virq": {
    scenario: "kill",
    says: /violated: domain 1 is freed\n {2}somebody holds on to it for ever/,
  },
  "lost-pin": { scenario: "kill", says: /violated: domain 1 is freed\n {2}somebody holds on to it for ever/ },
  "lost-put": { scenario: "kill", says: /violated: domain 1 is freed\n {2}somebody holds on to it for ever/ },
  "unowned-reference": {
    scenario: "kill",
    says: /violated: every reference has an owner\n {2}page \d+ count: counted 3, known 1/,
  },
  "on-demand-old-page": {
    scenario: "on-demand",
    says: /violated: what is populated is empty\n {2}frame \d+ is populated with what was there/,
  },
  "on-demand-lost-count": {
    scenario: "on-demand",
    says: /violated: frames and entries are as counted\n {2}d1 PoD cache: counted/,
  },
  "on-demand-lost-entry": {
    scenario: "on-demand",
    says: /violated: frames and entries are as counted\n {2}d1 PoD entries: counted/,
  },
  "on-demand-mapped": {
    scenario: "on-demand",
    says: /violated: what a tool maps stays where it is\n/,
  },
  "early-reuse": { scenario: "reuse", says: /violated: no assertion fails\n {2}cell domain\/1 added twice/ },
};

/** Who notices a mutant of the engine, or of what must keep to its rules: a check of test/determinism. */
const checked: { readonly [mutant: string]: { check: string; scenario: string; says: RegExp } } = {
  "lost-edit-store": {
    check: "hash",
    scenario: "create-paused",
    says: /^step \d+, xenstored, xenstored: poll: .*: node\/\/local\/domain\/1\/console\/tty changed without edit$/,
  },
  "lost-edit-kernel": {
    check: "hash",
    scenario: "create-paused",
    says: /^step \d+, dom0\/xenbus, xenbus_thread: .*: xenbus-request\/0\/1 changed without edit$/,
  },
  "lost-edit-page": {
    check: "undo",
    scenario: "save-restore",
    // Each step is taken twice, but not behind each is everything looked at: then the model finds it at its next.
    says: /^step \d+ given back, line \d+: page\/\d+ |^assertion failed: d1v0 drops a cr3 reference it does not have$/,
  },
  "lost-pre-image": { check: "undo", scenario: "create-paused", says: /^no cell / },
  "unread-absent": { check: "saving", scenario: "create-paused", says: /^trace, line \d+: .* instead of / },
  "pid-outside-cells": {
    check: "saving",
    scenario: "create-paused",
    says: /"pid":\d+.* instead of .*"pid":/,
  },
  "fields-as-they-came": {
    check: "order",
    scenario: "save-restore",
    says: /^the end, line \d+: file\/\/var\/lib\/xen\/one.save /,
  },
};

/** Who notices a mutant of xenwatch: one run of the scenario `xenwatch`, and what it says then. */
const simulated: { readonly [mutant: string]: RegExp } = {
  "xenwatch-one-list": /violated at .*\n {2}more than the domain hangs/,
  "xenwatch-kept-thread": /violated at .*: a domain's thread ends with it\n/,
  "xenwatch-no-mutex": /violated at .*\n {2}a callback under way when the watch was taken back/,
  "xenwatch-lost-cancel": /failed: edit of missing cell xenbus-watch\/0\/mutants/,
};

/** Who notices a mutant of a driver domain's end: one run of the scenario that ships, and what it says then. */
const served: { readonly [mutant: string]: RegExp } = {
  "driver-domain-kept-backend": /violated at .*: nothing of its backend is left\n/,
  "driver-domain-kept-file": /violated at .*: nothing of its backend is left\n/,
};

/** What a check of test/determinism finds, in one line. */
function runCheck(check: string, scenario: string, patch?: string): string {
  const args = [path.join(here, "run-check.ts"), check, scenario, ...(patch === undefined ? [] : [patch])];
  const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8", timeout: 50_000 });
  if (stdout === "") throw new Error(stderr);
  return stdout.trimEnd().split("\n").at(-1) as string;
}

function patchOf(mutant: string): string {
  return path.join(here, `${mutant}.patch`);
}

test("every patch in this folder is tried", () => {
  const patches = fs.readdirSync(here).filter((file) => file.endsWith(".patch"));
  const tried = [explored, checked, simulated, served]
    .flatMap((mutants) => Object.keys(mutants))
    .map((mutant) => `${mutant}.patch`);
  expect(tried.toSorted()).toEqual(patches.toSorted());
});

describe("exploring", () => {
  const scenarios = [...new Set(Object.values(explored).map(({ scenario }) => scenario))];

  test.each(scenarios)("every order of %s is well in the program as it is", (scenario) => {
    const { code, out } = xenolith(["explore", path.join(here, `${scenario}.ts`)]);
    expect(out).toContain("exhaustive within these bounds");
    expect(out).not.toContain("never seen");
    expect(code).toBe(0);
  });

  test.each(Object.entries(explored))("finds out %s", (mutant, { scenario, says }) => {
    const file = path.join(here, `${scenario}.ts`);
    const { code, out } = xenolith(["explore", file, "--mutant", patchOf(mutant)]);
    expect(out).toMatch(says);
    expect(out).toContain("A shortest way to it:");
    expect(code).toBe(1);
  });
});

describe("checks of the engine's promises", () => {
  test("nothing is wrong in the program as it is", () => {
    // Every scenario and check: test/determinism/state.test.ts.
    expect(runCheck("hash", "create-paused")).toBe("nothing");
  });

  test.each(Object.entries(checked))("find out %s", (mutant, { check, scenario, says }) => {
    expect(runCheck(check, scenario, patchOf(mutant))).toMatch(says);
  });
});

describe("a thread for each domain", () => {
  const file = path.join(here, "xenwatch.ts");

  test("is well in the program as it is", () => {
    expect(xenolith(["sim", file])).toMatchObject({
      code: 0,
      out: expect.not.stringMatching(/violated|failed/),
    });
  });

  test.each(Object.entries(simulated))("a run finds out %s", (mutant, says) => {
    const { code, out } = xenolith(["sim", file, "--mutant", patchOf(mutant)]);
    expect(out).toMatch(says);
    expect(code).toBe(1);
  });
});

describe("a driver domain that dies while it connects a disk", () => {
  const name = "driver-domain-dies-connecting";

  test("leaves nothing behind, at whichever moment", () => {
    const { code, out } = xenolith(["explore", name]);
    expect(out).toContain("exhaustive within these bounds");
    expect(out).not.toContain("never seen");
    expect(code).toBe(0);
  });

  test.each(Object.entries(served))("a run finds out %s", (mutant, says) => {
    const { code, out } = xenolith(["sim", name, "--mutant", patchOf(mutant)]);
    expect(out).toMatch(says);
    expect(code).toBe(1);
  });
});

test("one run shows a lost VIRQ too: the script waits for ever", () => {
  const { code, out } = xenolith(["sim", path.join(here, "kill.ts"), "--mutant", patchOf("lost-virq")]);
  expect(out).toContain("failed: waits for ever: domain 1 is freed");
  expect(code).toBe(1);
});

test("a mutant of code that a run does not load is refused", () => {
  const file = path.join(folder(), "patch");
  const lines = ["@@ -1,1 +1,1 @@", "-// SPDX-License-Identifier: Apache-2.0", "+// Nothing", ""];
  fs.writeFileSync(
    file,
    ["--- a/src/export/perfetto.ts", "+++ b/src/export/perfetto.ts", ...lines].join("\n"),
  );
  const { code, err } = xenolith(["sim", path.join(here, "kill.ts"), "--mutant", file]);
  expect(err).toContain("nothing in this run loads src/export/perfetto.ts, which the mutant changes");
  expect(code).toBe(1);
});
