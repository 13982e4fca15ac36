// SPDX-License-Identifier: Apache-2.0
//
// What the machine's kernel knows of a process that holds a domain: its command
// line, and whether it is stopped, when asking it to end does nothing.

import * as fs from "node:fs";
import type { Diagnosis, Holder } from "../doctor/diagnosis.ts";
import { nextSteps } from "../doctor/next-steps.ts";
import { processStat } from "./process-stat.ts";

/** Words of a command line that are shown. */
const WORDS_MAX = 6;

/** A process of the machine, or null where it is gone or not ours to see. */
function look(pid: number): { command: string; stopped: boolean } | null {
  try {
    const words = fs.readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").slice(0, -1);
    const command = words.slice(0, WORDS_MAX).join(" ") + (words.length > WORDS_MAX ? " …" : "");
    return { command, stopped: processStat(pid)?.state.toUpperCase() === "T" };
  } catch {
    return null;
  }
}

function withProcess(holder: Holder): Holder {
  const { pid, hint, release } = holder;
  // Others with a number are processes of the simulated dom0.
  if (pid === null || release !== `kill ${pid}`) return holder;
  const found = look(pid);
  if (found === null) return holder;
  const { command, stopped } = found;
  if (!stopped) return { ...holder, hint: hint ?? command };
  return {
    ...holder,
    hint: `${command}; it is stopped, and can neither go on nor end`,
    release: `kill -CONT ${pid}`,
  };
}

/** A diagnosis with what the kernel says of the processes in it. */
export function withProcesses(diagnosis: Diagnosis): Diagnosis {
  const holders = diagnosis.holders.map(withProcess);
  return { ...diagnosis, holders, next: nextSteps(diagnosis.stage, diagnosis.domid, holders) };
}
