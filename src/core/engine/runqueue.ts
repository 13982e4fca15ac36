// SPDX-License-Identifier: Apache-2.0
//
// The threads of a guest's kernel and user space: what its vCPUs run, and what
// ends with the domain.

import { cellType } from "./cells.ts";
import type { Host } from "./host.ts";
import { hasEnded } from "./thread.ts";

/** A guest's threads, by domid. dom0 keeps none. */
export const runqueueCell = cellType<{ threads: string[] }>("runqueue");

/** Notes a thread of a guest, and forgets those that have ended. */
export function enlist(host: Host, domid: number, thread: string): void {
  if (host.get(runqueueCell, domid) === undefined) return;
  const runqueue = host.edit(runqueueCell, domid);
  runqueue.threads = [...runqueue.threads.filter((other) => !hasEnded(host, other)), thread];
}
