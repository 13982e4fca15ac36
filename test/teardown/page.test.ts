// SPDX-License-Identifier: Apache-2.0
//
// docs/internals/teardown.md says what the program does: its table of kinds is
// made from the program's, its scenarios exist, its phases are the kill's.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { fifo, random } from "../../src/core/engine/scheduler.ts";
import { domainRefsCell, killPhases } from "../../src/core/hypervisor/domain.ts";
import { referenceKindNames, referenceKinds } from "../../src/core/hypervisor/reference-kinds.ts";
import { loadScenario } from "../../src/cli/scenario-file.ts";
import { simulate } from "../../src/explore/simulate.ts";
import { root } from "../source-files.ts";

const file = join(root, "docs/internals/teardown.md");
const page = readFileSync(file, "utf8");

function kindsTable(): string {
  const rows = referenceKindNames.map((name) => {
    const { of, type, taken, dropped, legacy } = referenceKinds[name];
    const held = `${of === "domain" ? "structure" : of}${legacy === undefined ? "" : ", 2005"}`;
    return `| ${name} | ${held} | ${type ?? ""} | ${taken} | ${dropped} |`;
  });
  const head = ["| kind | holds a | type | taken by | dropped by |", "| --- | --- | --- | --- | --- |"];
  return [...head, ...rows].join("\n");
}

test("the table of kinds is the program's", async () => {
  const table = `<!-- kinds -->\n\n${kindsTable()}\n\n<!-- end -->`;
  const made = page.replace(/<!-- kinds -->\n[\s\S]*?<!-- end -->/, () => table);
  await expect(made).toMatchFileSnapshot(file);
});

test("the phases are those of a kill, in their order", () => {
  const table = page.slice(page.indexOf("| phase |"));
  const cells = table.slice(0, table.indexOf("\n\n")).matchAll(/^\| (`[^|]*) \|/gm);
  const named = [...cells].flatMap(([, cell = ""]) =>
    [...cell.matchAll(/`(\w+)`/g)].map(([, phase]) => phase),
  );
  expect([...named, "done"]).toEqual([...killPhases]);
});

describe("each kind of zombie", () => {
  const scenarios = readdirSync(join(root, "examples/zombies")).map((name) => name.replace(/\.ts$/, ""));

  test("has its row", () => {
    const rows = [...page.matchAll(/^\| `zombies\/([\w-]+)` \|/gm)].map(([, name = ""]) => name);
    expect(rows.toSorted()).toEqual(scenarios.toSorted());
  });

  test.each(scenarios)("%s comes to be and ends, in any order of events", async (name) => {
    const { scenario } = await loadScenario(join(root, `examples/zombies/${name}.ts`));
    for (const [seed, scheduler] of [
      [1, fifo],
      [2, random],
      [3, random],
    ] as const) {
      const { world, result } = simulate(scenario, { seed, scheduler });
      expect(result).toMatchObject({ violation: null, unreached: [] });
      expect(world.count(domainRefsCell)).toBe(1);
    }
  });
});
