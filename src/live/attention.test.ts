// SPDX-License-Identifier: Apache-2.0

import { expect, test } from "vitest";
import { ASLEEP_MAX, Attention, MOMENT_MS } from "./attention.ts";

/** Attention whose clock goes on by two fifths of a moment with each look; how many looks requests brought. */
function measured(processors = 2): { attention: Attention; ask: () => void; looks: () => number } {
  let now = 0;
  let looks = 0;
  let next: (() => void) | null = null;
  const attention = new Attention({
    now: () => now,
    soon: (call) => {
      expect(next).toBeNull();
      next = call;
    },
    processors,
  });
  return {
    attention,
    ask: () => attention.answered(),
    looks: () => {
      for (const since = looks; ;) {
        const call = next;
        if (call === null) return looks - since;
        next = null;
        looks++;
        now += MOMENT_MS * 0.4;
        call();
      }
    },
  };
}

test("after a request it looks for a moment, and then no more", () => {
  const { ask, looks } = measured();
  expect(looks()).toBe(0);
  ask();
  expect(looks()).toBe(3);
  expect(looks()).toBe(0);
});

test("each request that comes meanwhile is followed by a moment of its own", () => {
  const { ask, looks } = measured();
  ask();
  ask();
  ask();
  expect(looks()).toBe(3);
});

test("where nothing comes it sleeps at once after some requests, after more each time", () => {
  const { ask, looks } = measured();
  const slept: number[] = [];
  while (slept.length < 40) {
    let requests = 0;
    do ask();
    while (looks() === 0 && requests++ < 2 * ASLEEP_MAX);
    slept.push(requests);
  }
  expect(slept.slice(0, 9)).toEqual([0, 1, 2, 3, 4, 6, 8, 11, 14]);
  expect(slept.every((requests, i) => requests >= (slept[i - 1] ?? 0))).toBe(true);
  expect(slept.at(-1)).toBe(ASLEEP_MAX);
});

test("the more came meanwhile, the sooner it looks again", () => {
  const { ask, looks } = measured();
  const burst = (requests: number): number => {
    for (let asked = 0; asked < requests; asked++) ask();
    return looks();
  };
  const untilItLooks = (): number => {
    let requests = 1;
    while (burst(1) === 0) requests++;
    return requests;
  };
  for (let i = 0; i < 8; i++) untilItLooks();
  // It slept for eleven requests, and would for fourteen; two of three come while it looks.
  for (let i = 0; i < 14; i++) expect(burst(1)).toBe(0);
  expect(burst(3)).toBe(3);
  expect(untilItLooks()).toBe((14 >> 2) + 1);
});

test("on one processor it never looks: whoever is to ask needs it", () => {
  const { ask, looks } = measured(1);
  ask();
  expect(looks()).toBe(0);
});
