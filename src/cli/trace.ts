// SPDX-License-Identifier: Apache-2.0
//
// Traces from files.

import { readFileSync } from "node:fs";
import { parseTrace } from "../export/trace-file.ts";
import type { Trace } from "../export/trace-file.ts";
import { Problem, systemWords } from "../live/problem.ts";

/** Reads a trace. Throws Problem where the file is none. */
export function readTrace(file: string): Trace {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw new Problem(`cannot read ${file}: ${systemWords(error)}`, "xenolith sim --help");
  }
  const trace = parseTrace(text);
  if (typeof trace === "string") throw new Problem(`${file}: ${trace}`, "xenolith sim --help");
  return trace;
}
