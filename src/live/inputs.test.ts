// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import { codeFiles, textOf } from "../../test/source-files.ts";
import { inputNamed } from "../core/engine/input.ts";
/* eslint-disable-next-line import/no-unassigned-import -- declaring is what it does */
import "./inputs.ts";

test("a recording finds every input that a live host is given declared", () => {
  const names = codeFiles()
    .filter((file) => /^src\/(core|live)\//.test(file) && !file.endsWith(".test.ts"))
    .flatMap((file) => [...textOf(file).matchAll(/\binput\(\s*"([^"]+)"/g)])
    .map(([, name = ""]) => name);
  expect(names).toContain("domain.enter");
  for (const name of names) expect(inputNamed(name).name).toBe(name);
});
