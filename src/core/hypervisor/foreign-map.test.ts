// SPDX-License-Identifier: Apache-2.0
//
// Mapping many pages at once comes to what mapping them one by one comes to.

import fc from "fast-check";
import { expect, test } from "vitest";
import { isFailure } from "../engine/errno.ts";
import { checkLedger } from "./check-ledger.ts";
import { lastMissingFrame, mapForeignBatch, mapsNothing, unmapForeignBatch } from "./foreign-map.ts";
import { eachRun, frameCount, frameRuns } from "./frame-runs.ts";
import type { FrameRuns } from "./frame-runs.ts";
import { mappedRunCell } from "./mapped-run.ts";
import { decreaseReservation, mapForeign, populatePhysmap, unmapForeign } from "./memory-op.ts";
import { nextPage, pageOf } from "./page.ts";
import { TestHost, xl } from "./testing.ts";

const HVM = { flags: 1, emulationFlags: 1 };
const PAGES = 64;

/** A host with a domain of that type that has PAGES pages, two holes among its guest frames. */
function hostWith(config: object): { t: TestHost; domid: number; gfns: number[]; mfns: number[] } {
  const t = new TestHost();
  const domid = t.makeDomain(1024, config);
  const gpfns = Array.from({ length: PAGES }, (_, i) => (i < 20 ? i : i < 40 ? i + 3 : i + 10));
  const { mfns } = t.act((host) => {
    const done = populatePhysmap(host, xl, { domid, gpfns, order: 0 });
    if (isFailure(done)) throw new Error(done.errno);
    return done;
  });
  return { t, domid, gfns: config === HVM ? gpfns : mfns, mfns };
}

/** A batch's machine frames by page, -1 for none. */
function byPage(mfns: FrameRuns): number[] {
  return [...eachRun(mfns)].flatMap(([mfn, count]) =>
    Array.from({ length: count }, (_, i) => (mfn < 0 ? -1 : mfn + i)),
  );
}

/** Every page that is more than allocated, without when it became that. */
function pagesOf(t: TestHost): unknown[] {
  const found: unknown[] = [];
  for (let mfn = nextPage(t.world, 0); mfn >= 0; mfn = nextPage(t.world, mfn + 1)) {
    const page = pageOf(t.world, mfn);
    const refs = page?.refs.map(({ holder, kind, count, typed }) => [holder, kind, count, typed].join(" "));
    found.push([mfn, { ...page, refs: refs?.toSorted() }]);
  }
  return found;
}

/** What is asked for: whose process, which pages by their index, whether to read only; or what is unmapped of it. */
const action = fc.record({
  process: fc.constantFrom("a.1", "b.2"),
  first: fc.nat({ max: PAGES + 4 }),
  count: fc.integer({ min: 1, max: 30 }),
  step: fc.constantFrom(1, 1, 1, 2),
  readonly: fc.boolean(),
  unmap: fc.boolean(),
});

