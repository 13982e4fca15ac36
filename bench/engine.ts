// SPDX-License-Identifier: Apache-2.0
//
// What a step costs, and giving it back, and knowing the state it led to, on
// hosts of different sizes; and how fast exploration is for it.

import destroyRunning from "../examples/destroy-running.ts";
import { cloneWorld } from "../src/core/engine/save.ts";
import { fifo } from "../src/core/engine/scheduler.ts";
import type { StepUndo, World } from "../src/core/engine/world.ts";
import { prepareWorld, startScript } from "../src/explore/simulate.ts";
import { search } from "../src/explore/search.ts";
import { BenchHost } from "./bench-host.ts";
import { cpuMicros, digits, median } from "./bench.ts";
import type { Bench, BenchOptions, Claim, Report, Table } from "./bench.ts";

const SIZES = [2, 20, 200];
const QUICK_SIZES = [2, 50];
const FLAT = 1.25;

/** What is done again and again: it has the same steps however many other domains there are. */
const COMMANDS: readonly (readonly string[])[] = [
  ["pause", "1"],
  ["unpause", "1"],
  ["sysrq", "1", "h"],
  ["vcpu-list", "1"],
];

/** A host of some size, and what its steps cost in each round, in nanoseconds. */
interface Sized {
  domains: number;
  host: BenchHost;
  /** The same without pre-images and hashes, as live hosts are. */
  bare: BenchHost;
  steps: number;
  touched: number;
  step: number[];
  undo: number[];
  redo: number[];
  bareStep: number[];
}

function makeSized(domains: number): Sized {
  const host = new BenchHost({ tracking: { undo: true, hash: true } });
  const bare = new BenchHost();
  for (const each of [host, bare]) {
    for (let domid = 1; domid <= domains; domid++) each.create(`d${domid}`);
  }
  return { domains, host, bare, steps: 0, touched: 0, step: [], undo: [], redo: [], bareStep: [] };
}

/** Takes steps until nobody can; what gives them back, where the host keeps that. */
function settle(world: World): (StepUndo | null)[] {
  const undos: (StepUndo | null)[] = [];
  for (;;) {
    const action = world.runnable.length === 0 ? null : fifo(world);
    if (action === null) return undos;
    undos.push(world.perform(action));
  }
}

/** One round: each command, then back to where it began, and there again. */
function measure(sized: Sized): void {
  const { host, bare } = sized;
  const { world } = host;
  const spent = { step: 0, undo: 0, redo: 0, bare: 0 };
  let steps = 0;
  let touched = 0;
  for (const argv of COMMANDS) {
    host.start(argv);
    let undos: StepUndo[] = [];
    spent.step += cpuMicros(() => {
      undos = settle(world) as StepUndo[];
    });
    const back = undos.toReversed();
    spent.undo += cpuMicros(() => {
      for (const undo of back) world.unperform(undo);
    });
    spent.redo += cpuMicros(() => {
      for (const undo of undos) world.reperform(undo);
    });
    bare.start(argv);
    spent.bare += cpuMicros(() => void settle(bare.world));
    steps += undos.length;
    touched += undos.reduce((sum, { cells }) => sum + cells.length, 0);
  }
  sized.steps = steps;
  sized.touched = touched / steps;
  sized.step.push((spent.step * 1000) / steps);
  sized.undo.push((spent.undo * 1000) / steps);
  sized.redo.push((spent.redo * 1000) / steps);
  sized.bareStep.push((spent.bare * 1000) / steps);
}

