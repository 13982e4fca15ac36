// SPDX-License-Identifier: Apache-2.0

import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { afterEach, expect, test } from "vitest";
import { requires } from "../../test/capabilities.ts";
import { compiled } from "./compile.ts";

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "xenolith-compile-"));
const source = path.join(folder, "source");
fs.mkdirSync(source);
fs.writeFileSync(path.join(source, "three.c"), "int main(void) { return 3; }\n");
const unit = { name: "three", folder: source, files: ["three.c"], flags: [], libraries: [] };
/** Nobody can make a folder here, not even root. */
const refused = path.join(source, "three.c", "build");

afterEach(() => fs.rmSync(path.join(folder, "cache"), { recursive: true, force: true }));

requires("c-compiler")("a program in C", () => {
  test("is built where the first folder that takes it is, once", () => {
    const cache = path.join(folder, "cache");
    const file = compiled(unit, [refused, cache]);
    expect(path.dirname(file)).toBe(cache);
    const { mtimeMs } = fs.statSync(file);
    expect(compiled(unit, [refused, cache])).toBe(file);
    expect(fs.statSync(file).mtimeMs).toBe(mtimeMs);
    expect(fs.readdirSync(cache)).toEqual([path.basename(file)]);
  });

  test("that can be built nowhere is a problem, and says where it was to be", () => {
    expect(() => compiled(unit, [refused])).toThrow(
      `there is no place to build three: ${refused}: part of the path is no directory`,
    );
  });
});
