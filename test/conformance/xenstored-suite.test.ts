// SPDX-License-Identifier: Apache-2.0
//
// The protocol cases of `xenolith conformance`, against ours; the advisories are
// in test/security, the real daemons in real-xenstoreds.test.ts.

import { describe, expect, test } from "vitest";
import { XENSTORE_VERSIONS } from "../../src/core/xenstore/version.ts";
import { acceptable } from "../../src/live/conformance/case.ts";
import { CASES } from "../../src/live/conformance/cases/index.ts";
import { testOurs } from "./suite.ts";

const protocol = CASES.filter(({ advisory }) => advisory === undefined);

for (const version of XENSTORE_VERSIONS) {
  describe(`ours as ${version}`, () => testOurs(version, protocol, ({ name, about }) => `${name}: ${about}`));
}

test("names are unique, and every case asks something", () => {
  expect(new Set(CASES.map(({ name }) => name)).size).toBe(CASES.length);
  for (const { lines } of CASES) expect(lines.length).toBeGreaterThan(0);
});

test("what is acceptable under a profile", () => {
  expect(acceptable("OK| or EAGAIN", "4.17")).toEqual(["OK|", "EAGAIN"]);
  expect(acceptable("4.17,4.23: a; oxenstored: b or c", "4.23")).toEqual(["a"]);
  expect(acceptable("4.17,4.23: a; oxenstored: b or c", "oxenstored")).toEqual(["b", "c"]);
  expect(acceptable("4.23: a; else: b", "4.17")).toEqual(["b"]);
  expect(acceptable("4.23: a", "4.17")).toBeUndefined();
});
