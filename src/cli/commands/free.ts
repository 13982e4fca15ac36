// SPDX-License-Identifier: Apache-2.0
//
// xenolith free: the pages of a dead domain, where nobody uses them.

import type { FreeReport } from "../../live/free.ts";
import { Problem } from "../../live/problem.ts";
import type { Command, Invocation } from "../command.ts";
import { DIR_OPTION, printJson } from "../command.ts";
import { domidOf } from "../domid.ts";
import { askHost, dirWords } from "../host.ts";

/** A frame as debug key q prints it, with or without 0x. */
function frameOf(word: string): number {
  if (!/^(0x)?[0-9a-f]{1,13}$/i.test(word))
    throw new Problem(`a page is named by its machine frame in hexadecimal, not ${word}`, null, 2);
  return Number.parseInt(word.replace(/^0x/i, ""), 16);
}

async function run(invocation: Invocation): Promise<number> {
  const [first = "", second] = invocation.words;
  const domid = domidOf(first);
  const args = [String(domid), ...(second === undefined ? [] : [String(frameOf(second))])];
  const { result } = await askHost(invocation, "free", args);
  const report = result as FreeReport;
  if ("why" in report)
    throw new Problem(
      report.why,
      report.errno === "ESRCH" ? null : `xenolith doctor ${domid}${dirWords(invocation)}`,
    );
  if (invocation.json) printJson(report);
  else {
    if (report.pages.length === 0)
      process.stdout.write(`domain ${domid} has no pages left: something else keeps its structure\n`);
    for (const { mfn, list, caf, freed, why } of report.pages) {
      const page = `${list} 0x${mfn.toString(16)}`;
      if (freed) process.stdout.write(`${page}: freed (caf was ${caf})\n`);
      else process.stderr.write(`${page}: not freed: ${why}\n`);
    }
  }
  return report.pages.every(({ freed }) => freed) ? 0 : 1;
}

export const command: Command = {
  name: "free",
  summary: "free pages of a dead domain that nobody uses any more",
  operands: "DOMID [FRAME]",
  details:
    "What is left of a dead domain is in use: a process maps it, a backend has its grant. Freed by force it would be\n" +
    "another domain's while that one still reads and writes it, which is how dom0 crashed when it was tried in 2005.\n" +
    "Such pages are refused, with who holds them. Freed are those whose references were lost by a bug in counting\n" +
    "(`forget-put`, as a fault), all of the domain's or the one FRAME that debug key q names.",
  examples: ["xenolith free 3", "xenolith free 3 0x1f2c4"],
  options: [DIR_OPTION],
  words: [1, 2],
  run,
};
