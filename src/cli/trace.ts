// SPDX-License-Identifier: Apache-2.0
//
// Traces from files.

import { readFileSync } from "node:fs";
import { parseTrace } from "../export/trace-file.ts";
import type { Trace } from "../export/trace-file.ts";
import { Problem, systemWords } from "../live/problem.ts";

/**
 * Reads a trace, of one whose last line is not whole what is before the step that it belongs to, and says so.
 * Throws Problem where the file is none.
 */
export function readTrace(file: string): Trace {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw new Problem(`cannot read ${file}: ${systemWords(error)}`, "xenolith sim --help");
  }
  const whole = text.slice(0, text.lastIndexOf("\n") + 1);
  let trace = parseTrace(text);
  if (typeof trace === "string" && whole !== text && whole !== "")
    trace = cutTrace(file, parseTrace(whole)) ?? trace;
  if (typeof trace === "string") throw new Problem(`${file}: ${trace}`, "xenolith sim --help");
  return trace;
}

/** What is left of a trace without its last step, whose events are not all there. */
function cutTrace(file: string, trace: Trace | string): Trace | null {
  if (typeof trace === "string") return null;
  const last = trace.lines.findLastIndex((line) => "step" in line);
  if (last < 0) return null;
  process.stderr.write(`xenolith: ${file} ends in half a line: it is read up to the last whole step\n`);
  return { ...trace, lines: trace.lines.slice(0, last) };
}
