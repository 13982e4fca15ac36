// SPDX-License-Identifier: Apache-2.0
//
// One domain whose backend hangs, and what the others notice of it: under one
// xenwatch thread for all, and under one for each domain.

import { writeFileText } from "../src/core/daemons/files.ts";
import { hasExited } from "../src/core/daemons/process.ts";
import { injectFault } from "../src/core/engine/fault.ts";
import { must } from "../src/core/engine/cells.ts";
import type { World } from "../src/core/engine/world.ts";
import { routine } from "../src/core/engine/routine.ts";
import { hasEnded, spawnThread } from "../src/core/engine/thread.ts";
import { domidRoverCell } from "../src/core/hypervisor/domid.ts";
import { unregisterXenbusWatch } from "../src/core/xenbus/watch.ts";
import type { XenwatchPolicy } from "../src/core/xenbus/xenbus.ts";
import { xenbusPrintf } from "../src/core/xenbus/xs.ts";
import { nodeType } from "../src/core/xenstore/tree.ts";
import { domainIsDead, domainIsFreed } from "../src/explore/operator.ts";
import { BenchHost } from "./bench-host.ts";
import { cpuMicros, digits, median } from "./bench.ts";
import type { Bench, BenchOptions, Claim, Report, Table } from "./bench.ts";
import { liveRounds } from "./isolation-live.ts";

const STEPS_WITHIN = 0.05;
const COST_MAX = 1.1;
const CPU_PAIRS = 9;
/** Microseconds after which what has not come will not come. */
const PATIENCE = 60_000_000;

function config(name: string, extra: string): string {
  return `name = "${name}"\ntype = "pv"\nmemory = 16\nextra = "${extra}"\nvif = [ "bridge=xenbr0" ]\n`;
}

function connected(world: World, domid: number): boolean {
  const state = (path: string): string | undefined => world.get(nodeType, path)?.value;
  return (
    state(`/local/domain/${domid}/device/vif/0/state`) === "4" &&
    state(`/local/domain/0/backend/vif/${domid}/0/state`) === "4"
  );
}

/** A host whose domain 1 was destroyed while somebody kept its packets, or was not kept from anything. */
function hostWith(policy: XenwatchPolicy, others: number, stalled: boolean): BenchHost {
  const host = new BenchHost({ xenwatch: policy });
  const create = (name: string, extra: string): void => {
    host.world.boot((on) => writeFileText(on, "/etc/xen/bench.cfg", config(name, extra)));
    host.xl("create", "/etc/xen/bench.cfg");
  };
  create("first", "dev=1 ping=1");
  host.pass(5_000_000);
  for (let at = 0; at < others; at++) create("", "dev=1");
  host.pass(5_000_000);
  if (stalled) host.world.boot((on) => void injectFault(on, "hold-packet", ["vif1.0"]));
  host.pass(2_000_000);
  host.xl("destroy", "1");
  host.pass(1_000_000);
  return host;
}

/** Steps of a life beside others, in its two parts; null where one does not come to its end. */
interface Life {
  created: number | null;
  freed: number | null;
}

/** Runs until it is so, or for as long as anybody would wait. Steps it took, or null. */
function stepsUntil(host: BenchHost, so: (world: World) => boolean): number | null {
  const from = host.steps;
  const end = host.world.now + PATIENCE;
  while (!so(host.world)) {
    if (host.world.now >= end) return null;
    host.until((world) => so(world) || world.now >= end || world.runnable.length === 0);
    if (!so(host.world)) host.pass(1_000);
  }
  return host.steps - from;
}

function live(host: BenchHost): Life {
  host.world.boot((on) => writeFileText(on, "/etc/xen/bench.cfg", config("probe", "dev=1")));
  const creating = host.start(["create", "/etc/xen/bench.cfg"]);
  const domid = must(host.world, domidRoverCell, 0).rover + 1;
  const created = stepsUntil(host, (world) => connected(world, domid) && hasExited(world, creating));
  if (created === null) return { created, freed: null };
  host.reap(creating);
  host.pass(5_000_000);
  const destroying = host.start(["destroy", "probe"]);
  const freed = stepsUntil(host, (world) => hasExited(world, destroying) && domainIsFreed(world, domid));
  if (freed !== null) host.reap(destroying);
  return { created, freed };
}

