// SPDX-License-Identifier: Apache-2.0
//
// What the kernel says of a process of the machine (proc(5), /proc/PID/stat).

import { readFileSync } from "node:fs";

/** A process that has not ended. */
export interface ProcessStat {
  /** A letter: `R`, `S`, `D`, `T` stopped, `t` stopped by a debugger. */
  readonly state: string;
  /** The process that leads its session. */
  readonly session: number;
  readonly hasTerminal: boolean;
  /** When it started, in ticks since boot: with its number, who it is. */
  readonly start: string;
}

/** A process, or null where there is none: one that has ended and that nobody has asked about yet is none. */
export function processStat(pid: number): ProcessStat | null {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  } catch {
    return null;
  }
  // Fields from the third on: the second is the command, which may have spaces and brackets in it.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [state = "", , , session, terminal] = fields;
  if (state === "Z" || state === "X") return null;
  return { state, session: Number(session), hasTerminal: terminal !== "0", start: fields[19] ?? "" };
}
