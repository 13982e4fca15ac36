// SPDX-License-Identifier: Apache-2.0
//
// Runs xsload.c, the clients of the benchmark, and reads what it found.

import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { compiled } from "../../src/live/compile.ts";

const run = promisify(execFile);

/** The load generator, built when it is first needed. */
function xsload(): string {
  return compiled({
    name: "xsload",
    folder: import.meta.dirname,
    files: ["xsload.c"],
    flags: ["-Wno-unused-parameter"],
    libraries: [],
  });
}

/** What xsload says of one run; times in the units its names end in. `srv` is the daemon, `cli` xsload itself. */
export interface Load {
  readonly ops: number;
  readonly ops_s: number;
  readonly p50_us: number;
  readonly p99_us: number;
  readonly conflicts: number;
  readonly errors: number;
  readonly first_error: string;
  readonly srv_cpu_us_op: number;
  readonly cli_cpu_s: number;
  readonly srv_rss_kb: number;
}

/** What it says where it only fills the daemon. */
export interface Filling {
  readonly setup_s: number;
  readonly srv_cpu_s: number;
  readonly srv_rss_kb: number;
}

/** A run that did not come to its end, in words. */
export interface Broken {
  readonly broken: string;
}

/** Runs it against a daemon; `processor` is the one it may use, or null for any. */
async function xsloadOutput<T>(
  socketPath: string,
  pid: number,
  args: readonly string[],
  processor: number | null,
): Promise<T | Broken> {
  const command = [xsload(), "--socket", socketPath, "--server-pid", String(pid), ...args];
  const [program, ...rest] = (
    processor === null ? command : ["taskset", "-c", String(processor), ...command]
  ) as [string, ...string[]];
  try {
    const { stdout } = await run(program, rest, { timeout: 600_000 });
    return JSON.parse(stdout) as T;
  } catch (error) {
    const { stdout, stderr, message } = error as { stdout?: string; stderr?: string; message: string };
    return {
      broken: [stderr, stdout, message].find((text) => text !== undefined && text !== "")?.trim() ?? "",
    };
  }
}

/** One measured run. */
export function load(
  socketPath: string,
  pid: number,
  args: readonly string[],
  processor: number | null,
): Promise<Load | Broken> {
  return xsloadOutput<Load>(socketPath, pid, args, processor);
}

/** Fills a daemon with a tree. */
export function fill(
  socketPath: string,
  pid: number,
  args: readonly string[],
  processor: number | null,
): Promise<Filling | Broken> {
  return xsloadOutput<Filling>(socketPath, pid, args, processor);
}
