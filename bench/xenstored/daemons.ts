// SPDX-License-Identifier: Apache-2.0
//
// The xenstoreds that are compared, each in a process and a folder of its own.

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { ownChild } from "./own-child.ts";
import { startReal } from "./real.ts";

/** Debian's C xenstored and oxenstored of Xen 4.17, and ours. */
export type DaemonName = "c" | "ocaml" | "ours";
export const daemonNames: readonly DaemonName[] = ["c", "ocaml", "ours"];

/** One that runs. */
export interface Daemon {
  readonly name: DaemonName;
  readonly socketPath: string;
  readonly pid: number;
  stop(): Promise<void>;
}

const cli = join(import.meta.dirname, "../../bin/xenolith.js");
/** How long ours may take until it says that it listens. */
const START_MS = 20_000;

/** The processor of the clients, and that of a daemon that has one of its own; null where there is only one. */
export const CLIENTS_PROCESSOR = availableParallelism() > 1 ? 1 : null;
export const DAEMON_PROCESSOR = availableParallelism() > 1 ? 0 : null;

/** Ours, with further arguments. `processor` is the one it may use, or null for any. */
export async function startOurs(
  run: string,
  processor: number | null,
  args: readonly string[],
): Promise<Daemon> {
  mkdirSync(run, { recursive: true, mode: 0o700 });
  const socketPath = join(run, "socket");
  const command = ownChild(process.execPath, [cli, "xenstored", "--socket", socketPath, ...args]);
  const child: ChildProcess = spawn(...command, {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exit = new Promise<void>((resolve) => void child.on("exit", () => resolve()));
  const ready = new Promise<void>((resolve) => void child.stdout?.once("data", () => resolve()));
  const late = new Promise<void>((resolve) => void setTimeout(resolve, START_MS).unref());
  await Promise.race([ready, exit, late]);
  if (!existsSync(socketPath)) {
    child.kill("SIGKILL");
    throw new Error(`our xenstored does not listen at ${socketPath}`);
  }
  child.stdout?.resume();
  bindTo(processor, child.pid as number);
  return {
    name: "ours",
    socketPath,
    pid: child.pid as number,
    stop: () => {
      child.kill("SIGTERM");
      return exit;
    },
  };
}

/**
 * Starts one in `run`, which is made. `processor` is the one it may use, or null for any.
 * XENSTORED_OPTIONS are further arguments of ours, XENSTORED_C is another C xenstored than Debian's.
 */
export async function startDaemon(name: DaemonName, run: string, processor: number | null): Promise<Daemon> {
  if (name === "ours") return startOurs(run, processor, process.env["XENSTORED_OPTIONS"]?.split(" ") ?? []);
  const program = name === "c" ? process.env["XENSTORED_C"] : undefined;
  const real = await startReal(name, run, { program });
  const pid = real.process.pid as number;
  bindTo(processor, pid);
  return { name, socketPath: real.socketPath, pid, stop: real.stop };
}

function bindTo(processor: number | null, pid: number): void {
  if (processor === null) return;
  execFileSync("taskset", ["-a", "-p", "-c", String(processor), String(pid)], { stdio: "ignore" });
}

/** Resident memory of a process, megabytes; `own` of it is no page of a file, which all who use the file share. */
export function residentMegabytes(pid: number): { readonly all: number; readonly own: number } {
  const status = readFileSync(`/proc/${pid}/status`, "latin1");
  const megabytes = (field: string): number =>
    Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(status)?.[1] ?? Number.NaN) / 1024;
  return { all: megabytes("VmRSS"), own: megabytes("RssAnon") };
}
