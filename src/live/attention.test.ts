// SPDX-License-Identifier: Apache-2.0

import { expect, test } from "vitest";
import { ASLEEP_MAX, Attention, ENOUGH, MOMENT_MS } from "./attention.ts";

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
  for (let asked = 0; slept.length < 12; asked++) {
    ask();
    if (looks() === 0) continue;
    slept.push(asked);
    asked = -1;
  }
  expect(slept).toEqual([0, 1, 3, 7, 15, 31, 63, 127, 255, 511, ASLEEP_MAX, ASLEEP_MAX]);
});

test("requests that came one after another pay for the look behind the last", () => {
  const { ask, looks } = measured();
  const burst = (requests: number): number => {
    for (let asked = 0; asked <= requests; asked++) ask();
    return looks();
  };
  expect(burst(ENOUGH)).toBe(3);
  expect(burst(ENOUGH)).toBe(3);
  expect(burst(ENOUGH - 1)).toBe(3);
  expect([burst(0), burst(0)]).toEqual([0, 3]);
});

test("on one processor it never looks: whoever is to ask needs it", () => {
  const { ask, looks } = measured(1);
  ask();
  expect(looks()).toBe(0);
});