test.each([
  ["PV", {}],
  ["PVH", HVM],
])("a batch maps and unmaps what its pages one by one would (%s)", (_type, config) => {
  fc.assert(
    fc.property(fc.array(action, { minLength: 1, maxLength: 25 }), (actions) => {
      const [batches, singles] = [hostWith(config), hostWith(config)];
      for (const { process, first, count, step, readonly, unmap } of actions) {
        const { domid, gfns, mfns: frames } = batches;
        const from = unmap ? frames : gfns;
        const caller = { domid: 0, process };
        const asked = Array.from({ length: count }, (_, i) => from[first + i * step] ?? 500_000 + i);
        const one = singles.t.act((host) =>
          asked.map((gfn) =>
            unmap
              ? unmapForeign(host, caller, { mfn: gfn, readonly })
              : mapForeign(host, caller, { domid, gfn, readonly }),
          ),
        );
        if (unmap) {
          const failed = one.find((result) => isFailure(result)) ?? 0;
          const mfns = frameRuns(asked);
          expect(batches.t.act((host) => unmapForeignBatch(host, caller, { mfns, readonly }))).toEqual(
            failed,
          );
        } else {
          const made = batches.t.act((host) =>
            mapForeignBatch(host, caller, { domid, gfns: frameRuns(asked), readonly }),
          );
          if (isFailure(made)) throw new Error(made.errno);
          expect(byPage(made.mfns)).toEqual(
            one.map((r) => (typeof r === "object" && "mfn" in r ? r.mfn : -1)),
          );
          const errors = made.errors.flatMap(({ count: pages, errno }) =>
            Array.from({ length: pages }, () => ({ errno })),
          );
          expect(errors).toEqual(one.filter((result) => isFailure(result)));
        }
        expect(pagesOf(batches.t)).toEqual(pagesOf(singles.t));
        expect(checkLedger(batches.t.world, domid)).toEqual([]);
      }
    }),
    { numRuns: 30 },
  );
});

test("a hundred thousand pages are a cell, and a page somebody else maps leaves them", () => {
  const t = new TestHost();
  const domid = t.makeDomain(131_072, HVM);
  t.act((host) => {
    for (let gpfn = 0; gpfn < 131_072; gpfn += 512)
      populatePhysmap(host, xl, { domid, gpfns: [gpfn], order: 9 });
  });
  const all = [0, 100_000];
  const mapped = t.act((host) => mapForeignBatch(host, xl, { domid, gfns: all, readonly: true }));
  if (isFailure(mapped)) throw new Error(mapped.errno);
  expect(frameCount(mapped.mfns)).toBe(100_000);
  expect(t.world.count(mappedRunCell)).toBeLessThan(16);
  const runs = t.world.count(mappedRunCell);
  t.act((host) => mapForeign(host, { domid: 0, process: "qemu.7" }, { domid, gfn: 50_000 }));
  expect(t.world.count(mappedRunCell)).toBe(runs + 1);
  t.act((host) => decreaseReservation(host, xl, { domid, gmfns: [60_000] }));
  expect(checkLedger(t.world, domid)).toEqual([]);
  t.act((host) => unmapForeignBatch(host, xl, { mfns: mapped.mfns, readonly: true }));
  expect(t.world.count(mappedRunCell)).toBe(0);
  expect(checkLedger(t.world, domid)).toEqual([]);
});

test.each([
  [
    "PVH",
    HVM,
    [
      [20, 3],
      [100, 900, 20, 1],
    ],
    [
      [20, 4],
      [19, 2],
      [100, 5, 0, 1],
    ],
  ],
  ["PV", {}, [], [[500_000, 1]]],
] as const)("a batch of holes changes nothing, one with a page may (%s)", (_type, config, holes, others) => {
  const { t, domid } = hostWith(config);
  for (const gfns of holes) expect(mapsNothing(t.world, xl, domid, gfns)).toBe(true);
  for (const gfns of others) expect(mapsNothing(t.world, xl, domid, gfns)).toBe(false);
  expect(mapsNothing(t.world, xl, 77, [0, 1])).toBe(false);
});

test("a frame that is missing is so up to the next one that is there", () => {
  const { t, domid } = hostWith(HVM);
  const last = (gfn: number): unknown => lastMissingFrame(t.world, xl, domid, gfn);
  expect([20, 21, 22].map(last)).toEqual([22, 22, 22]);
  expect(last(100)).toBe(32 ** 6 - 1);
  for (const gfn of [0, 23, 32 ** 6]) expect(last(gfn)).toEqual({ errno: "EINVAL" });
  expect(lastMissingFrame(t.world, xl, 77, 20)).toEqual({ errno: "ESRCH" });
  const pv = hostWith({});
  expect(lastMissingFrame(pv.t.world, xl, pv.domid, 500_000)).toEqual({ errno: "EINVAL" });
});
