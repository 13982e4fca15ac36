// SPDX-License-Identifier: Apache-2.0
//
// xenolith sim: one run of a scenario, as a seed decides.

import { TraceWriter } from "../../live/trace-writer.ts";
import type { Command, Invocation } from "../command.ts";
import { numberOf, printJson } from "../command.ts";
import { installMutant, readMutant } from "../mutant.ts";
import { version } from "../self.ts";

/** What is printed of a run; the same fields with --json. */
interface Report {
  scenario: string;
  seed: number;
  scheduler: string;
  steps: number;
  /** Virtual seconds since the host came up. */
  seconds: number;
  violation: { property: string; found: string; step: number } | null;
  /** The errno with which the script failed, or a broken invariant's words. */
  failed: string | null;
  unreached: string[];
  trace: string | null;
}

function text(report: Report): string {
  const { scenario, seed, scheduler, steps, seconds, violation, failed, unreached, trace } = report;
  const lines = [
    `${scenario}: ${steps} steps, ${seconds.toFixed(3)} s of virtual time (seed ${seed}, ${scheduler})`,
  ];
  if (violation !== null) {
    lines.push(`violated at step ${violation.step}: ${violation.property}`, `  ${violation.found}`);
  }
  if (failed !== null) lines.push(`failed: ${failed}`);
  if (unreached.length > 0) lines.push(`not seen in this run: ${unreached.join("; ")}`);
  if (trace !== null) lines.push(`trace: ${trace}`);
  return `${lines.join("\n")}\n`;
}

async function simulateOnce(
  invocation: Invocation,
  mutant: string | null,
): Promise<{ report: Report; stopped: boolean }> {
  const seed = numberOf(invocation, "seed", 1);
  // Loaded only now: a mutant changes what is loaded.
  const { loadScenario } = await import("../scenario-file.ts");
  const { simulate } = await import("../../explore/simulate.ts");
  const { fifo, random } = await import("../../core/engine/scheduler.ts");
  const { defaultMachine } = await import("../../core/hypervisor/machine.ts");
  const { scenario, reference } = await loadScenario(invocation.words[0] as string);
  const scheduler = invocation.values["scheduler"] === "fifo" ? "fifo" : "random";
  const file = invocation.values["trace"] ?? null;
  let stopped = false;
  const header = {
    schema: "xenolith-trace" as const,
    version: 1 as const,
    scenario: reference,
    seed,
    scheduler,
    mutant,
    host: null,
    xen: scenario.host?.machine?.version ?? defaultMachine.version,
    code: version(),
  } as const;
  const writer =
    file === null
      ? null
      : new TraceWriter(file, header, (why) => {
          stopped = true;
          process.stderr.write(`xenolith sim: ${why}\n`);
        });
  const report: Report = {
    scenario: scenario.name,
    seed,
    scheduler,
    steps: 0,
    seconds: 0,
    violation: null,
    failed: null,
    unreached: [],
    trace: file,
  };
  try {
    const { result } = simulate(scenario, {
      seed,
      scheduler: scheduler === "fifo" ? fifo : random,
      ...(writer === null
        ? {}
        : { sink: (event) => writer.write({ event }), onStep: (step) => writer.write({ step }) }),
    });
    const { steps, now, violation, failed, unreached } = result;
    Object.assign(report, { steps, seconds: now / 1e6, violation, failed, unreached });
  } catch (error) {
    report.failed = (error as Error).message;
  }
  writer?.close();
  return { report, stopped };
}

export const command: Command = {
  name: "sim",
  summary: "run a scenario once, as a seed decides",
  operands: "SCENARIO",
  details:
    "SCENARIO is the path of a TypeScript module, or the name of one in examples/. The same seed gives the same\n" +
    "run. Exit code 1 where a property does not hold, the script fails, or the trace could not be written.",
  examples: [
    "xenolith sim destroy-while-connecting --seed 7 --trace run.trace.jsonl",
    "xenolith sim ./my-scenario.ts --scheduler fifo",
  ],
  options: [
    { name: "seed", value: "N", help: "what decides who goes next (default: 1)" },
    {
      name: "scheduler",
      value: "S",
      among: ["random", "fifo"],
      help: "random: drawn from the seed; fifo: everybody in turn (default: random)",
    },
    { name: "trace", value: "OUT", help: "write the run into OUT, for replay and export" },
    { name: "mutant", value: "FILE", help: "change the program by a patch first" },
  ],
  words: [1, 1],
  run: async (invocation) => {
    const mutant = readMutant(invocation.values["mutant"]);
    if (mutant !== null) installMutant(mutant);
    const { report, stopped } = await simulateOnce(invocation, mutant);
    if (invocation.json) printJson(report);
    else process.stdout.write(text(report));
    return report.violation !== null || report.failed !== null || stopped ? 1 : 0;
  },
};
