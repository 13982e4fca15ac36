// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import { cellType } from "./cells.ts";
import {
  clearFaults,
  faultKind,
  faultKinds,
  faultOf,
  faultOn,
  faultsOn,
  faultUsage,
  injectFault,
} from "./fault.ts";
import type { Host } from "./host.ts";
import { routine } from "./routine.ts";
import { fifo, run } from "./scheduler.ts";
import { hasEnded, spawnThread } from "./thread.ts";
import type { TraceRecord } from "./trace.ts";
import { World } from "./world.ts";

const TRACKED = { undo: true, hash: true };

const noted = cellType<{ lines: string[] }>("fault-test-note");

function note(host: Host, line: string): void {
  if (host.get(noted, 0) === undefined) host.add(noted, 0, { lines: [] });
  host.edit(noted, 0).lines.push(line);
}

const hold = faultKind({
  name: "test-hold",
  about: "keeps a thing",
  words: [
    { name: "THING", about: "which" },
    { name: "TIMES", about: "how often", fallback: "1" },
  ],
  example: ["door", "2"],
  refuse: (_cells, [thing, times]) =>
    thing === "wall"
      ? "a wall cannot be held"
      : Number(times) > 0
        ? null
        : `${times} is not a number of times`,
  begin: (host, words) => note(host, `begin ${words.join(" ")}`),
  end: (host, words) => note(host, `end ${words.join(" ")} ${faultOn(host, hold, words[0] as string)}`),
});

const waiter = routine(
  "fault_test_waiter",
  (a: object) => ({ ...a }),
  ({ waitFor }) => [waitFor("door", (host) => !faultOn(host, hold, "door"))],
);

function act<R>(world: World, step: (host: Host) => R): R {
  let result: R | undefined;
  world.boot((host) => void (result = step(host)));
  return result as R;
}

test("a fault is injected, seen, waited for and cleared", () => {
  const world = new World({ tracking: TRACKED });
  const trace: TraceRecord[] = [];
  world.sink = (record) => void trace.push(record);
  expect(act(world, (host) => injectFault(host, "test-hold", ["door"]))).toBe(0);
  act(world, (host) => spawnThread(host, "waiter", waiter, {}));
  run(world, fifo);
  expect(hasEnded(world, "waiter")).toBe(false);
  expect(faultOf(world, hold, "door")).toEqual({ name: "test-hold", words: ["door", "1"], since: 0 });
  expect(faultsOn(world).map(({ words }) => words)).toEqual([["door", "1"]]);
  expect(act(world, (host) => clearFaults(host, "test-hold", ["door"]))).toHaveLength(1);
  run(world, fifo);
  expect(hasEnded(world, "waiter")).toBe(true);
  expect(world.get(noted, 0)?.lines).toEqual(["begin door 1", "end door 1 false"]);
  expect(trace.flatMap((record) => (record.kind === "fault" ? [record.data.state] : []))).toEqual([
    "injected",
    "cleared",
  ]);
});

test("all of a kind, or all, are cleared at once; clearing none of a kind is no mistake", () => {
  const world = new World({ tracking: TRACKED });
  const cleared = (...args: [string?, string[]?]) =>
    act(world, (host) => {
      for (const thing of ["a", "b"]) injectFault(host, "test-hold", [thing]);
      const result = clearFaults(host, ...args);
      return "errno" in result ? result.errno : result.map(({ words }) => words[0]);
    });
  expect(cleared("test-hold", ["a"])).toEqual(["a"]);
  expect(cleared("test-hold")).toEqual(["a", "b"]);
  expect(cleared()).toEqual(["a", "b"]);
  expect(act(world, (host) => clearFaults(host, "test-hold"))).toEqual([]);
  expect(act(world, (host) => clearFaults(host))).toEqual([]);
});

test.each([
  ["a fault there is not", "test-hol", ["door"], "ENOENT", "there is no fault test-hol; there are: "],
  ["no words", "test-hold", [], "EINVAL", "expected test-hold THING [TIMES], as in: test-hold door 2"],
  ["too many words", "test-hold", ["a", "1", "x"], "EINVAL", "expected test-hold THING [TIMES]"],
  ["what its kind refuses", "test-hold", ["wall"], "EINVAL", "a wall cannot be held"],
  ["a bad optional word", "test-hold", ["door", "0"], "EINVAL", "0 is not a number of times"],
  ["one that is there already", "test-hold", ["roof", "3"], "EEXIST", "test-hold roof is injected already"],
])("refuses %s", (_what, name, words, errno, why) => {
  const world = new World({ tracking: TRACKED });
  const result = act(world, (host) => {
    injectFault(host, "test-hold", ["roof"]);
    return injectFault(host, name, words);
  });
  expect(result).toMatchObject({ errno, why: expect.stringContaining(why) });
  expect(faultsOn(world)).toHaveLength(1);
});

test("clearing what is not injected, or not known, says so", () => {
  const world = new World({ tracking: TRACKED });
  const clear = (name: string, words: string[]) => act(world, (host) => clearFaults(host, name, words));
  expect(clear("test-hold", ["door"])).toEqual({ errno: "ENOENT", why: "test-hold door is not injected" });
  expect(clear("nothing", [])).toMatchObject({ errno: "ENOENT" });
});

test("kinds are listed with their usage", () => {
  expect(faultKinds().map(faultUsage)).toContain("test-hold THING [TIMES]");
});
