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

/** Calls of which the tracer knows no sub-operation and prints the first argument. */
const SECOND_WORD_IS_AN_ADDRESS = new Set(["xen_version", "xsm_op", "mmuext_op"]);

/** Parses `TIME [mc] FAMILY OP name=value … = RESULT [errno=N (text)] [=> out] N.NNms`. */
export function parseCall(line: string): Call | null {
  const m = /^ *([\d.]+) (?:\[mc\] )?(.*?) = (-?\d+)(?: errno=(\d+) \([^)]*\))?(?: => (.*?))? [\d.]+ms$/.exec(
    line,
  );
  if (!m) return null;
  const words = m[2]!.split(" ");
  const name = words.slice(0, SECOND_WORD_IS_AN_ADDRESS.has(words[0]!) ? 1 : 2).join(" ");
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
