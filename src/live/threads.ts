// SPDX-License-Identifier: Apache-2.0
//
// The threads of a host, for those who look on: who waits where.

import type { World } from "../core/engine/world.ts";
import { stackOf, threadCell } from "../core/engine/thread.ts";

/** A thread and where it stands, innermost first. */
export interface ThreadRow {
  name: string;
  /** The domain it runs in; null for the hypervisor's own. */
  domid: number | null;
  state: "runs" | "waits" | "sleeps" | "ended";
  stack: { routine: string; at: string }[];
}

/** Every thread, sorted by name. */
export function threadRows(world: World): ThreadRow[] {
  return world.ids(threadCell).map((id): ThreadRow => {
    const name = id as string;
    const thread = world.get(threadCell, name);
    const waits = thread?.deadline === null ? "waits" : "sleeps";
    const ended = thread?.exit !== null;
    const state = ended ? "ended" : world.runnable.includes(name) ? "runs" : waits;
    return { name, domid: thread?.domid ?? null, state, stack: stackOf(world, name) };
  });
}

/** One line a thread: its state and its innermost frame. */
export function threadTable(rows: readonly ThreadRow[]): string[] {
  const width = Math.max(6, ...rows.map(({ name }) => name.length));
  return [
    `${"Thread".padEnd(width)}  State   Stands at`,
    ...rows.map(({ name, state, stack }) => {
      const [top] = stack;
      const where = top === undefined ? "" : `${top.routine}: ${top.at}`;
      return `${name.padEnd(width)}  ${state.padEnd(6)}  ${where}`.trimEnd();
    }),
  ];
}