/** Whether one of the others, which was there before the stall, is freed when it is destroyed. */
function otherIsFreed(host: BenchHost): boolean {
  const destroying = host.start(["destroy", "2"]);
  return stepsUntil(host, (world) => hasExited(world, destroying) && domainIsFreed(world, 2)) !== null;
}

const shown = (steps: number | null): string | number => steps ?? "never";

function beside(
  counts: readonly number[],
  progress: (text: string) => void,
): { table: Table; claims: Claim[] } {
  const rows: (string | number)[][] = [];
  let worst = 0;
  let finished = 0;
  let zombies = 0;
  for (const others of counts) {
    progress(`${others} others`);
    const plain = live(hostWith("per-domain", others, false));
    const stalledHost = hostWith("per-domain", others, true);
    zombies += domainIsDead(stalledHost.world, 1) ? 1 : 0;
    const stalled = live(stalledHost);
    const single = hostWith("single", others, true);
    const alone = live(single);
    finished += [alone.created !== null, otherIsFreed(single)].filter(Boolean).length;
    for (const part of ["created", "freed"] as const) {
      const [with_, without] = [stalled[part] ?? Infinity, plain[part] ?? Infinity];
      worst = Math.max(worst, Math.abs(with_ / without - 1));
    }
    rows.push([
      others,
      ...(["created", "freed"] as const).flatMap((p) => [plain, stalled, alone].map((l) => shown(l[p]))),
    ]);
  }
  return {
    table: {
      title: "Another domain's life beside a stalled one, in steps",
      note: `Steps of the whole host from \`xl create\` until both ends of the domain's interface are connected, and from \`xl destroy\` until it is freed; "never": not within ${PATIENCE / 1e6} s of the host's time.`,
      columns: [
        "others",
        "create, per-domain, nothing stalled",
        "create, per-domain",
        "create, single",
        "destroy, per-domain, nothing stalled",
        "destroy, per-domain",
        "destroy, single",
      ],
      rows,
    },
    claims: [
      {
        text: "the domain whose packet is held is a zombie all the while",
        measured: `${zombies} of ${counts.length}`,
        holds: zombies === counts.length,
        timed: false,
      },
      {
        text: `under per-domain the others take the same steps as if nothing were stalled, within ${STEPS_WITHIN * 100} %`,
        measured: `${digits(worst * 100, 1)} % off at most`,
        holds: worst <= STEPS_WITHIN,
        timed: false,
      },
      {
        text: "under single none of them finishes: no domain connects, none that is destroyed is freed",
        measured: `${finished} of ${counts.length * 2} finished`,
        holds: finished === 0,
        timed: false,
      },
    ],
  };
}

/** Writes to a node that a backend watches, so that its callback runs, again and again. */
const writer = routine(
  "bench_writer",
  (a: { domids: readonly number[]; rounds: number }) => ({ ...a, nodes: [] as string[], node: "" }),
  ({ step, each, call }) => [
    step("nodes", (_host, l) => {
      l.nodes = Array.from({ length: l.rounds }, () =>
        l.domids.map((domid) => `backend/vif/${domid}/0`),
      ).flat();
    }),
    each(
      "writes",
      (l) => l.nodes,
      (l, node) => void (l.node = node),
      [call("rate", xenbusPrintf, (l) => ({ domid: 0, dir: l.node, name: "rate", value: "1000,50000" }))],
    ),
  ],
);

/** Steps and processor time of so many events, each handled by two watches' callbacks. */
function events(host: BenchHost, domains: number, rounds: number): { steps: number; micros: number } {
  const domids = Array.from({ length: domains }, (_, at) => at + 2);
  const from = host.steps;
  const micros = cpuMicros(() => {
    host.world.boot((on) => void spawnThread(on, "dom0/bench", writer, { domids, rounds }));
    host.until((world) => hasEnded(world, "dom0/bench") && world.runnable.length === 0);
  });
  return { steps: host.steps - from, micros };
}

