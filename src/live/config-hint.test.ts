// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import { textBytes } from "../core/daemons/files.ts";
import { configHint } from "./config-hint.ts";

function hint(text: string, ...extra: string[]): string {
  return configHint(["create", "a.cfg", ...extra], (name) => (name === "a.cfg" ? textBytes(text) : null));
}

test("says file, line, column and what was expected, and shows the place", () => {
  expect(hint('name = "x"\n\tmemory = = 3\n')).toBe(
    'a.cfg:2:11: expected a quoted string or a number or "[", found "="\n  \tmemory = = 3\n  \t         ^\n',
  );
});

test("what the command line adds is part of the configuration", () => {
  expect(hint('name = "x"', "memory=[")).toMatch(/^a\.cfg:\d+:\d+: expected /);
});

test("says nothing of configurations that are one, or are not there, or not asked for", () => {
  expect(hint('name = "x"\n')).toBe("");
  expect(configHint(["create", "none.cfg"], () => null)).toBe("");
  expect(configHint(["list"], () => textBytes("= ="))).toBe("");
});
