// SPDX-License-Identifier: Apache-2.0
//
// The daemon as its users start it, for tests that kill and replace it.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import type { XenstoreClient } from "../../src/client/index.ts";
import { connectXenstore } from "../../src/live/xenstore-client.ts";
import { type Running, startXenolith } from "./xenolith.ts";

/** A daemon and where it is reached. */
export interface StartedXenstored {
  readonly running: Running;
  readonly socketPath: string;
  readonly pidFile: string;
}

/** Starts one in a folder; resolves once it serves. */
export async function startXenstored(dir: string, ...args: string[]): Promise<StartedXenstored> {
  const socketPath = join(dir, "socket");
  const pidFile = join(dir, "pid");
  const running = startXenolith(["xenstored", "--socket", socketPath, "--pid-file", pidFile, ...args]);
  onTestFinished(() => killNamed(pidFile));
  await running.printed(/listens at/);
  return { running, socketPath, pidFile };
}

/** The process that serves now. */
export function servingPid(pidFile: string): number {
  return Number(readFileSync(pidFile, "latin1"));
}

/** Kills the process that serves, and waits until it is gone. */
export async function killServing(pidFile: string): Promise<void> {
  const pid = servingPid(pidFile);
  process.kill(pid, "SIGKILL");
  const isThere = (): boolean => {
    try {
      return !/^\d+ \(.*\) [ZX]/.test(readFileSync(`/proc/${pid}/stat`, "latin1"));
    } catch {
      return false;
    }
  };
  while (isThere()) await new Promise((resolve) => setTimeout(resolve, 5));
}

/** Kills the process a file names, if it is there. */
export function killNamed(pidFile: string): void {
  try {
    process.kill(servingPid(pidFile), "SIGKILL");
  } catch {
    // It has ended.
  }
}

/** A client that is closed with the test. The C xenstored lets one wait at a time: the next is sent away. */
export async function clientOf(socketPath: string): Promise<XenstoreClient> {
  for (;;) {
    try {
      const client = await connectXenstore(socketPath);
      onTestFinished(() => client.close());
      return client;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}

/** Asks a xenstored to let another program take over, as xenstore-control does; what it answers. */
export async function liveUpdate(
  client: XenstoreClient,
  file: string,
  { cmdline, start = [] }: { cmdline?: string; start?: readonly string[] } = {},
): Promise<string> {
  const begun = await client.control("live-update", "-f", file);
  if (begun !== "OK") return begun;
  if (cmdline !== undefined) {
    const told = await client.control("live-update", "-c", cmdline);
    if (told !== "OK") return told;
  }
  return client.control("live-update", "-s", ...start);
}
