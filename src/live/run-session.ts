// SPDX-License-Identifier: Apache-2.0
//
// The session a program was run in, which its children inherit by the environment:
// a process in another one has made itself a daemon.

import { readFileSync } from "node:fs";
import { processStat } from "./process-stat.ts";

const VARIABLE = "XENOLITH_SESSION";

/** What says it to a program that this process runs. */
export function runSession(): { [VARIABLE]: string } {
  // 0, for itself and for what it runs, where the leader is outside this PID namespace.
  return { [VARIABLE]: String(processStat(process.pid)?.session ?? 0) };
}

/** The session a process was run in, or in which who started it was; null where it was not run by us. */
export function sessionRanIn(pid: number): number | null {
  let environment: string;
  try {
    environment = readFileSync(`/proc/${pid}/environ`, "latin1");
  } catch {
    return null;
  }
  const entry = environment.split("\0").find((text) => text.startsWith(`${VARIABLE}=`));
  return entry === undefined ? null : Number(entry.slice(VARIABLE.length + 1));
}
