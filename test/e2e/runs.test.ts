// SPDX-License-Identifier: Apache-2.0
//
// sim, explore, replay and export, from the command line.

import * as fs from "node:fs";
import * as path from "node:path";
import { expect, test } from "vitest";
import { root } from "../source-files.ts";
import { folder, xenolith } from "./xenolith.ts";

const scenario = path.join(root, "test/e2e/scenarios/lost-update.ts");

/** The first seed whose run does, or does not, lose the update. */
function seedWhere(violated: boolean): string {
  for (let seed = 1; seed < 50; seed++) {
    if (xenolith(["sim", scenario, "--seed", String(seed)]).code === Number(violated)) return String(seed);
  }
  throw new Error("no such seed");
}

test("the same seed gives the same trace, byte for byte", () => {
  const traces = ["a", "b"].map((name) => path.join(folder(), name));
  for (const trace of traces)
    expect(xenolith(["sim", scenario, "--trace", trace, "--seed", "5"]).code).toBeLessThan(2);
  const [first, second] = traces.map((trace) => fs.readFileSync(trace, "utf8"));
  expect(first).toBe(second);
  expect(first).toContain('"scheduler":"random"');
});

test("a violation is said with its step, and is exit code 1", () => {
  const { code, out } = xenolith(["sim", scenario, "--seed", seedWhere(true)]);
  expect(code).toBe(1);
  expect(out).toMatch(/violated at step \d+: every addition counts\n {2}2 additions, value 1/);
  expect(xenolith(["sim", scenario, "--seed", seedWhere(false)]).code).toBe(0);
});

test("explore finds the shortest way to the lost update", () => {
  const { code, out } = xenolith(["explore", scenario]);
  expect(code).toBe(1);
  expect(out).toMatch(/\d+ states, \d+ transitions, depth \d+/);
  expect(out).toContain("violated: every addition counts");
  const steps = out.split("\n").filter((line) => /^ +\d+\. /.test(line));
  expect(steps.slice(1, 5).map((line) => line.split("  ").at(-1))).toEqual([
    "adder: read",
    "adder: read",
    "adder: write",
    "adder: write",
  ]);
});

test("explore says what cut it short", () => {
  const { code, out } = xenolith(["explore", scenario, "--depth", "2"]);
  expect(code).toBe(0);
  expect(out).toContain("cut by --depth 2 or --states 2000000 (timers lazy");
  const result = JSON.parse(xenolith(["explore", scenario, "--states", "3", "--json"]).out) as object;
  expect(result).toMatchObject({ scenario: "lost-update", states: 3, exhaustive: false, violation: null });
});

test("a recorded run runs again the same; a changed one is found out, at its step", () => {
  const trace = path.join(folder(), "t");
  xenolith(["sim", scenario, "--trace", trace]);
  const { code, out } = xenolith(["replay", trace]);
  expect(code).toBe(0);
  expect(out).toMatch(/\d+ steps and \d+ events, all the same/);
  const lines = fs.readFileSync(trace, "utf8").split("\n");
  const at = lines.findIndex((line) => line.startsWith('{"step"') && line.includes("adder/1"));
  const step = Number(/"step":(\d+)/.exec(lines[at] ?? "")?.[1]);
  fs.writeFileSync(trace, lines.filter((_, line) => line !== at).join("\n"));
  const changed = xenolith(["replay", trace]);
  expect(changed.code).toBe(1);
  expect(changed.out).toContain(`differs at step ${step + 1}`);
});

test("replay --at shows domains and threads as they stood", () => {
  const trace = path.join(folder(), "t");
  xenolith(["sim", scenario, "--trace", trace]);
  const first = Number(/"step":(\d+)/.exec(fs.readFileSync(trace, "utf8").split("\n")[2] ?? "")?.[1]);
  const { out } = xenolith(["replay", trace, "--at", String(first)]);
  expect(out).toContain(`after step ${first}`);
  expect(out).toMatch(/^Domain-0 +0 /m);
  expect(out).toMatch(/^R {5}adder\/2 +adder: read$/m);
});

test("export makes a diagram and a Perfetto trace", () => {
  const trace = path.join(folder(), "t");
  xenolith(["sim", scenario, "--trace", trace]);
  expect(xenolith(["export", trace, "--as", "mermaid"])).toMatchObject({ code: 0, err: "" });
  const perfetto = JSON.parse(xenolith(["export", trace, "--as", "perfetto"]).out) as {
    traceEvents: { name: string }[];
  };
  expect(perfetto.traceEvents.map(({ name }) => name)).toContain("adder: write");
});

test("a trace that was cut is read up to the last whole step", () => {
  const trace = path.join(folder(), "t");
  xenolith(["sim", scenario, "--trace", trace]);
  const lines = fs.readFileSync(trace, "utf8").trimEnd().split("\n");
  const steps = lines.filter((line) => line.startsWith('{"step"')).length;
  fs.writeFileSync(trace, lines.join("\n").slice(0, -5));
  const { code, out, err } = xenolith(["replay", trace]);
  expect({ code, err }).toEqual({
    code: 0,
    err: `xenolith: ${trace} ends in half a line: it is read up to the last whole step\n`,
  });
  expect(out).toContain(`: ${steps - 1} steps and `);
});

test.each([
  [["sim", "no-such"], /no scenario no-such/],
  [["explore", "zombi"], /no scenario zombi: there are .*\nTry: \S+ explore zombie\n/],
  [["sim", "./none.ts"], /there is no file \.\/none\.ts/],
  [["sim", path.join(root, "package.json")], /cannot be loaded/],
  [["sim", path.join(root, "src/cli/self.ts")], /is no scenario/],
  [["sim", scenario, "--trace", "/none/t"], /cannot write the trace \/none\/t: there is no such file/],
  [["sim", scenario, "--trace", "/dev/full"], /ends here, after 0 bytes: no space left/],
  [["replay", "/none"], /cannot read \/none/],
  [["replay", path.join(root, "package.json")], /not JSON|not the header/],
  [["export", path.join(root, "README.md"), "--as", "mermaid"], /line 1: not JSON/],
  [["explore", scenario, "--mutant", "/none"], /cannot read the mutant/],
  [["explore", scenario, "--mutant", path.join(root, "README.md")], /is no unified diff/],
])("%j fails in one clear message", (args, message) => {
  const { code, err } = xenolith(args);
  expect(code).toBe(1);
  expect(err).toMatch(message);
  expect(err).not.toMatch(/\n\s+at /);
});

test("a mutant changes the program, not its files", () => {
  const patch = path.join(folder(), "locked.patch");
  fs.writeFileSync(
    patch,
    `--- a/test/e2e/scenarios/lost-update.ts
+++ b/test/e2e/scenarios/lost-update.ts
@@ -25,3 +25,3 @@
       const shared = host.edit(sharedCell, 0);
-      shared.value = l.seen + 1;
+      shared.value++;
       shared.done++;
`,
  );
  const before = fs.readFileSync(scenario, "utf8");
  const { code, out } = xenolith(["explore", scenario, "--mutant", patch]);
  expect(out).toContain("exhaustive within these bounds");
  expect(code).toBe(0);
  expect(fs.readFileSync(scenario, "utf8")).toBe(before);
  const trace = path.join(folder(), "t");
  expect(
    xenolith(["sim", scenario, "--mutant", patch, "--trace", trace, "--seed", seedWhere(true)]).code,
  ).toBe(0);
  fs.rmSync(patch);
  expect(xenolith(["replay", trace]).out).toContain("all the same");
});
