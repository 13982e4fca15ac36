// SPDX-License-Identifier: Apache-2.0
//
// Who waits for whom. The engine knows which cells a thread's wait reads: one
// that reads another thread's or process's cell waits for that one, one that
// reads a queue's counters for whoever still has something of it.

import { hasExited, processCell } from "../core/daemons/process.ts";
import { bioCell, blkbackRingCell } from "../core/drivers/blkback-cells.ts";
import { netbackQueueCell } from "../core/drivers/netback-cells.ts";
import { skbCell } from "../core/drivers/packets.ts";
import type { CellId } from "../core/engine/cells.ts";
import { faultCell, faultsOn } from "../core/engine/fault.ts";
import { aliveCell, hasEnded, stackOf, threadCell } from "../core/engine/thread.ts";
import type { World } from "../core/engine/world.ts";
import type { Waiting } from "./diagnosis.ts";
import { count, seconds } from "./text-parts.ts";

/** A chain longer than this is a circle, or nothing anybody would read. */
const CHAIN_MAX = 16;

/** What would have to happen for a thread to go on. */
export interface Cause {
  /** Threads it waits for. */
  threads: string[];
  /** In words, where their names do not say it all. */
  why: string | null;
  /** The command that ends the wait, where there is one. */
  release: string | null;
}

/** What a cell that a wait reads has to do with it, or null where that is nothing to tell. */
type Rule = (world: World, id: CellId) => Cause | null;

const rules: { readonly [type: string]: Rule } = {
  [aliveCell.name]: (world, id) => (hasEnded(world, id as string) ? null : onThread(id as string)),
  [processCell.name]: (world, id) => (hasExited(world, id as string) ? null : onThread(id as string)),
  [faultCell.name]: (world, id) => {
    const fault = world.get(faultCell, id);
    if (fault === undefined) return null;
    const why = `the fault ${String(id)} is injected, since ${seconds(fault.since)}`;
    return { threads: [], why, release: `xenolith fault clear ${String(id)}` };
  },
  [netbackQueueCell.name]: (world, id) => {
    const inflight = world.get(netbackQueueCell, id)?.inflightPackets ?? 0;
    if (inflight === 0) return null;
    const packets = world.ids(skbCell).filter((skb) => world.get(skbCell, skb)?.queue === id);
    return {
      threads: packets
        .map((skb) => `dom${String(id).split("/")[0]}/skb/${String(skb)}`)
        .filter((name) => !hasEnded(world, name)),
      why: `${count(inflight, "packet")} in flight`,
      release: null,
    };
  },
  [blkbackRingCell.name]: (world, id) => {
    const inflight = world.get(blkbackRingCell, id)?.inflight ?? 0;
    if (inflight === 0) return null;
    const bios = world.ids(bioCell).filter((bio) => world.get(bioCell, bio)?.ring === id);
    const threads = world.ids(threadCell).filter((name) => bios.some((bio) => endsWith(name, bio)));
    return { threads: threads as string[], why: `${count(inflight, "request")} in flight`, release: null };
  },
};

function onThread(name: string): Cause {
  return { threads: [name], why: null, release: null };
}

function endsWith(name: CellId, id: CellId): boolean {
  return String(name).endsWith(`/${String(id)}`);
}

/** Why a thread does not go on: its own wait's cells, in the order in which it reads them. */
export function causeOf(world: World, thread: string): Cause {
  if (world.get(threadCell, thread)?.stopped === true) {
    const release = faultsOn(world).find(({ name, words }) => name === "stop-process" && words[0] === thread);
    const clear = release === undefined ? null : `xenolith fault clear stop-process ${thread}`;
    return { threads: [], why: "it is stopped (SIGSTOP), and will not let go of anything", release: clear };
  }
  const causes = world
    .waitsOn(thread)
    .filter(({ id }) => id !== thread)
    .flatMap(({ type, id }) => rules[type]?.(world, id) ?? []);
  return {
    threads: [...new Set(causes.flatMap(({ threads }) => threads))],
    why: causes.find(({ why }) => why !== null)?.why ?? null,
    release: causes.find(({ release }) => release !== null)?.release ?? null,
  };
}

/** A thread, the first one it waits for, and so on; and the command that ends the last wait. */
export function chainFrom(world: World, thread: string): { chain: Waiting[]; release: string | null } {
  const chain: Waiting[] = [];
  let release: string | null = null;
  for (let name: string | undefined = thread; name !== undefined && chain.length < CHAIN_MAX;) {
    const [top] = stackOf(world, name);
    if (top === undefined || chain.some((link) => link.thread === name)) break;
    const cause = causeOf(world, name);
    const [next] = cause.threads;
    chain.push({ thread: name, routine: top.routine, at: top.at, waitsFor: next ?? null, why: cause.why });
    release = cause.release;
    name = next;
  }
  return { chain, release };
}

/** Every thread that waits, over others or at once, for one of these. Costs a look at every thread. */
export function waitersOf(world: World, threads: ReadonlySet<string>): string[] {
  const waiters = new Map<string, string[]>();
  for (const id of world.ids(threadCell)) {
    for (const target of causeOf(world, id as string).threads) {
      const known = waiters.get(target);
      if (known === undefined) waiters.set(target, [id as string]);
      else known.push(id as string);
    }
  }
  const found = new Set<string>();
  const left = [...threads];
  for (let at = 0; at < left.length; at++) {
    for (const waiter of waiters.get(left[at] as string) ?? []) {
      if (found.has(waiter) || threads.has(waiter)) continue;
      found.add(waiter);
      left.push(waiter);
    }
  }
  return [...found];
}
