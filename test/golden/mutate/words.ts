// SPDX-License-Identifier: Apache-2.0

import type { Recording } from "../recording.ts";
import { append, remove, removeAt, set, type Mutation } from "./damage.ts";

/** Lines of output that no exception leaves out, and exit codes. */
export function ofWords(recording: Recording): Mutation[] {
  const found: Mutation[] = [];
  for (const entry of recording.commands) {
    if (entry.kind === "note") continue;
    found.push({ what: `${entry.line}: exit code`, apply: () => set(entry, "exitCode", entry.exitCode + 1) });
    found.push({
      what: `${entry.line}: dropped`,
      apply: () => remove<Recording["commands"][number]>(recording.commands, [entry]),
    });
    found.push({ what: `${entry.line}: unexpected word`, apply: () => append(entry.stderr, "unexpected") });
    for (const lines of [entry.stdout, entry.stderr]) {
      lines.forEach((line, at) => {
        if (line.trim() === "" || /: (?:debug|detail): |^xencall:/.test(line)) return;
        found.push({
          what: `${entry.line}: "${line}" changed`,
          apply: () => set(lines, at, `${line.slice(0, 1)}x${line.slice(1)}`),
        });
        found.push({ what: `${entry.line}: "${line}" dropped`, apply: () => removeAt(lines, at) });
      });
    }
  }
  return found;
}
