// SPDX-License-Identifier: Apache-2.0

import type { Command, Note } from "../recording.ts";

/**
 * Parses `commands.log`. A long stderr is kept beside it in a file of its own;
 * `readFile` returns that file's text.
 */
export function parseCommands(text: string, readFile: (name: string) => string): (Command | Note)[] {
  const entries: (Command | Note)[] = [];
  let current: Command | null = null;
  for (const line of lines(text)) {
    const started = /^\+ ([\d.]+) \$ (.*)$/.exec(line);
    const ended = /^- ([\d.]+) rc=(\d+) /.exec(line);
    const note = /^# ([\d.]+) (.*)$/.exec(line);
    const said = /^ {2}(out|err)\| (.*)$/s.exec(line);
    if (started) {
      current = {
        kind: "command",
        start: Number(started[1]),
        end: 0,
        line: started[2]!,
        stdout: [],
        stderr: [],
        exitCode: -1,
      };
      entries.push(current);
    } else if (ended && current) {
      current.end = Number(ended[1]);
      current.exitCode = Number(ended[2]);
      current = null;
    } else if (said && current) {
      const elsewhere = said[1] === "err" ? /^\(\d+ lines in (.*)\)$/.exec(said[2]!) : null;
      if (elsewhere) current.stderr.push(...lines(readFile(elsewhere[1]!)));
      else (said[1] === "out" ? current.stdout : current.stderr).push(said[2]!);
    } else if (note) {
      entries.push({ kind: "note", start: Number(note[1]), text: note[2]! });
    }
  }
  return entries;
}

/** Lines of a text without the empty one after the last newline. */
export function lines(text: string): string[] {
  const all = text.split("\n");
  if (all.at(-1) === "") all.pop();
  return all;
}
