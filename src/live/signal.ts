// SPDX-License-Identifier: Apache-2.0
//
// Ctrl-C: the end of a process of dom0 and of its children in the foreground,
// where they stand.

import { processCell } from "../core/daemons/process.ts";
import { input } from "../core/engine/input.ts";
import { killProcess } from "../core/toolstack/signals.ts";

/** What a shell says of a command that SIGINT has ended: 128 and the signal's number. */
const INTERRUPTED = 130;

/** Whoever typed a command interrupted it, or is gone. */
export const interrupted = input("interrupt", (host, { process }: { process: string }) => {
  if (host.get(processCell, process) !== undefined) killProcess(host, process, INTERRUPTED, true);
});
