// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import { cellType } from "../core/engine/cells.ts";
import { canonicalHost } from "../core/engine/save.ts";
import { input } from "../core/engine/input.ts";
import { routine } from "../core/engine/routine.ts";
import { random, run } from "../core/engine/scheduler.ts";
import { spawnThread } from "../core/engine/thread.ts";
import { World } from "../core/engine/world.ts";
import { replaySteps } from "./replay.ts";
import type { Recorded } from "./replay.ts";

const logCell = cellType<{ said: string }>("test-replay-log");
const talker = routine(
  "test_talker",
  (a: { name: string }) => ({ ...a }),
  ({ step, sleep, choose }) => [
    step("hello", (host, l) => {
      host.edit(logCell, 0).said += `${l.name} `;
    }),
    sleep("a while", () => 1_000),
    choose(
      "which word",
      () => 3,
      (host, l, choice) => {
        host.edit(logCell, 0).said += `${l.name}${choice} `;
      },
    ),
  ],
);
const shout = input("test.shout", (host, data: { bytes: Uint8Array }) => {
  host.edit(logCell, 0).said += `${data.bytes.length}! `;
  spawnThread(host, "shouted", talker, { name: "s" });
});

function begin(world: World): void {
  world.boot((host) => {
    host.add(logCell, 0, { said: "" });
    for (const name of ["a", "b", "c"]) spawnThread(host, name, talker, { name });
  });
}

function record(): { lines: Recorded[]; end: string } {
  const lines: Recorded[] = [];
  const world = new World({ seed: 3 });
  world.sink = (event) => void lines.push({ event });
  world.onStep = (step) => void lines.push({ step });
  begin(world);
  run(world, random, { until: (w) => w.counters.step === 4 });
  world.give(shout, { bytes: Uint8Array.of(1, 2) });
  run(world, random);
  return { lines, end: canonicalHost(world) };
}

test("a recording runs again the same, inputs and choices included", () => {
  const { lines, end } = record();
  const world = new World();
  const result = replaySteps(world, lines, { begin });
  expect(result).toMatchObject({ difference: null, steps: 17 });
  expect(result.events).toBe(lines.filter((line) => "event" in line).length);
  expect(canonicalHost(world)).toBe(end);
});

test("it stops behind the step that is asked for", () => {
  const world = new World();
  expect(replaySteps(world, record().lines, { begin, until: 5 })).toMatchObject({
    steps: 5,
    difference: null,
  });
  expect(world.counters.step).toBe(5);
});

test("every single change of a recording is found", () => {
  const { lines } = record();
  for (const at of lines.keys()) {
    const without = lines.filter((_, other) => other !== at);
    expect(replaySteps(new World(), without, { begin }).difference, `line ${at} dropped`).not.toBeNull();
  }
});

test("what happened instead is said", () => {
  const { lines } = record();
  const moved = lines.map((line): Recorded =>
    "step" in line && "thread" in line.step.action && line.step.action.thread === "b"
      ? { step: { ...line.step, action: { thread: "nobody", choice: 0 } } }
      : line,
  );
  expect(replaySteps(new World(), moved, { begin }).difference?.replayed).toBe("there is no thread nobody");
});
