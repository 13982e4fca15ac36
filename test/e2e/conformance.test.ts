// SPDX-License-Identifier: Apache-2.0
//
// xenolith conformance, as it is typed: outcomes, exit codes, and what is wrong with a target.

import * as path from "node:path";
import { expect, test } from "vitest";
import type { Result } from "../../src/live/conformance/run.ts";
import { bin, folder, liveHost, xenolith } from "./xenolith.ts";

test("a live host's xenstored is one; what needs domains is skipped, and said so", () => {
  const socket = path.join(liveHost(), "xenstored/socket");
  const on = ["conformance", "--socket", socket, "--only"];
  expect(xenolith([...on, "nodes/rm"])).toMatchObject({
    code: 0,
    out: expect.stringMatching(
      /^ok {6}nodes\/rm: .*\n(?:.*\n)?2 passed, 0 failed, 0 skipped, as xenstored 4\.17\n$/,
    ),
  });
  expect(xenolith([...on, "XSA-272"])).toMatchObject({
    code: 0,
    out: expect.stringMatching(/\n0 passed, 0 failed, 1 skipped, .*\nCases with domains need --domains DIR/),
  });
  const wrong = xenolith([...on, "nodes/path-length", "--as", "4.23", "--json"]);
  expect(wrong.code).toBe(1);
  const { passed, failed, cases } = JSON.parse(wrong.out) as {
    passed: number;
    failed: number;
    cases: Result[];
  };
  expect([passed, failed]).toEqual([0, 1]);
  expect(cases[0]?.answered.at(-1)).toMatchObject({ answer: "EINVAL", wrong: "OK|" });
});

test("nobody there, no domains there, no such case", () => {
  const dir = folder();
  const socket = path.join(dir, "socket");
  expect(xenolith(["conformance", "--socket", socket])).toMatchObject({
    code: 1,
    err: `xenolith conformance: nobody answers at ${socket} (there is no such file or directory)\nTry: ${bin} xenstored --socket ${socket}\n`,
  });
  const host = path.join(liveHost(), "xenstored/socket");
  expect(xenolith(["conformance", "--socket", host, "--domains", dir])).toMatchObject({
    code: 1,
    err: `xenolith conformance: no xenstored has its domains in ${dir}\nTry: ${bin} xenstored --socket PATH --domains ${dir}\n`,
  });
  expect(xenolith(["conformance", "--list", "--only", "nothing-like-that"]).code).toBe(2);
});
