// SPDX-License-Identifier: Apache-2.0
//
// What makes a thread a process: a pid, an argument list, somewhere its output
// goes, an exit status. What it writes leaves the core as trace events. Nearly all
// are dom0's; a driver domain has some, too.

import { cellType, must } from "../engine/cells.ts";
import type { Cells } from "../engine/cells.ts";
import type { Host } from "../engine/host.ts";
import type { Routine } from "../engine/routine.ts";
import { enlist } from "../engine/runqueue.ts";
import { spawnThread, threadCell } from "../engine/thread.ts";

/** A process. Its identifier is the name of its first thread. */
export interface Process {
  pid: number;
  argv: readonly string[];
  /** The file stdout and stderr go to instead, once it has daemonised. */
  log: string | null;
  /** Exit status once it has ended and somebody waits for it. */
  status: number | null;
  /** Whether its parent waits for it; otherwise its cell goes with it. */
  awaited: boolean;
}

export const processCell = cellType<Process>("process", { provenance: ["pid"] });

/** The kernel's last pid: processes are numbered as they are made. */
const pidsCell = cellType<{ last: number }>("pids", { provenance: ["last"] });

declare module "../engine/trace.ts" {
  interface TraceEvents {
    /** A process of dom0 started. */
    "process.exec": { process: string; pid: number; argv: readonly string[] };
    stdout: { process: string; text: string };
    stderr: { process: string; text: string };
    /** A daemon's log, written to a file of dom0. */
    log: { process: string; file: string; text: string };
    /** Exit status as waitpid(2) gives it to a shell: 0 … 255. */
    "process.exit": { process: string; pid: number; status: number };
  }
}

function nextPid(cells: Cells): number {
  if (cells.get(pidsCell, 0) === undefined) cells.add(pidsCell, 0, { last: 100 });
  return ++cells.edit(pidsCell, 0).last;
}

/** The domain in which the step under way is taken: dom0 where it is somebody's outside. */
export function currentDomid(host: Host): number {
  return host.get(threadCell, host.current)?.domid ?? 0;
}

/**
 * Starts a process: a thread of that name with a process cell. It runs in the
 * domain of who starts it. Throws where the name is taken.
 *
 * @param args what the routine is given beside `process`, the process's name
 */
export function spawnProcess<A extends object>(
  host: Host,
  name: string,
  argv: readonly string[],
  routine: Routine<A & { process: string }, unknown>,
  args: A,
  options: { awaited?: boolean; log?: string | null; domid?: number } = {},
): string {
  const domid = options.domid ?? currentDomid(host);
  const pid = nextPid(host);
  const process: Process = {
    pid,
    argv,
    log: options.log ?? null,
    status: null,
    awaited: options.awaited ?? false,
  };
  host.add(processCell, name, process);
  host.emit("process.exec", { process: name, pid, argv });
  spawnThread(host, name, routine, { ...args, process: name }, { domid });
  enlist(host, domid, name);
  return name;
}

/** Ends a process: its status is kept for a parent that waits, its cell dropped otherwise. */
export function exitProcess(host: Host, name: string, status: number): void {
  const process = host.edit(processCell, name);
  process.status = status & 0xff;
  host.emit("process.exit", { process: name, pid: process.pid, status: process.status });
  if (!process.awaited) host.drop(processCell, name);
}

/** Whether a child has ended: what a `waitFor` before `reap` asks. */
export function hasExited(cells: Cells, name: string): boolean {
  const process = cells.get(processCell, name);
  return process === undefined || process.status !== null;
}

/** waitpid(2): the exit status of an ended, awaited child, which is then forgotten. */
export function reap(cells: Cells, name: string): number {
  const { status } = must(cells, processCell, name);
  if (status === null) throw new Error(`${name} has not exited`);
  cells.drop(processCell, name);
  return status;
}

/** Writes to standard output. */
export function stdout(host: Host, name: string, text: string): void {
  const { log } = must(host, processCell, name);
  if (log === null) host.emit("stdout", { process: name, text });
  else host.emit("log", { process: name, file: log, text });
}

/** Writes to standard error. */
export function stderr(host: Host, name: string, text: string): void {
  const { log } = must(host, processCell, name);
  if (log === null) host.emit("stderr", { process: name, text });
  else host.emit("log", { process: name, file: log, text });
}
