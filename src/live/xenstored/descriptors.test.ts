// SPDX-License-Identifier: Apache-2.0

import { closeSync, openSync, readdirSync } from "node:fs";
import { expect, test } from "vitest";
import { descriptors, DescriptorWatch, openDescriptors } from "./descriptors.ts";

test("the system says how many descriptors there are and may be", () => {
  const now = descriptors();
  expect(now?.open).toBeGreaterThan(3);
  expect(now?.max).toBeGreaterThan(now?.open ?? 0);
});

test("those that are open are counted, and not the one that counting may take", () => {
  const before = openDescriptors();
  expect(before).toBe(readdirSync("/proc/self/fd").length - 1);
  const fd = openSync("/dev/null", "r");
  expect(openDescriptors()).toBe(before + 1);
  closeSync(fd);
});

test("that clients are turned away is told once, and again after it was better; looking gets rarer with room", () => {
  const said: string[] = [];
  let clients = 0;
  let looks = 0;
  const others = 20;
  const watch = new DescriptorWatch(
    (text) => said.push(text),
    () => ({ max: 256, open: others + clients + Math.min(1, ++looks) }),
  );
  const come = (count: number): void => {
    while (clients < count) watch.accepted(++clients);
  };
  come(200);
  expect(looks).toBeLessThan(6);
  expect(said).toEqual([]);
  come(235);
  const told = expect.stringMatching(
    /^2\d\d clients are connected, and the process may have 256 file/,
  ) as string;
  expect(said).toEqual([told]);
  clients = 225;
  come(235);
  expect(said).toHaveLength(1);
  clients = 100;
  come(235);
  expect(said).toEqual([told, told]);
});