/** Rounds alternate between the sizes, so that the machine's moods meet all of them. */
function bySize({ quick, progress }: BenchOptions): { table: Table; claims: Claim[] } {
  const sizes = (quick ? QUICK_SIZES : SIZES).map((domains) => {
    progress(`a host of ${domains} domains`);
    return makeSized(domains);
  });
  const rounds = quick ? 8 : 80;
  for (let round = 0; round < rounds; round++) {
    if (round % 10 === 0) progress(`steps, round ${round} of ${rounds}`);
    for (const sized of sizes) measure(sized);
  }
  const warm = (values: readonly number[]): number => median(values.slice(values.length >> 2));
  const rows = sizes.map(({ domains, host, steps, touched, step, undo, redo, bareStep }) => [
    domains,
    host.world.size,
    steps,
    digits(touched, 2),
    digits(warm(step), 0),
    digits(warm(undo), 0),
    digits(warm(redo), 0),
    digits(warm(bareStep), 0),
  ]);
  const [small, large] = [sizes[0] as Sized, sizes.at(-1) as Sized];
  const ratio = (what: "step" | "undo" | "redo"): number => warm(large[what]) / warm(small[what]);
  const ratioClaim = (text: string, what: "step" | "undo" | "redo"): Claim => ({
    text,
    measured: `${digits(ratio(what), 2)}×`,
    holds: ratio(what) <= FLAT,
    timed: true,
  });
  const same = sizes.every(({ steps, touched }) => steps === small.steps && touched === small.touched);
  const [first, last] = [small.domains, large.domains];
  return {
    table: {
      title: "A step, by the size of the host",
      note: "Nanoseconds of processor time a step, medians over rounds that alternate between the hosts. A step is one action with its pre-images and its hash; undo gives it back, redo takes it again. A live host keeps neither pre-images nor hashes.",
      columns: [
        "domains",
        "cells",
        "steps a round",
        "cells touched a step",
        "step",
        "undo",
        "redo",
        "step, live",
      ],
      rows,
    },
    claims: [
      {
        text: `the same steps touch the same cells on hosts of ${first} to ${last} domains`,
        measured: sizes.map(({ touched }) => digits(touched, 2)).join(" = "),
        holds: same,
        timed: false,
      },
      ratioClaim(
        `a step with its hash costs at most ${FLAT}× at ${last} domains what it costs at ${first}`,
        "step",
      ),
      ratioClaim(`giving it back: at most ${FLAT}×`, "undo"),
      ratioClaim(`taking it again: at most ${FLAT}×`, "redo"),
    ],
  };
}

/** Breadth-first search from the middle of a domain's creation on. */
function exploration({ quick, progress }: BenchOptions): { table: Table; claims: Claim[] } {
  const statesMax = quick ? 1_000 : 30_000;
  const rows: (string | number)[][] = [];
  let fastest = 0;
  for (const reduction of ["servers first", "off"] as const) {
    progress(`exploration, reduction ${reduction}`);
    const world = prepareWorld(destroyRunning, 1, { undo: true, hash: true });
    startScript(world, destroyRunning);
    let found: ReturnType<typeof search> | undefined;
    const micros = cpuMicros(() => {
      found = search(world, destroyRunning, { statesMax, reduction });
    });
    const transitions = found?.transitions ?? 0;
    const rate = (transitions / micros) * 1e6;
    fastest = Math.max(fastest, rate);
    rows.push([`cells, reduction ${reduction}`, found?.states ?? 0, transitions, digits(rate, 0)]);
  }
  progress("exploration, copying whole hosts");
  const cloned = copyingRate(quick ? 20 : 200);
  rows.push(["copying the whole host and hashing all of it", "", "", digits(cloned, 0)]);
  const factor = fastest / cloned;
  return {
    table: {
      title: "Exploration",
      note: "Transitions a second of processor time, from the example `destroy-running` on: one step, the state's hash, the way back, and walking the search tree between states. The last row is what the same steps cost without cells: a copy of the host for each.",
      columns: ["how", "states", "transitions", "transitions/s"],
      rows,
    },
    claims: [
      {
        text: "exploring by cells is at least 20 times as fast as copying the host for each step",
        measured: `${digits(factor, 0)}×`,
        holds: factor >= 20,
        timed: true,
      },
    ],
  };
}

/** The reference: each step on a copy of its own, every cell hashed. Steps a second. */
function copyingRate(steps: number): number {
  let world = prepareWorld(destroyRunning, 1, { undo: false, hash: true });
  startScript(world, destroyRunning);
  const micros = cpuMicros(() => {
    for (let step = 0; step < steps; step++) {
      world = cloneWorld(world);
      const action = fifo(world);
      if (action === null) return;
      world.perform(action);
      world.fullHashAt(world.now);
    }
  });
  return (steps / micros) * 1e6;
}

export const engine: Bench = {
  name: "engine",
  about:
    "What the engine's bookkeeping costs: a step with its pre-images and its hash, giving it back, taking it again, on hosts of 2, 20 and 200 running domains; and how many transitions a second exploration makes of that.",
  run: (options): Report => {
    const steps = bySize(options);
    const explored = exploration(options);
    return { tables: [steps.table, explored.table], claims: [...steps.claims, ...explored.claims] };
  },
};
