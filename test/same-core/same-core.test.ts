// SPDX-License-Identifier: Apache-2.0
//
// One core, however it is run: a domain's life live, live with the real xl,
// simulated and explored takes the same steps of the same routines, makes the
// same calls, and is the same sequence of events.

import * as fs from "node:fs";
import * as path from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import type { Host } from "../../src/core/engine/host.ts";
import { fifo, run } from "../../src/core/engine/scheduler.ts";
import { hasEnded } from "../../src/core/engine/thread.ts";
import type { Action, World } from "../../src/core/engine/world.ts";
import { search } from "../../src/explore/search.ts";
import { domainIsFreed, guestIsUp } from "../../src/explore/operator.ts";
import { OPERATOR, prepareWorld, startScript } from "../../src/explore/simulate.ts";
import { directory } from "../../src/live/directory.ts";
import { LiveHost } from "../../src/live/live-host.ts";
import { libxendev } from "../../src/live/native.ts";
import { startOnHost } from "../../src/live/run.ts";
import { startXl } from "../../src/live/xl-session.ts";
import { requires } from "../capabilities.ts";
import { PLAIN, TRACKED } from "../determinism/runs.ts";
import { Told, waitUntil } from "../live-told.ts";
import { CREATE, DESTROY, files, folder, life } from "./life.ts";
import { Observed } from "./observed.ts";

/**
 * Who is faster decides whether these are taken before the end: what a guest that
 * is up does next, and that the kernel of a domain which is being killed is forgotten.
 */
const RACES = new Set([
  "dom1 init: domU_write_console: __write_console",
  "dom1 init: init: case $MODE",
  "xen/dom1/vcpus: vcpu_teardown: domain_kill",
]);

function settled(all: ReadonlySet<string>): string[] {
  return [...all].filter((one) => !RACES.has(one)).toSorted();
}

/** Steps of everybody but xl. */
function besideXl(all: ReadonlySet<string>): string[] {
  return settled(all).filter((one) => !one.startsWith("xl: "));
}

function begin(tracking = PLAIN): World {
  const world = prepareWorld(life, 1, tracking);
  startScript(world, life);
  return world;
}

function simulated(): Observed {
  const seen = new Observed();
  const world = begin();
  seen.listen(world);
  run(world, fifo, { until: (w) => hasEnded(w, OPERATOR) });
  return seen;
}

/** Every order, and a shortest one. */
function explored(): { all: Observed; path: Observed } {
  const all = new Observed();
  const path = new Observed();
  const bounds = { prompt: life.prompt ?? [] };
  const every = begin(TRACKED);
  all.listen(every);
  const whole = search(every, {}, bounds);
  expect(whole).toMatchObject({ exhaustive: true, violation: null });
  const over = (host: Host): string | null => (hasEnded(host, OPERATOR) ? "it is" : null);
  const { violation } = search(begin(TRACKED), { always: { "the script is not over": over } }, bounds);
  const again = begin();
  path.listen(again);
  for (const action of (violation as { steps: Action[] }).steps) again.perform(action);
  return { all, path };
}

type Xl = (host: LiveHost, argv: readonly string[]) => Promise<number>;

const builtin: Xl = (host, argv) => startXl(host, argv, [], { out: () => {}, err: () => {} }).exit;

const real: Xl = ({ where: { dir, bridge, xenstored } }, argv) => {
  const command = ["xl", ...argv] as [string, ...string[]];
  const child = startOnHost({ dir, bridge, xenstored, library: libxendev(), command }, "pipe");
  return new Promise((resolve) => child.on("close", (code) => resolve(code ?? -1)));
};

/** The same life on a live host; its files come with the host. */
async function live(xl: Xl): Promise<Observed> {
  const told = new Told();
  const until = (what: string, condition: () => boolean): Promise<void> =>
    waitUntil(what, condition, [told], { timeoutMs: 30_000, everyMs: 10 });
  const host = await LiveHost.start({
    where: directory(fs.mkdtempSync(path.join(folder, "host-"))),
    config: { files },
    trace: null,
    code: "test",
    ...told.options,
  });
  told.listen(host);
  const seen = new Observed();
  try {
    seen.listen(host.world);
    expect(await xl(host, CREATE)).toBe(0);
    await until("the guest is up", () => guestIsUp(host.world, 1));
    expect(await xl(host, DESTROY)).toBe(0);
    await until("domain 1 is freed", () => domainIsFreed(host.world, 1));
    // Whoever let go of it last has a step or two to take.
    await until("nobody has anything to do", () => host.world.runnable.length === 0);
  } finally {
    await host.stop();
  }
  expect(told.warnings).toEqual([]);
  return seen;
}

const ORDER = [
  "created",
  "INTRODUCE",
  "@introduceDomain",
  "domctl unpausedomain",
  "domctl pausedomain",
  "dying",
  "dead",
  "VIRQ_DOM_EXC, d1 is dead",
  "@releaseDomain",
  "removed",
  "freed",
  "VIRQ_DOM_EXC, d1 is gone",
];

describe("one life, run in four ways", () => {
  const simulation = simulated();
  afterAll(() => fs.rmSync(folder, { recursive: true }));

  test("simulated", () => {
    expect(simulation.order).toEqual(ORDER);
    expect(simulation.steps.size).toBeGreaterThan(100);
  });

  test("live, it takes the same steps and makes the same calls", async () => {
    const seen = await live(builtin);
    expect(seen.order).toEqual(ORDER);
    expect(settled(seen.steps)).toEqual(settled(simulation.steps));
    expect([...seen.calls].toSorted()).toEqual([...simulation.calls].toSorted());
  });

  test("explored, every step is among those tried; a shortest way takes no others", () => {
    const { all, path: shortest } = explored();
    expect(shortest.order).toEqual(ORDER);
    expect(settled(shortest.steps)).toEqual(settled(simulation.steps));
    expect([...shortest.calls].toSorted()).toEqual([...simulation.calls].toSorted());
    expect(settled(all.steps)).toEqual(settled(simulation.steps));
    expect([...RACES].filter((step) => !all.steps.has(step))).toEqual([]);
    expect([...all.calls].toSorted()).toEqual([...simulation.calls].toSorted());
  });

  requires("xen-utils", "c-compiler")("with the real xl", () => {
    test("everybody else takes the same steps; its calls end in the same functions", async () => {
      const seen = await live(real);
      expect(seen.order).toEqual(ORDER);
      expect(besideXl(seen.steps)).toEqual(besideXl(simulation.steps));
      // A kill is slices of one routine, whoever asks for it.
      expect(seen.steps).toContain("xl: domctl_destroydomain: domain_kill");
      expect(simulation.steps).toContain("xl: domctl_destroydomain: domain_kill");
      // A process writes a guest's memory through mappings; the built-in xl is in the core, where memory is.
      const mappings = ["xl: mmu_update map_foreign", "xl: mmu_update unmap_foreign"];
      expect([...seen.calls].toSorted()).toEqual([...simulation.calls, ...mappings].toSorted());
    });
  });
});
