// SPDX-License-Identifier: Apache-2.0

import { afterEach, expect, test, vi } from "vitest";
import { capabilities, howToEnable, isAvailable, type Capability } from "../scripts/capabilities.ts";
import { requires } from "./capabilities.ts";

afterEach(() => void vi.unstubAllEnvs());

test("a program that is not in PATH is not available", () => {
  vi.stubEnv("PATH", "/nonexistent");
  expect(isAvailable("xenstore-utils")).toBe(false);
  expect(isAvailable("c-compiler")).toBe(false);
});

test("where everything is required, a missing capability fails and says what to install", () => {
  vi.stubEnv("PATH", "/nonexistent");
  vi.stubEnv("XENOLITH_REQUIRE_ALL", "1");
  expect(() => requires("xenstore-utils")).toThrow(/apt-get install xenstore-utils/);
});

test("every capability says how to enable it", () => {
  const names = Object.keys(capabilities) as Capability[];
  expect(names.map(howToEnable).filter((line) => !/^\S+: apt-get install \S+/.test(line))).toEqual([]);
});
