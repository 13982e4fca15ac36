// SPDX-License-Identifier: Apache-2.0
//
// xenolith conformance: does a xenstored answer as it should?

import { existsSync } from "node:fs";
import { join } from "node:path";
import { XENSTORE_VERSIONS } from "../../core/xenstore/version.ts";
import type { Profile } from "../../live/conformance/case.ts";
import { CASES } from "../../live/conformance/cases/index.ts";
import { playCases, reach, type Result } from "../../live/conformance/run.ts";
import type { Target } from "../../live/conformance/tester.ts";
import { Problem, systemWords, usage } from "../../live/problem.ts";
import type { Command, Invocation } from "../command.ts";
import { printJson } from "../command.ts";
import { callable } from "../self.ts";

/** How much of a long line or answer is printed. */
const CUT_CHARS = 160;

const words = { passed: "ok", failed: "FAILED", skipped: "skipped" } as const;

function cut(text: string): string {
  const line = text.replaceAll("\n", "\\n");
  return line.length <= CUT_CHARS ? line : `${line.slice(0, CUT_CHARS)}...`;
}

/** A case's outcome, and for a failure what was asked, answered, and right. */
function report({ name, about, advisory, outcome, answered }: Result): string {
  const lines = [
    `${words[outcome].padEnd(7)} ${name}${advisory === undefined ? "" : ` (${advisory})`}: ${about}`,
  ];
  const last = answered.at(-1);
  if (outcome === "failed" && last !== undefined) {
    lines.push(`        asked     ${cut(last.line)}`, `        answered  ${cut(last.answer)}`);
    lines.push(`        right     ${cut(last.wrong ?? "")}`);
  }
  return lines.join("\n");
}

function count(results: readonly Result[], outcome: Result["outcome"]): number {
  return results.filter((result) => result.outcome === outcome).length;
}

function selected(pattern: string | undefined): typeof CASES {
  if (pattern === undefined) return CASES;
  const found = CASES.filter(
    ({ name, advisory = "" }) => name.includes(pattern) || advisory.toLowerCase() === pattern.toLowerCase(),
  );
  if (found.length === 0) throw usage(`no case has ${pattern} in its name`);
  return found;
}

async function run({ values, switches, json }: Invocation): Promise<number> {
  const cases = selected(values["only"]);
  if (switches.has("list")) {
    if (json) printJson(cases.map(({ name, about, advisory }) => ({ name, about, advisory })));
    else for (const { name, about } of cases) process.stdout.write(`${name}: ${about}\n`);
    return 0;
  }
  const { socket } = values;
  if (socket === undefined) throw usage("needs --socket PATH");
  const profile = (values["as"] ?? "4.17") as Profile;
  const target: Target = { socketPath: socket, domains: values["domains"], profile };
  const results = await play(cases, target, json);
  const [passed, failed, skipped] = [
    count(results, "passed"),
    count(results, "failed"),
    count(results, "skipped"),
  ];
  if (json) printJson({ socket, as: profile, passed, failed, skipped, cases: results });
  else {
    process.stdout.write(`${passed} passed, ${failed} failed, ${skipped} skipped, as xenstored ${profile}\n`);
    if (skipped > 0 && target.domains === undefined)
      process.stdout.write(
        callable("Cases with domains need --domains DIR: see xenolith conformance --help\n"),
      );
  }
  return failed === 0 ? 0 : 1;
}

async function play(cases: typeof CASES, target: Target, json: boolean): Promise<Result[]> {
  await check(target);
  return playCases(cases, target, (result) => {
    if (!json) process.stdout.write(`${report(result)}\n`);
  });
}

/** Throws Problem where there is no xenstored, or none that has its domains there. */
async function check(target: Target): Promise<void> {
  const { socketPath, domains } = target;
  try {
    if (!(await reach(target)))
      throw new Problem(`what answers at ${socketPath} is no xenstored`, "xenolith status");
  } catch (error) {
    if (error instanceof Problem) throw error;
    throw new Problem(
      `nobody answers at ${socketPath} (${systemWords(error)})`,
      `xenolith xenstored --socket ${socketPath}`,
    );
  }
  if (domains !== undefined && !existsSync(join(domains, "evtchn")))
    throw new Problem(
      `no xenstored has its domains in ${domains}`,
      `xenolith xenstored --socket PATH --domains ${domains}`,
    );
}

export const command: Command = {
  name: "conformance",
  summary: "play the protocol and advisory suite to any xenstored",
  operands: "--socket PATH",
  details:
    "Each case uses a node of its own and takes it away again. Those with domains also need the folder\n" +
    "in which a xenstored without Xen has its domains as files (xenolith xenstored --domains DIR).\n" +
    "Exit code 1 means that a case failed.",
  examples: [
    "xenolith conformance --socket /run/xenstored/socket",
    "xenolith conformance --socket /tmp/xenstored.sock --domains /tmp/domains --as 4.23",
    "xenolith conformance --socket /tmp/xenstored.sock --only XSA-115",
  ],
  options: [
    { name: "socket", value: "PATH", help: "the xenstored's socket" },
    { name: "domains", value: "DIR", help: "the folder of its domains" },
    {
      name: "as",
      value: "V",
      among: XENSTORE_VERSIONS,
      help: "whose answers are right where xenstoreds differ (default: 4.17)",
    },
    { name: "only", value: "TEXT", help: "cases with this in their name, or of this advisory" },
    { name: "list", help: "say which cases there are, and ask nobody" },
  ],
  run,
};
