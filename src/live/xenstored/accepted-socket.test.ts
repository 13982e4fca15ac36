// SPDX-License-Identifier: Apache-2.0

import { expect, test } from "vitest";
import { Stays } from "./accepted-socket.ts";

/** What becomes of `Stays` when clients go: how often each had sent something, and how long it was there. */
function after(...clients: (readonly [chunks: number, milliseconds: number])[]): Stays {
  const stays = new Stays();
  // Whatever the last ones were, one in a few milliseconds is looked for: this is it.
  for (let at = 0; at < 8; at++) stays.gone(1, 1);
  expect(stays.likely).toBe(true);
  for (const [chunks, milliseconds] of clients) {
    if (chunks >= 2) stays.heard(2);
    stays.gone(chunks, milliseconds);
  }
  return stays;
}

test("clients are taken for such that go at once until one stays: asks twice, or once and listens", () => {
  expect(after([1, 2]).likely).toBe(false);
  expect(after([0, 0]).likely).toBe(false);
  expect(after([2, 1]).likely).toBe(true);
  expect(after([1, 100]).likely).toBe(true);
  const again = Array.from({ length: 8 }, () => [1, 3] as const);
  expect(after([1, 5000], ...again.slice(1)).likely).toBe(true);
  expect(after([1, 5000], ...again).likely).toBe(false);
});
