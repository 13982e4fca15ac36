// SPDX-License-Identifier: Apache-2.0

import { expect, test } from "vitest";
import { countTests, skippedFor, type VitestReport } from "./vitest-report.ts";

const report: VitestReport = {
  testResults: [
    {
      name: "a.test.ts",
      status: "failed",
      assertionResults: [
        { status: "passed", ancestorTitles: [""] },
        { status: "failed", ancestorTitles: [""] },
      ],
    },
    { name: "does-not-load.test.ts", status: "failed", assertionResults: [] },
    {
      name: "b.test.ts",
      status: "passed",
      assertionResults: [
        { status: "skipped", ancestorTitles: ["", "store [needs xenstore-utils pyxs]", "inner"] },
        { status: "skipped", ancestorTitles: ["", "store [needs xenstore-utils]"] },
        { status: "todo", ancestorTitles: [""] },
      ],
    },
  ],
};

test("a file that does not load is a failure of its own", () => {
  expect(countTests(report)).toEqual({ passed: 1, failed: 2, skipped: 3 });
});

test("a skipped test counts for each capability it misses", () => {
  expect([...skippedFor(report)]).toEqual([
    ["xenstore-utils", 2],
    ["pyxs", 1],
    ["no stated reason", 1],
  ]);
});
