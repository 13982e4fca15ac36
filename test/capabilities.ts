// SPDX-License-Identifier: Apache-2.0
//
// What a test may need from the machine beyond Node. A test says so with
// `requires`; where it is missing the test is skipped and the closing table of
// `npm test` says how to enable it. With XENOLITH_REQUIRE_ALL=1 it fails instead.

import { describe } from "vitest";
import { howToEnable, isAvailable, type Capability } from "../scripts/capabilities.ts";

/**
 * `describe` for tests that need something from the machine:
 *
 *     requires("xenstore-utils")("xenstore-ls -f", () => { test(…) });
 *
 * The title of what is skipped ends with ` [needs NAME…]`, which is how the
 * closing table knows.
 */
export function requires(...names: Capability[]): (title: string, tests: () => void) => void {
  const missing = names.filter((name) => !isAvailable(name));
  if (missing.length === 0) return (title, tests) => void describe(title, tests);
  if (process.env["XENOLITH_REQUIRE_ALL"] === "1") {
    throw new Error(`missing on this machine: ${missing.map(howToEnable).join("; ")}`);
  }
  return (title, tests) => void describe.skipIf(true)(`${title} [needs ${missing.join(" ")}]`, tests);
}
