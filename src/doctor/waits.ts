// SPDX-License-Identifier: Apache-2.0
//
// Who waits for whom. The engine knows which cells a thread's wait reads; one
// that reads another thread's or process's cell waits for that one.

import { hasEnded, stackOf, threadCell } from "../core/engine/thread.ts";
import type { World } from "../core/engine/world.ts";
import { hasExited, processCell } from "../core/daemons/process.ts";
import type { Waiting } from "./diagnosis.ts";

/** A chain longer than this is a circle, or nothing anybody would read. */
const CHAIN_MAX = 16;

/** The thread that a thread waits for, or null. */
export function waitedFor(world: World, thread: string): string | null {
  for (const { type, id } of world.waitsOn(thread)) {
    const name = id as string;
    if (name === thread) continue;
    if (type === threadCell.name && !hasEnded(world, name)) return name;
    if (type === processCell.name && !hasExited(world, name)) return name;
  }
  return null;
}

/** A thread, the one it waits for, and so on. */
export function chainFrom(world: World, thread: string): Waiting[] {
  const chain: Waiting[] = [];
  for (let name: string | null = thread; name !== null && chain.length < CHAIN_MAX;) {
    const [top] = stackOf(world, name);
    if (top === undefined || chain.some((link) => link.thread === name)) break;
    const waitsFor = waitedFor(world, name);
    chain.push({ thread: name, routine: top.routine, at: top.at, waitsFor, why: null });
    name = waitsFor;
  }
  return chain;
}

/** Every thread that waits, over others or at once, for one of these. Costs a look at every thread. */
export function waitersOf(world: World, threads: ReadonlySet<string>): string[] {
  const waiters = new Map<string, string[]>();
  for (const id of world.ids(threadCell)) {
    const target = waitedFor(world, id as string);
    if (target === null) continue;
    const known = waiters.get(target);
    if (known === undefined) waiters.set(target, [id as string]);
    else known.push(id as string);
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
