// SPDX-License-Identifier: Apache-2.0
//
// Ctrl-C: the end of a process of dom0 and of its children in the foreground,
// where they stand. The kernel closes what they had open.

import { processCell, exitProcess } from "../core/daemons/process.ts";
import { xsClose, xsHandleCell } from "../core/daemons/xs-client.ts";
import type { CellId } from "../core/engine/cells.ts";
import { input } from "../core/engine/input.ts";
import { lockCell, releaseLock } from "../core/engine/lock.ts";
import { killThread, threadCell } from "../core/engine/thread.ts";
import { closeContext } from "../core/toolstack/libxl-ctx.ts";

/** What a shell says of a command that SIGINT has ended: 128 and the signal's number. */
const INTERRUPTED = 130;

/** Whoever typed a command interrupted it, or is gone. */
export const interrupted = input("interrupt", (host, { process }: { process: string }) => {
  if (host.get(processCell, process) === undefined) return;
  const belongs = (id: CellId): id is string => id === process || String(id).startsWith(`${process}/`);
  const children = host.ids(processCell).filter(belongs);
  for (const thread of host.ids(threadCell).filter(belongs)) killThread(host, thread);
  for (const child of children) closeContext(host, child);
  for (const handle of host.ids(xsHandleCell).filter(belongs)) xsClose(host, handle);
  for (const lock of host.ids(lockCell).filter(belongs)) releaseLock(host, lock);
  for (const child of children)
    if (host.get(processCell, child)?.status === null) exitProcess(host, child, INTERRUPTED);
});