function cost({ quick, progress }: BenchOptions): { table: Table; claims: Claim[] } {
  const [domains, rounds, pairs] = quick ? [8, 3, 2] : [100, 10, CPU_PAIRS];
  progress("events with nothing stalled");
  const [single, own] = [hostWith("single", domains, false), hostWith("per-domain", domains, false)];
  const measured = Array.from({ length: pairs }, (_, at) => {
    // They take turns in who is first.
    const order = at % 2 === 0 ? [single, own] : [own, single];
    const took = new Map(order.map((host) => [host, events(host, domains, rounds)]));
    return [took.get(single), took.get(own)] as [ReturnType<typeof events>, ReturnType<typeof events>];
  });
  const steps = median(measured.map(([a, b]) => b.steps / a.steps));
  const micros = median(measured.map(([a, b]) => b.micros / a.micros));
  const each = (at: 0 | 1, of: "steps" | "micros"): string =>
    digits(median(measured.map((pair) => pair[at][of])) / (domains * rounds), of === "steps" ? 1 : 0);
  return {
    table: {
      title: "What an event costs with nothing stalled",
      note: `A write to \`rate\` of an interface, for ${domains} domains in turn, ${rounds} times: the callbacks of the watch on \`backend\` and of the interface's own run. Medians of ${pairs} pairs; processor time in µs.`,
      columns: ["policy", "steps a write", "µs a write"],
      rows: [
        ["single", each(0, "steps"), each(0, "micros")],
        ["per-domain", each(1, "steps"), each(1, "micros")],
      ],
    },
    claims: [
      {
        text: `per-domain takes at most ${COST_MAX}× the steps of single for an event`,
        measured: `${digits(steps, 3)}×`,
        holds: steps <= COST_MAX,
        timed: false,
      },
      {
        text: `and at most ${COST_MAX}× its processor time`,
        measured: `${digits(micros, 2)}×`,
        holds: micros <= COST_MAX,
        timed: true,
      },
    ],
  };
}

/** Cells that a thread of dom0's kernel reads while it takes back one domain's watch. */
function unregistering(domains: number): number {
  const host = hostWith("per-domain", domains, false);
  host.pass(1_000_000);
  host.world.takeDoings();
  host.world.boot(
    (on) =>
      void spawnThread(on, "dom0/bench", unregisterXenbusWatch, {
        domid: 0,
        token: "otherend:backend/vif/2/0",
      }),
  );
  host.until((world) => hasEnded(world, "dom0/bench") && world.runnable.length === 0);
  return host.world.takeDoings().get("dom0/bench")?.reads ?? 0;
}

function unregistration({ quick, progress }: BenchOptions): { table: Table; claims: Claim[] } {
  const counts = quick ? [2, 12] : [10, 100, 1_000];
  progress("unregistration");
  const reads = counts.map(unregistering);
  const ratio = Math.max(...reads) / Math.min(...reads);
  return {
    table: {
      title: "Taking back the watch on one frontend's state",
      note: "Cells that the thread of dom0's kernel reads that takes it back, those included that are asked on its behalf, under per-domain.",
      columns: ["domains with a thread", "cells read"],
      rows: counts.map((count, at) => [count, reads[at] as number]),
    },
    claims: [
      {
        text: "unregistration does not depend on how many domains there are",
        measured: `${digits(ratio, 2)}× at most`,
        holds: ratio === 1,
        timed: false,
      },
    ],
  };
}

async function measure(options: BenchOptions): Promise<Report> {
  const parts = [
    beside(options.quick ? [1, 4] : [1, 10, 100, 1_000], options.progress),
    cost(options),
    unregistration(options),
  ];
  if (!options.quick) parts.push(await liveRounds(options));
  return { tables: parts.map(({ table }) => table), claims: parts.flatMap(({ claims }) => claims) };
}

export const isolation: Bench = {
  name: "isolation",
  about:
    "One domain whose network backend waits for a packet that does not come back, among up to a thousand others: what they notice under one xenwatch thread for all and under one for each, what the threads cost when nothing is stalled, and what taking a watch back costs.",
  run: measure,
};
