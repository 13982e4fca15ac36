// SPDX-License-Identifier: Apache-2.0
//
// Many domains destroyed at once by xl, some of their pages held by others, who
// let go in any order: afterwards the host is as it was before.

import { strict as assert } from "node:assert";
import { hasExited, reap } from "../../src/core/daemons/process.ts";
import { cellTypes, must } from "../../src/core/engine/cells.ts";
import { nextBelow, seedPrng } from "../../src/core/engine/prng.ts";
import type { Prng } from "../../src/core/engine/prng.ts";
import { fifo, random, run } from "../../src/core/engine/scheduler.ts";
import { World } from "../../src/core/engine/world.ts";
import { bootHost, hostIsUp } from "../../src/core/host.ts";
import { checkLedger } from "../../src/core/hypervisor/check-ledger.ts";
import { deadDomains, domainPagesCell, forEachDomain } from "../../src/core/hypervisor/domain.ts";
import { bitmapEmpty } from "../../src/core/hypervisor/bitmap.ts";
import { ownedFrames } from "../../src/core/hypervisor/frames.ts";
import { heapCell } from "../../src/core/hypervisor/heap.ts";
import { mapFrame, unmapFrame } from "../../src/core/hypervisor/mapping.ts";
import { runsOf } from "../../src/core/hypervisor/runs.ts";
import { spawnXl } from "../../src/core/toolstack/xl.ts";
import { nodeType } from "../../src/core/xenstore/tree.ts";

/** A page that a process of dom0 has mapped. */
interface Held {
  process: string;
  mfn: number;
}

/** What stands for the host as a whole: what a domain that is gone must not have changed. */
interface Footprint {
  nodes: string;
  freePages: number;
  cells: string;
}

/** Cells whose number only tells of history, or of how memory was cut. */
const HISTORY =
  /^(domid-incarnation|xenstore-incarnation|bitmap-word|run|memory|file|process|mailbox|xl-|log)/;

function footprint(world: World): Footprint {
  const nodes = world.ids(nodeType).map((path) => {
    const { value, perms } = must(world, nodeType, path);
    return `${path} ${value} ${perms}`;
  });
  const cells = cellTypes()
    .filter(({ name }) => !HISTORY.test(name))
    .map((type) => `${type.name} ${world.count(type)}`);
  return {
    nodes: nodes.join("\n"),
    freePages: must(world, heapCell, 0).freePages,
    cells: cells.join("\n"),
  };
}

function configOf(at: number): string {
  const vif = at % 4 === 0 ? 'vif = [ "bridge=xenbr0" ]\nextra = "mode=idle dev=1"\n' : "";
  return `name = "g${at}"\ntype = "${at % 3 === 0 ? "pvh" : "pv"}"\nmemory = 8\n${vif}`;
}

/** A host with that many domains, up and idle. */
function hostWith(domains: number, seed: number): { world: World; before: Footprint } {
  const world = new World({ seed });
  const files = Object.fromEntries(
    Array.from({ length: domains }, (_, at) => [`/etc/xen/g${at}.cfg`, configOf(at)]),
  );
  world.boot((host) => bootHost(host, { machine: { totalPages: 1 << 22 }, files }));
  run(world, fifo, { until: hostIsUp });
  // The first domain of a host leaves the folders that others are made in.
  xl(world, ["create", "/etc/xen/g0.cfg"]);
  xl(world, ["destroy", "g0"]);
  run(world, fifo);
  const before = footprint(world);
  for (let at = 0; at < domains; at++) xl(world, ["create", `/etc/xen/g${at}.cfg`]);
  return { world, before };
}

function start(world: World, argv: readonly string[]): string {
  let process = "";
  world.boot((host) => void (process = spawnXl(host, argv, { awaited: true })));
  return process;
}

function end(world: World, process: string): void {
  world.boot((host) => assert.equal(reap(host, process), 0, `${process} failed`));
}

function xl(world: World, argv: readonly string[]): void {
  const process = start(world, argv);
  run(world, fifo, { until: () => hasExited(world, process) });
  end(world, process);
}

/** Each domain has up to three of its pages mapped by processes of dom0, some of them together. */
function holdPages(world: World, prng: Prng): Held[] {
  const held: Held[] = [];
  world.boot((host) => {
    for (const { domid } of forEachDomain(host)) {
      if (domid === 0) continue;
      const frames = [...runsOf(host, ownedFrames(domid))].flatMap(({ start: first, count }) => [
        first + nextBelow(prng, count),
      ]);
      for (let at = nextBelow(prng, 4); at > 0; at--) {
        const process = `holder.${nextBelow(prng, 50)}`;
        const mfn = frames[nextBelow(prng, frames.length)] as number;
        if (mapFrame(host, 0, process, "foreign map", domid, mfn, false) === 0) held.push({ process, mfn });
      }
    }
  });
  return held;
}

function letGo(world: World, held: Held[], prng: Prng): void {
  const [one] = held.splice(nextBelow(prng, held.length), 1);
  if (one === undefined) return;
  world.boot((host) => assert.equal(unmapFrame(host, 0, one.process, "foreign map", one.mfn, false), 0));
}

/** What it came to. */
export interface ManyFigures {
  domains: number;
  held: number;
  steps: number;
  /** Most domains that were dead and not gone at one time. */
  zombiesMax: number;
  [figure: string]: number;
}

/** Destroys so many domains at once; throws where anything of them is left. */
export function manyTeardowns(domains: number, seed: number): ManyFigures {
  const prng = seedPrng(seed);
  const { world, before } = hostWith(domains, seed);
  const held = holdPages(world, prng);
  const figures: ManyFigures = { domains, held: held.length, steps: 0, zombiesMax: 0 };
  const destroys = Array.from({ length: domains }, (_, at) => start(world, ["destroy", `g${at}`]));
  // Half of the holders let go while domains are still being destroyed.
  const every = Math.max(Math.floor((domains * 900) / Math.max(held.length / 2, 1)), 1);
  for (let action = random(world); action !== null; action = random(world)) {
    world.perform(action);
    figures.steps++;
    if (figures.steps % every === 0) letGo(world, held, prng);
    if (figures.steps % 500 === 0) figures.zombiesMax = Math.max(figures.zombiesMax, zombies(world));
    if (action === null || (world.runnable.length === 0 && destroys.every((one) => hasExited(world, one))))
      break;
  }
  for (const one of destroys) end(world, one);
  figures.zombiesMax = Math.max(figures.zombiesMax, zombies(world));
  while (held.length > 0) {
    letGo(world, held, prng);
    run(world, random);
  }
  run(world, random);
  assert.deepEqual(
    [...forEachDomain(world)].map(({ domid }) => domid),
    [0],
  );
  assert.ok(bitmapEmpty(world, deadDomains));
  assert.deepEqual(checkLedger(world, 0), []);
  assert.equal(world.count(domainPagesCell), 1);
  assert.deepEqual(footprint(world), before);
  return figures;
}

function zombies(world: World): number {
  let count = 0;
  for (const { isDying } of forEachDomain(world)) if (isDying === "dead") count++;
  return count;
}
