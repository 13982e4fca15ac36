// SPDX-License-Identifier: Apache-2.0
//
// A part of what the soak job `teardown` does with a thousand domains.
import { expect, test } from "vitest";
import { manyTeardowns } from "./many.ts";

test("domains that are destroyed at once, their pages let go in any order, leave the host as it was", () => {
  const { domains, held, zombiesMax } = manyTeardowns(60, 7);
  expect(domains).toBe(60);
  expect(held).toBeGreaterThan(60);
  expect(zombiesMax).toBeGreaterThan(30);
});
