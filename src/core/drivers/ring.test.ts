// SPDX-License-Identifier: Apache-2.0

import fc from "fast-check";
import { expect, test } from "vitest";
import { World } from "../engine/world.ts";
import {
  initRing,
  produceRequest,
  produceResponse,
  requestsConsumed,
  requestsProduced,
  responsesConsumed,
  ringLayout,
} from "./ring.ts";

const layout = ringLayout(112);
const SLOT = new Uint8Array(4);

test("nobody is told twice, and nobody sleeps with something to do", () => {
  const play = fc.array(fc.constantFrom("request", "take all", "take one"), { maxLength: 40 });
  const start = fc.constantFrom(0, 0xffff_fff0);
  fc.assert(
    fc.property(play, start, (moves, first) => {
      const world = new World();
      world.boot(({ memory }) => {
        initRing(memory, 1);
        let produced: number = first;
        let taken: number = first;
        let awake = false;
        // The indices wrap around after 2^32: bring them there.
        produceRequest(memory, 1, layout, (first - 1) >>> 0, SLOT);
        requestsConsumed(memory, 1, taken);
        for (const move of moves) {
          if (move === "request") {
            const notify = produceRequest(memory, 1, layout, produced, SLOT);
            produced = (produced + 1) >>> 0;
            // Told is who has gone to sleep, and only he.
            expect(notify).toBe(!awake);
            awake = true;
          } else if (awake) {
            taken = move === "take all" ? produced : taken === produced ? taken : (taken + 1) >>> 0;
            // A backend looks again before it sleeps.
            if (taken !== produced) continue;
            requestsConsumed(memory, 1, taken);
            awake = requestsProduced(memory, 1) !== taken;
          }
        }
        if (!awake) expect(taken).toBe(produced);
      });
    }),
    { numRuns: 200 },
  );
});

test("a frontend is told of the response it asked for, by index", () => {
  const world = new World();
  world.boot(({ memory }) => {
    initRing(memory, 1);
    expect(produceResponse(memory, 1, layout, 0, SLOT), "the first").toBe(true);
    expect(produceResponse(memory, 1, layout, 1, SLOT), "not yet taken").toBe(false);
    responsesConsumed(memory, 1, 2);
    expect(produceResponse(memory, 1, layout, 2, SLOT)).toBe(true);
  });
});
