// SPDX-License-Identifier: Apache-2.0

import type { Call, Process } from "../recording.ts";
import { lines } from "./commands.ts";

/**
 * Parses one file of `hc/` or `daemons/`; `fileName` is `hc.PROGRAM.PID.log`.
 * A process that ran before the scenario began has no command line.
 */
export function parseCalls(fileName: string, text: string): Process {
  const m = /^hc\.(.+)\.(\d+)\.log$/.exec(fileName);
  if (!m) throw new Error(`not a call trace: ${fileName}`);
  const process: Process = { program: m[1]!, pid: Number(m[2]), commandLine: "", calls: [] };
  for (const line of lines(text)) {
    const head = /^# pid \d+: (.*)$/.exec(line);
    if (head) process.commandLine = head[1]!;
    else {
      const call = parseCall(line);
      if (call) process.calls.push(call);
    }
  }
  return process;
}

/** Parses `TIME [mc] FAMILY OP name=value … = RESULT [errno=N (text)] [=> out] N.NNms`. */
export function parseCall(line: string): Call | null {
  const m = /^ *([\d.]+) (?:\[mc\] )?(.*?) = (-?\d+)(?: errno=(\d+) \([^)]*\))?(?: => (.*?))? [\d.]+ms$/.exec(line);
  if (!m) return null;
  const words = m[2]!.split(" ");
  const name = words.slice(0, 2).filter((word) => !word.includes("=")).join(" ");
  const args: Record<string, string> = {};
  const plain: string[] = [];
  for (const word of words.slice(name.split(" ").length)) {
    const at = word.indexOf("=");
    if (at > 0) args[word.slice(0, at)] = word.slice(at + 1);
    else plain.push(word);
  }
  return {
    time: Number(m[1]),
    name,
    plain,
    args,
    result: Number(m[3]),
    errno: m[4] === undefined ? null : Number(m[4]),
    out: m[5] ?? "",
  };
}
