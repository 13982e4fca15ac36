// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import { cellType, must } from "../core/engine/cells.ts";
import { routine } from "../core/engine/routine.ts";
import { canonicalHost } from "../core/engine/save.ts";
import { spawnThread } from "../core/engine/thread.ts";
import { World } from "../core/engine/world.ts";
import { search } from "./search.ts";

// The textbook lost update: two threads add one to a number they read before.
const sharedCell = cellType<{ value: number; done: number }>("test-shared");
const racer = routine(
  "test_racer",
  (a: { under: string }) => ({ ...a, seen: 0 }),
  ({ step, when, locked }) => {
    const read = (name: string) =>
      step(name, (host, l) => {
        l.seen = must(host, sharedCell, 0).value;
      });
    const write = (name: string) =>
      step(name, (host, l) => {
        const shared = host.edit(sharedCell, 0);
        shared.value = l.seen + 1;
        shared.done++;
      });
    return [
      when(
        "locked",
        (l) => l.under === "lock",
        [locked("mutex", () => "mutex", [read("read under lock"), write("write under lock")])],
        [read("read"), write("write")],
      ),
    ];
  },
);

function race(threads: number, under: string): World {
  const world = new World({ tracking: { undo: true, hash: true } });
  world.boot((host) => {
    host.add(sharedCell, 0, { value: 0, done: 0 });
    for (let at = 0; at < threads; at++) spawnThread(host, `racer/${at}`, racer, { under });
  });
  return world;
}

const addsUp = {
  finally: {
    "every addition counts": (host: { get: World["get"] }) => {
      const { value, done } = must(host as World, sharedCell, 0);
      return value === done ? null : `${done} additions, value ${value}`;
    },
  },
};

test("a race's lost update is found by a shortest way", () => {
  const found = search(race(2, ""), addsUp);
  expect(found.violation?.property).toBe("every addition counts");
  expect(found.violation?.steps).toHaveLength(4);
  expect(found.exhaustive).toBe(false);
});

test("under a lock every order is well, and the search says it saw all", () => {
  const found = search(race(3, "lock"), addsUp);
  expect(found).toMatchObject({ violation: null, exhaustive: true, ends: 1 });
});

test("the states are those that random walks reach, and no more than the orders allow", () => {
  const seen = new Set<string>();
  const explore = (world: World): void => {
    const text = canonicalHost(world);
    if (seen.has(text)) return;
    seen.add(text);
    for (const action of world.actions("lazy")) {
      const undo = world.perform(action);
      explore(world);
      world.unperform(undo as NonNullable<typeof undo>);
    }
  };
  explore(race(3, ""));
  expect(search(race(3, ""), {}, { reduction: "off" }).states).toBe(seen.size);
});

test("a bound makes the search inexhaustive, and it says so", () => {
  expect(search(race(3, "lock"), {}, { depthMax: 2 }).exhaustive).toBe(false);
  expect(search(race(3, "lock"), {}, { statesMax: 5, reduction: "off" })).toMatchObject({
    exhaustive: false,
    states: 5,
  });
});

test("with orders left out a bound on states holds too", () => {
  const found = search(race(3, "lock"), {}, { statesMax: 5 });
  expect(found).toMatchObject({ exhaustive: false, reduction: "orders", states: 5 });
});

test("a bound of depth is kept by the search in order of depth", () => {
  expect(search(race(2, ""), {}, { depthMax: 2 }).reduction).toBe("servers first");
});

test("a sometimes-property that no state shows is named", () => {
  const found = search(race(2, "lock"), {
    sometimes: {
      "both done": (host) => must(host, sharedCell, 0).done === 2,
      "never so": (host) => must(host, sharedCell, 0).done === 3,
    },
  });
  expect(found.unreached).toEqual(["never so"]);
});
