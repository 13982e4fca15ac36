// SPDX-License-Identifier: Apache-2.0
//
// xenolith doctor: who holds a domain that will not die.

import { existsSync, readFileSync } from "node:fs";
import type { Diagnosis } from "../../doctor/diagnosis.ts";
import { words } from "../../doctor/words.ts";
import { Problem, systemWords } from "../../live/problem.ts";
import type { Command, Invocation } from "../command.ts";
import { DIR_OPTION, numberOf, printJson } from "../command.ts";
import { domidOf } from "../domid.ts";
import { askHost, dirWords } from "../host.ts";
import { replayTrace } from "../replay-trace.ts";
import { callable } from "../self.ts";

/** Diagnoses of the recorded run's host, where it stood behind that step. */
async function ofTrace(file: string, until: number, domid: number | null): Promise<Diagnosis[]> {
  const { world, result } = await replayTrace(file, until);
  if (result.difference !== null) {
    throw new Problem(
      `${file} does not run again the same way: it differs at step ${result.difference.step}`,
      `xenolith replay ${file}`,
    );
  }
  const { diagnose, dyingDomains } = await import("../../doctor/diagnose.ts");
  return (domid === null ? dyingDomains(world) : [domid]).map((id) => ({
    ...diagnose(world, id),
    // What is over cannot be mended: commands are for a host that lives.
    next: [`xenolith replay ${file} --at ${world.counters.step}`],
  }));
}

async function ofHost(invocation: Invocation, domid: number | null): Promise<Diagnosis[]> {
  const { result } = await askHost(invocation, "doctor", domid === null ? [] : [String(domid)]);
  const dir = dirWords(invocation);
  return (result as Diagnosis[]).map((found) => ({
    ...found,
    holders: found.holders.map((holder) => ({
      ...holder,
      release: holder.release === null ? null : onHost(holder.release, dir),
    })),
    next: found.next.map((command) => onHost(command, dir)),
  }));
}

/** A command of ours as it is typed for that host. */
function onHost(command: string, dir: string): string {
  return command.replace(/^xenolith [a-z]+/, (ours) => ours + dir);
}

/** The first word may be a domid; the others are files with captured text, `-` for standard input. */
function operands(words: readonly string[]): { domid: number | null; files: readonly string[] } {
  const [first = "", ...others] = words;
  if (/^\d+$/.test(first) && !existsSync(first)) return { domid: domidOf(first), files: others };
  // What looks like a path was meant as a file, which textOf says more about.
  if (words.length === 1 && /^[^-./]+$/.test(first) && !existsSync(first)) domidOf(first);
  return { domid: null, files: words };
}

async function ofText(files: readonly string[], domid: number | null): Promise<Diagnosis[]> {
  const { readText, saysAnything } = await import("../../doctor/text/evidence.ts");
  const { diagnoseText, dyingInText } = await import("../../doctor/text/diagnose-text.ts");
  const evidence = readText(files.map(textOf).join("\n"));
  if (!saysAnything(evidence)) {
    throw new Problem(
      `nothing in ${files.join(", ")} is output of debug keys, xl list, ps, a kernel stack or ethtool -S`,
      "xl debug-keys q; xl debug-keys g; xl dmesg | xenolith doctor -",
    );
  }
  return (domid === null ? dyingInText(evidence) : [domid]).map((id) => diagnoseText(evidence, id));
}

function textOf(file: string): string {
  try {
    const bytes = readFileSync(file === "-" ? 0 : file);
    // What PowerShell redirects into a file is UTF-16.
    return bytes[0] === 0xff && bytes[1] === 0xfe ? bytes.toString("utf16le", 2) : bytes.toString("utf8");
  } catch (error) {
    throw new Problem(`cannot read ${file}: ${systemWords(error)}`, "xenolith doctor --help");
  }
}

async function examine(
  invocation: Invocation,
  domid: number | null,
  files: readonly string[],
): Promise<Diagnosis[]> {
  const trace = invocation.values["trace"];
  if (trace === undefined && invocation.values["at"] !== undefined)
    throw new Problem("--at names a step of a trace", null, 2);
  if (trace !== undefined && files.length > 0)
    throw new Problem("--trace is a recorded run, files are captured text: give one of them", null, 2);
  if (files.length > 0) return ofText(files, domid);
  return trace === undefined
    ? ofHost(invocation, domid)
    : ofTrace(trace, numberOf(invocation, "at", Infinity, 1), domid);
}

async function run(invocation: Invocation): Promise<number> {
  const { domid, files } = operands(invocation.words);
  const found = await examine(invocation, domid, files);
  if (invocation.json) printJson(domid === null ? found : found[0]);
  else if (found.length === 0) process.stdout.write("No domain is dead or dying.\n");
  else process.stdout.write(callable(`${found.map((one) => words(one).join("\n")).join("\n\n")}\n`));
  return found.some(({ stage }) => stage === "zombie" || stage === "never used" || stage === "unknown")
    ? 1
    : 0;
}

export const command: Command = {
  name: "doctor",
  summary: "who holds a domain that will not die, and what to do about it",
  operands: "[DOMID] [FILE...]",
  details:
    "Reads the ledgers of a host's references and what its threads wait for: who holds the domain, by what, since\n" +
    "when, through what chain, who else is stalled by the same cause, and what to type next. Explains each letter of\n" +
    "the domain's state. Without a DOMID: every domain that is dead or dying. With files: text captured on a real host\n" +
    "(debug keys q and g from xl dmesg, xl list, ps, /proc/PID/stack, ethtool -S; - is standard input); what the text\n" +
    "does not say is listed, and never taken for none. Exit code 1 for a zombie, and for a number nobody has had.",
  examples: [
    "xenolith doctor 2",
    "xenolith doctor --json",
    "xl debug-keys q; xl debug-keys g; xl dmesg | xenolith doctor -",
    "xenolith doctor 1 --trace run.trace.jsonl --at 900",
  ],
  options: [
    DIR_OPTION,
    { name: "trace", value: "FILE", help: "look at the host of a recorded run instead of a live one" },
    { name: "at", value: "N", help: "with --trace: as it was behind step N (default: at the end)" },
  ],
  words: [0, Infinity],
  run,
};
