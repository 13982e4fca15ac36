// SPDX-License-Identifier: Apache-2.0
//
// One journal, one writer: a file beside it names the process. Node has no
// flock, so a process that was killed leaves the file behind; whether the one it
// names still runs is asked of the system, by its number and when it started.

import { readFileSync, unlinkSync, writeFileSync } from "node:fs";
import { processStat } from "../process-stat.ts";

/** The process that holds a lock, or null. */
export function holderOf(file: string): number | null {
  let words: string[];
  try {
    words = readFileSync(file, "latin1").trim().split(" ");
  } catch {
    return null;
  }
  const pid = Number(words[0]);
  const runs = Number.isInteger(pid) && pid > 0 ? processStat(pid) : null;
  return runs !== null && runs.start === words[1] ? pid : null;
}

/** Takes a lock; returns the process that holds it where that is another one, else null. */
export function takeLock(file: string): number | null {
  const holder = holderOf(file);
  if (holder !== null && holder !== process.pid) return holder;
  writeFileSync(file, `${process.pid} ${processStat(process.pid)?.start ?? ""}\n`, { mode: 0o600 });
  return null;
}

/** Gives a lock back. */
export function dropLock(file: string): void {
  if (holderOf(file) === process.pid) unlinkSync(file);
}
