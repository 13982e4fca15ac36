// SPDX-License-Identifier: Apache-2.0
//
// A part of what the soak job `teardown` runs ten thousand times.
import { expect, test } from "vitest";
import { Chaos } from "./chaos.ts";

test("domains come, hold each other and go in any order: nothing is freed while held, nothing is left", () => {
  const total = { domains: 0, zombies: 0, holds: 0 };
  for (let seed = 1; seed <= 120; seed++) {
    try {
      const { domains, zombies, holds } = new Chaos(seed).run(150);
      total.domains += domains;
      total.zombies += zombies;
      total.holds += holds;
    } catch (error) {
      throw new Error(`seed ${seed}`, { cause: error });
    }
  }
  // The runs are about something.
  expect(total.domains).toBeGreaterThan(400);
  expect(total.zombies).toBeGreaterThan(400);
  expect(total.holds).toBeGreaterThan(400);
});
