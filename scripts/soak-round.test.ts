// SPDX-License-Identifier: Apache-2.0

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { nextRound, runRound, type Round } from "./soak-round.ts";

const folder = mkdtempSync(join(tmpdir(), "xenolith-soak-"));
afterAll(() => rmSync(folder, { recursive: true }));

function job(body: string): string {
  const file = join(folder, "example.soak.ts");
  writeFileSync(file, `export const round = async (seed: number) => { ${body} };`);
  return file;
}

test("a round that passes reports its figures", () => {
  const round = runRound(
    job('console.log("chatter"); return { steps: seed * 2 };'),
    { job: "a", seed: 21 },
    60_000,
  );
  expect(round).toMatchObject({ job: "a", seed: 21, error: null, figures: { steps: 42 } });
});

test("a round that throws is a failure with its reason", () => {
  const round = runRound(job('throw new Error("lost a put");'), { job: "a", seed: 1 }, 60_000);
  expect(round).toMatchObject({ seed: 1, error: expect.stringContaining("lost a put") as string });
});

test("a round that the end of the run cuts short is no result", () => {
  expect(runRound(job("for (;;);"), { job: "a", seed: 1 }, 500)).toBe("out of time");
});

test("jobs take turns, and a run that was interrupted goes on with the next seeds", () => {
  const done = (name: string, seed: number): Round => ({ job: name, seed, ms: 1, error: null, figures: {} });
  expect(nextRound(["a", "b"], [], 7)).toEqual({ job: "a", seed: 7 });
  expect(nextRound(["a", "b"], [done("a", 7)], 7)).toEqual({ job: "b", seed: 7 });
  expect(nextRound(["a", "b"], [done("a", 7), done("b", 7)], 7)).toEqual({ job: "a", seed: 8 });
});
