// SPDX-License-Identifier: Apache-2.0
//
// Kernel threads: how one is run and how another one stops it and waits for its
// end (Linux kernel/kthread.c).

import { cellType } from "../engine/cells.ts";
import type { Cells } from "../engine/cells.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import type { Routine } from "../engine/routine.ts";
import { enlist } from "../engine/runqueue.ts";
import { hasEnded, spawnThread } from "../engine/thread.ts";

/** A kernel thread that was told to stop, by thread name: `kthread_should_stop` is true for it. */
export const stoppingCell = cellType<{ shouldStop: true }>("kthread-stop");

const kthread = routine(
  "kthread",
  (a: { threadfn: string; args: object }) => ({ ...a }),
  ({ callNamed }) => [
    callNamed(
      "threadfn",
      (l) => l.threadfn,
      (l) => l.args,
    ),
  ],
);

/**
 * Starts a kernel thread of a domain's kernel. Its name is that of the kernel
 * and its own, as `dom0/xenwatch`; its stack ends in `kthread`.
 */
export function kthreadRun<A extends object>(
  host: Host,
  domid: number,
  name: string,
  threadfn: Routine<A, unknown>,
  args: A,
): string {
  const thread = `dom${domid}/${name}`;
  spawnThread(host, thread, kthread, { threadfn: threadfn.name, args }, { kind: "kthread", domid });
  enlist(host, domid, thread);
  return thread;
}

/** Starts a process of a guest's user space. */
export function taskRun<A extends object>(
  host: Host,
  domid: number,
  name: string,
  main: Routine<A, unknown>,
  args: A,
): void {
  const thread = `dom${domid}/${name}`;
  spawnThread(host, thread, main, args, { kind: "process", domid });
  enlist(host, domid, thread);
}

/** Whether the thread of that full name was told to stop. */
export function kthreadShouldStop(cells: Cells, thread: string): boolean {
  return cells.get(stoppingCell, thread) !== undefined;
}

/**
 * Tells a kernel thread to stop and waits for its end. The caller is stuck for
 * as long as the thread has a reason to go on: called from xenwatch, that is
 * what stalls every device of every domain.
 */
export const kthreadStop = routine(
  "kthread_stop",
  (a: { thread: string }) => ({ ...a }),
  ({ step, waitFor }) => [
    step("set KTHREAD_SHOULD_STOP", (host, l) => {
      if (!hasEnded(host, l.thread)) host.add(stoppingCell, l.thread, { shouldStop: true });
    }),
    waitFor("wait_for_completion", (host, l) => hasEnded(host, l.thread), { uninterruptible: true }),
    step("put_task_struct", (host, l) => {
      if (host.get(stoppingCell, l.thread) !== undefined) host.drop(stoppingCell, l.thread);
    }),
  ],
);
