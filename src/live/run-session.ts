// SPDX-License-Identifier: Apache-2.0
//
// The session a program was run in, which its children inherit by the environment:
// a process in another one has made itself a daemon, and ends with its host.

import { readdirSync, readFileSync } from "node:fs";
import { processStat } from "./process-stat.ts";

const VARIABLE = "XENOLITH_SESSION";

/** What says it to a program that this process runs. */
export function runSession(): { [VARIABLE]: string } {
  // 0, for itself and for what it runs, where the leader is outside this PID namespace.
  return { [VARIABLE]: String(processStat(process.pid)?.session ?? 0) };
}

/** A variable of a process's environment, as it was when it was executed; null where it has none. */
function variable(pid: number, name: string): string | null {
  let environment: string;
  try {
    environment = readFileSync(`/proc/${pid}/environ`, "utf8");
  } catch {
    return null;
  }
  const entry = environment.split("\0").find((text) => text.startsWith(`${name}=`));
  return entry === undefined ? null : entry.slice(name.length + 1);
}

/**
 * Ends a process where it has made itself a daemon: it has no terminal and has left the session `xenolith run`
 * ran it in. Who merely outlived the leader of that session, as under cron or in CI, is none.
 */
export function endDaemon(pid: number): void {
  const stat = processStat(pid);
  if (stat === null || stat.hasTerminal) return;
  const ranIn = variable(pid, VARIABLE);
  if (ranIn === null || Number(ranIn) === stat.session) return;
  try {
    process.kill(pid, "SIGTERM");
    // One that somebody stopped could not end.
    process.kill(pid, "SIGCONT");
  } catch {
    // It has ended.
  }
}

/** Ends the daemons of a host that was killed, which had no time to: those that were run with its bridge. */
export function endDaemonsOf(bridge: string): void {
  for (const name of readdirSync("/proc")) {
    const pid = Number(name);
    if (pid > 0 && variable(pid, "XENOLITH_BRIDGE") === bridge) endDaemon(pid);
  }
}
