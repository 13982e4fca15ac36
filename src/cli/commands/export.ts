// SPDX-License-Identifier: Apache-2.0
//
// xenolith export: a run as a picture, or for another program.

import { eventsOf } from "../../export/trace-file.ts";
import { toMermaid } from "../../export/mermaid.ts";
import { toPerfetto } from "../../export/perfetto.ts";
import { usage } from "../../live/problem.ts";
import type { Command, Invocation } from "../command.ts";
import { numberOf, printJson } from "../command.ts";
import { readTrace } from "../trace.ts";

const FORMATS = ["mermaid", "perfetto"] as const;

function pattern(text: string | undefined): RegExp | undefined {
  if (text === undefined) return undefined;
  try {
    return new RegExp(text);
  } catch {
    throw usage(`--matching takes a regular expression, not ${text}`);
  }
}

function mermaid(invocation: Invocation, events: ReturnType<typeof eventsOf>): string {
  const { values, switches } = invocation;
  const actors = values["actors"]?.split(",");
  const matching = pattern(values["matching"]);
  return toMermaid(events, {
    reads: switches.has("reads"),
    messagesMax: numberOf(invocation, "max", 400, 1),
    ...(actors === undefined ? {} : { actors }),
    ...(matching === undefined ? {} : { matching }),
  });
}

export const command: Command = {
  name: "export",
  summary: "turn a trace into a diagram, or into what other programs read",
  operands: "TRACE --as mermaid|perfetto",
  details:
    "mermaid: a sequence diagram of hypercalls, xenstore requests and watch events. perfetto: JSON for\n" +
    "https://ui.perfetto.dev, a track a thread. The result goes to standard output.",
  examples: [
    "xenolith export run.trace.jsonl --as mermaid --actors xl,Xen",
    "xenolith export run.trace.jsonl --as perfetto > run.json",
  ],
  options: [
    { name: "as", value: "FORMAT", among: FORMATS, help: "what to make of it" },
    { name: "reads", help: "mermaid: with requests that only read the store" },
    { name: "actors", value: "A,B", help: "mermaid: only messages between these" },
    { name: "matching", value: "REGEX", help: "mermaid: only messages whose text matches" },
    { name: "max", value: "N", help: "mermaid: at most N messages (default: 400)" },
  ],
  words: [1, 1],
  run: async (invocation) => {
    const format = invocation.values["as"];
    if (format === undefined) throw usage(`needs --as ${FORMATS.join(" or --as ")}`);
    const trace = readTrace(invocation.words[0] as string);
    const made = format === "mermaid" ? mermaid(invocation, eventsOf(trace)) : toPerfetto(trace);
    if (invocation.json && format === "mermaid") printJson({ mermaid: made });
    else process.stdout.write(made.endsWith("\n") ? made : `${made}\n`);
    return 0;
  },
};
