// SPDX-License-Identifier: Apache-2.0
//
// xenolith fault: makes things go wrong on a live host, and right again.

import { faultsText } from "../../live/dom0.ts";
import type { FaultKindRow, FaultRow, Refused } from "../../live/dom0.ts";
import { Problem } from "../../live/problem.ts";
import type { Command, Invocation } from "../command.ts";
import { DIR_OPTION, printJson } from "../command.ts";
import { askHost, dirWords } from "../host.ts";

const VERBS = ["list", "inject", "clear"] as const;

function faultLine({ name, words, seconds }: FaultRow): string {
  return `${[name, ...words].join(" ")}  (for ${seconds.toFixed(1)} s)`;
}

function kindLines({ usage, about, words, example }: FaultKindRow): string[] {
  return [
    `  ${usage}`,
    `      ${about}`,
    ...words.map(
      ({ name, about: what, fallback }) =>
        `      ${name}: ${what}${fallback === null ? "" : ` (default: ${fallback})`}`,
    ),
    `      as in: xenolith fault inject ${example}`,
  ];
}

async function list(invocation: Invocation): Promise<number> {
  const { result } = await askHost(invocation, "fault-list");
  const { injected, kinds } = result as { injected: FaultRow[]; kinds: FaultKindRow[] };
  if (invocation.json) printJson({ injected, kinds });
  else {
    const now = injected.length === 0 ? ["None is injected."] : injected.map((row) => `  ${faultLine(row)}`);
    const text = ["Injected:", ...now, "", "Faults there are:", ...kinds.flatMap(kindLines)];
    process.stdout.write(`${text.join("\n")}\n`);
  }
  return 0;
}

async function change(invocation: Invocation, verb: string, words: readonly string[]): Promise<number> {
  const { result } = await askHost(invocation, `fault-${verb}`, words);
  const done = result as FaultRow | FaultRow[] | Refused;
  if ("refused" in done) throw new Problem(done.refused, `xenolith fault list${dirWords(invocation)}`);
  const rows = Array.isArray(done) ? done : [done];
  if (invocation.json) printJson(rows);
  else {
    const text = faultsText(verb === "inject" ? "injected" : "cleared", rows);
    process.stdout.write(`${text.join("\n")}\n`);
  }
  return 0;
}

export const command: Command = {
  name: "fault",
  summary: "make things go wrong on a live host, and right again",
  operands: "list|inject|clear [FAULT [WORD...]]",
  details:
    "`list` shows what is injected and every fault there is, with its words. `clear` without a fault clears all, with\n" +
    "only its name all of that kind. A host that is recorded replays its faults.",
  examples: [
    "xenolith fault list",
    "xenolith fault inject hold-packet vif1.0",
    "xenolith fault clear hold-packet vif1.0",
    "xenolith fault clear",
  ],
  options: [DIR_OPTION],
  words: [1, Infinity],
  verbs: VERBS,
  run: async (invocation) => {
    const [verb = "", ...words] = invocation.words;
    if (verb === "list") return list(invocation);
    if (verb === "inject" && words.length === 0)
      throw new Problem("which fault?", `xenolith fault list${dirWords(invocation)}`, 2);
    if (verb === "inject" || verb === "clear") return change(invocation, verb, words);
    throw new Problem(`list, inject or clear, not ${verb}`, null, 2);
  },
};
