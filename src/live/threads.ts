// SPDX-License-Identifier: Apache-2.0
//
// The threads of a host, for those who look on: who waits where.

import { processCell } from "../core/daemons/process.ts";
import { must } from "../core/engine/cells.ts";
import { stackOf, taskState, threadCell } from "../core/engine/thread.ts";
import type { TaskState, ThreadKind } from "../core/engine/thread.ts";
import type { World } from "../core/engine/world.ts";

/** A thread and where it stands, innermost first. */
export interface ThreadRow {
  name: string;
  kind: ThreadKind;
  /** The domain it runs in; null for the hypervisor's own. */
  domid: number | null;
  /** Process number, of a process of dom0. */
  pid: number | null;
  state: TaskState;
  stack: { routine: string; at: string }[];
}

/** Every thread, sorted by name. */
export function threadRows(world: World): ThreadRow[] {
  return world.ids(threadCell).map((id): ThreadRow => {
    const name = id as string;
    const thread = must(world, threadCell, name);
    const { kind, domid } = thread;
    const pid = world.get(processCell, name)?.pid ?? null;
    return { name, kind, domid, pid, state: taskState(world, thread), stack: stackOf(world, name) };
  });
}

/** One line a thread: its state and its innermost frame. */
export function threadTable(rows: readonly ThreadRow[]): string[] {
  const width = Math.max(6, ...rows.map(({ name }) => name.length));
  return [
    `STAT  ${"THREAD".padEnd(width)}  STANDS AT`,
    ...rows.map(({ name, state, stack }) => {
      const [top] = stack;
      const where = top === undefined ? "" : `${top.routine}: ${top.at}`;
      return `${state.padEnd(4)}  ${name.padEnd(width)}  ${where}`.trimEnd();
    }),
  ];
}

/**
 * Threads that somebody may mean by a word: one of that name, else those whose
 * name ends so (`xenwatch` for `dom0/xenwatch`), else the process with that pid.
 */
export function threadsMeant(rows: readonly ThreadRow[], word: string): ThreadRow[] {
  const exact = rows.filter(({ name }) => name === word);
  if (exact.length > 0) return exact;
  const ending = rows.filter(({ name }) => name.endsWith(`/${word}`));
  // Every kernel has an xenwatch; nobody asks for that of a guest without saying so.
  const inDom0 = ending.filter(({ domid }) => domid === 0);
  if (inDom0.length > 0) return inDom0;
  return ending.length > 0 ? ending : rows.filter(({ pid }) => String(pid) === word);
}

/** A kernel stack as /proc/PID/stack prints it, with the step at which each function stands behind it. */
export function stackText({ stack }: ThreadRow): string[] {
  return stack.map(({ routine, at }) => `[<0>] ${routine} (${at})`);
}
