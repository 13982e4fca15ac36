// SPDX-License-Identifier: Apache-2.0
//
// Leaving orders out changes no verdict: the same ends, the same violations, the
// same states that are never seen. Longer: test/soak/orders.soak.ts.

import * as path from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { cellType } from "../../src/core/engine/cells.ts";
import { routine } from "../../src/core/engine/routine.ts";
import { spawnThread } from "../../src/core/engine/thread.ts";
import { World } from "../../src/core/engine/world.ts";
import { loadScenario } from "../../src/cli/scenario-file.ts";
import { circles } from "../../src/explore/circles.ts";
import { search } from "../../src/explore/search.ts";
import { prepareWorld, startScript } from "../../src/explore/simulate.ts";
import { verdictOf } from "./both.ts";
import { asked, programs, sameVerdicts } from "./random-world.ts";

describe("worlds of chance", () => {
  const timers = ["lazy", "eager"] as const;
  const servers = ["server", "xenstored"] as const;
  const cases = timers.flatMap((when) => servers.map((server) => [when, server] as const));

  test.each(cases)("timers %s, a thread named %s", (when, server) => {
    fc.assert(
      fc.property(programs, asked, (threads, about) => {
        const { full, less } = sameVerdicts(threads, about, server, when);
        expect(less.verdict).toEqual(full.verdict);
        expect(less.result.states).toBeLessThanOrEqual(full.result.states);
      }),
      { numRuns: 40 },
    );
  });
});

describe("scenarios", () => {
  test.each([
    ["kill", "off"],
    ["reuse", "servers first"],
  ] as const)("%s is judged as with reduction %s", async (name, reduction) => {
    const { scenario } = await loadScenario(path.join(import.meta.dirname, "../mutants", `${name}.ts`));
    const judge = (how: "orders" | typeof reduction) => {
      const world = prepareWorld(scenario, 0, { undo: true, hash: true });
      startScript(world, scenario);
      return verdictOf(world, scenario, { reduction: how, prompt: scenario.prompt ?? [] });
    };
    const [less, full] = [judge("orders"), judge(reduction)];
    expect(full.result.exhaustive).toBe(true);
    expect(less.verdict).toEqual(full.verdict);
    expect(less.result.states).toBeLessThan(full.result.states);
  });
});

const privateCell = cellType<{ value: number }>("test-private");
const sharedCell = cellType<{ value: number }>("test-orders-shared");
const worker = routine(
  "test_worker",
  (a: { name: string; meets: boolean }) => ({ ...a }),
  ({ step, when }) => [
    step("one", (host, l) => void host.edit(privateCell, l.name).value++),
    step("two", (host, l) => void host.edit(privateCell, l.name).value++),
    when("meets", (l) => l.meets, [
      step("meet", (host, l) => void (host.edit(sharedCell, 0).value = l.name.length)),
    ]),
  ],
);

function workers(names: readonly string[], meets: boolean): World {
  const world = new World({ tracking: { undo: true, hash: true } });
  world.boot((host) => {
    host.add(sharedCell, 0, { value: 0 });
    for (const name of names) {
      host.add(privateCell, name, { value: 0 });
      spawnThread(host, name, worker, { name, meets });
    }
  });
  return world;
}

test("threads that touch nothing in common go one after another", () => {
  // Eleven on the way, and four to see what those who wait would do.
  const names = ["a", "b", "c", "d", "e"];
  expect(search(workers(names, false), {}, { reduction: "off" }).states).toBe(3 ** 5);
  expect(search(workers(names, false), {})).toMatchObject({ states: 15, ends: 1, reduction: "orders" });
});

test("only where they meet does the order matter", () => {
  const full = search(workers(["a", "bb"], true), {}, { reduction: "off" });
  const less = search(workers(["a", "bb"], true), {});
  expect([full.ends, less.ends]).toEqual([2, 2]);
  expect(less.states).toBeLessThan(full.states);
});

test("what an always-property reads of two threads is seen in every combination", () => {
  const both = {
    always: {
      "never both": (host: { get: World["get"] }) =>
        host.get(privateCell, "a")?.value === 2 && host.get(privateCell, "b")?.value === 0 ? "so" : null,
    },
  };
  const found = search(workers(["b", "a"], false), both);
  expect(found.violation).toMatchObject({ property: "never both", shortest: true });
  expect(found.violation?.steps).toHaveLength(2);
});

test("circles of a graph are found, and nothing else", () => {
  interface Spot {
    readonly name: string;
    readonly next: Spot[];
  }
  const [a, b, c, d, e] = ["a", "b", "c", "d", "e"].map((name): Spot => ({ name, next: [] })) as [
    Spot,
    Spot,
    Spot,
    Spot,
    Spot,
  ];
  a.next.push(b, d);
  b.next.push(c);
  c.next.push(b, d);
  d.next.push(e);
  e.next.push(e);
  const names = circles(a).map((circle) =>
    circle
      .map(({ name }) => name)
      .toSorted()
      .join(""),
  );
  expect(names.toSorted()).toEqual(["bc", "e"]);
});
