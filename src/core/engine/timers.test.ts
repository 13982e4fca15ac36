// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import * as fc from "fast-check";
import { Timers } from "./timers.ts";

test("the first timer is that of a sorted list, and each thread has one at most", () => {
  const change = fc.record({
    thread: fc.integer({ min: 0, max: 12 }).map((number) => `t${number}`),
    deadline: fc.option(fc.integer({ min: 0, max: 20 })),
  });
  fc.assert(
    fc.property(fc.array(change, { maxLength: 80 }), (changes) => {
      const timers = new Timers();
      const expected = new Map<string, number>();
      for (const { thread, deadline } of changes) {
        timers.set(thread, deadline);
        if (deadline === null) expected.delete(thread);
        else expected.set(thread, deadline);
        const [first] = [...expected].toSorted(([a, at], [b, bt]) => at - bt || (a < b ? -1 : 1));
        expect(timers.size).toBe(expected.size);
        expect(timers.first()?.thread).toBe(first?.[0]);
        expect(timers.first()?.deadline).toBe(first?.[1]);
      }
    }),
  );
});
