// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import { applyHunks, parsePatch } from "./mutant.ts";

const patch = `--- a/src/x.ts
+++ b/src/x.ts
@@ -2,3 +2,3 @@
 two
-three
+drei
 four
@@ -6,2 +6,1 @@
 six
-seven
`;

test("a patch is applied where its lines are, wherever that is by now", () => {
  const hunks = parsePatch(patch).get("src/x.ts") ?? [];
  const text = ["one", "two", "three", "four", "five", "six", "seven", "eight"].join("\n");
  expect(applyHunks(text, hunks)?.split("\n")).toEqual([
    "one",
    "two",
    "drei",
    "four",
    "five",
    "six",
    "eight",
  ]);
  expect(applyHunks(`new\nlines\n${text}`, hunks)?.split("\n").slice(4, 5)).toEqual(["drei"]);
});

test("a patch that does not fit is refused", () => {
  expect(applyHunks("one\ntwo\n", parsePatch(patch).get("src/x.ts") ?? [])).toBeNull();
});

test("of several places the nearest is taken", () => {
  const hunks = [{ at: 5, before: ["a"], after: ["b"] }];
  expect(applyHunks("a\nx\nx\na\nx\nx\na", hunks)).toBe("a\nx\nx\nb\nx\nx\na");
});
