// SPDX-License-Identifier: Apache-2.0
//
// xenolith explore: every order of a scenario's steps.

import type { Bounds, Reduction, SearchResult } from "../../explore/bounds.ts";
import type { Scenario } from "../../explore/scenario.ts";
import type { Command, Invocation } from "../command.ts";
import { numberOf, printJson } from "../command.ts";
import type { ToldStep } from "../counterexample.ts";
import { usage } from "../../live/problem.ts";
import { installMutant, readMutant } from "../mutant.ts";

/** Enough for what ships; more is asked for. */
const STATES_MAX = 2_000_000;
/** How often it is said how far the search is: on a terminal, and in lines elsewhere. */
const PROGRESS_MS = 200;
const PROGRESS_LINE_MS = 10_000;

/** Reductions by the names they have on the command line. */
const REDUCTIONS: Readonly<Record<string, Reduction>> = {
  orders: "orders",
  servers: "servers first",
  off: "off",
};

function boundsOf(invocation: Invocation): Bounds & { statesMax: number } {
  const { depth, reduction, timers } = invocation.values;
  if (depth !== undefined && reduction === "orders")
    throw usage("--depth needs a search in order of depth: --reduction servers or off");
  return {
    ...(depth === undefined ? {} : { depthMax: numberOf(invocation, "depth", 0, 1) }),
    ...(reduction === undefined ? {} : { reduction: REDUCTIONS[reduction] as Reduction }),
    statesMax: numberOf(invocation, "states", STATES_MAX, 1),
    timers: (timers ?? "lazy") as "eager" | "lazy",
  };
}

/** How far it is: one line that is written over and over on a terminal, elsewhere a line now and then. */
function progressLine(): { show: (text: string) => void; clear: () => void } {
  const { isTTY } = process.stderr;
  const began = performance.now();
  let shownAt = isTTY ? -Infinity : began;
  return {
    show: (text) => {
      const now = performance.now();
      if (now - shownAt < (isTTY ? PROGRESS_MS : PROGRESS_LINE_MS)) return;
      shownAt = now;
      const line = `${Math.round((now - began) / 1000)} s: ${text}`;
      process.stderr.write(isTTY ? `\r${line}\u001b[K` : `${line}\n`);
    },
    clear: () => void (isTTY && process.stderr.write("\r\u001b[K")),
  };
}

function count(value: number): string {
  return String(value).replaceAll(/\B(?=(\d{3})+$)/g, " ");
}

function extent(result: SearchResult, bounds: Bounds & { statesMax: number }): string {
  if (result.violation !== null) return "stopped at the first violation";
  if (result.exhaustive) return "exhaustive within these bounds";
  const depth = bounds.depthMax === undefined ? "" : `--depth ${bounds.depthMax} or `;
  return `cut by ${depth}--states ${bounds.statesMax}`;
}

function text(
  scenario: Scenario,
  result: SearchResult,
  bounds: Bounds & { statesMax: number },
  steps: readonly ToldStep[],
): string {
  const { states, transitions, depth, ends, timers, reduction, prompt, unreached, violation } = result;
  const how = [`timers ${timers}`, `reduction ${reduction}`, ...prompt.map((thread) => `${thread} prompt`)];
  const lines = [
    `${scenario.name}: ${count(states)} states, ${count(transitions)} transitions, depth ${depth}, ${count(ends)} ends`,
    `${extent(result, bounds)} (${how.join(", ")})`,
  ];
  if (violation !== null) {
    const way = violation.shortest ? "A shortest way to it:" : "A way to it, perhaps not the shortest:";
    lines.push("", `violated: ${violation.property}`, `  ${violation.found}`, "", way);
    for (const { number, step, events } of steps) {
      lines.push(`${String(number).padStart(4)}. ${step}`, ...events.map((event) => `        ${event}`));
    }
  }
  if (unreached.length > 0) lines.push(`never seen: ${unreached.join("; ")}`);
  return `${lines.join("\n")}\n`;
}

async function run(invocation: Invocation): Promise<number> {
  const bounds = boundsOf(invocation);
  const mutant = readMutant(invocation.values["mutant"]);
  if (mutant !== null) installMutant(mutant);
  // Loaded only now: a mutant changes what is loaded.
  const { loadScenario } = await import("../scenario-file.ts");
  const { prepareWorld, startScript } = await import("../../explore/simulate.ts");
  const { search } = await import("../../explore/search.ts");
  const { tellSteps } = await import("../counterexample.ts");
  const { scenario } = await loadScenario(invocation.words[0] as string, "explore");
  const world = prepareWorld(scenario, 0, { undo: true, hash: true });
  startScript(world, scenario);
  const progress = progressLine();
  const prompt = scenario.prompt ?? [];
  const result = search(world, scenario, { ...bounds, prompt }, ({ states, depth, frontier }) =>
    progress.show(`depth ${depth}, ${count(states)} states, ${count(frontier)} to go on from`),
  );
  progress.clear();
  const told = result.violation === null ? null : tellSteps(scenario, result.violation.steps);
  if (invocation.json) printJson({ scenario: scenario.name, ...result, told: told?.steps ?? null });
  else if (told !== null && invocation.switches.has("mermaid")) process.stdout.write(told.mermaid);
  else process.stdout.write(text(scenario, result, bounds, told?.steps ?? []));
  return result.violation !== null || (result.exhaustive && result.unreached.length > 0) ? 1 : 0;
}

export const command: Command = {
  name: "explore",
  summary: "try every order of a scenario's steps",
  operands: "SCENARIO",
  details:
    "Tries every order of steps that can make a difference, and says whether the search was exhaustive or cut by a\n" +
    "bound. Two orders make none where neither of two steps touches what the other one writes: one of them is tried.\n" +
    "Exit code 1 where a property does not hold, with a way to it (a shortest one if that is found soon), or where an\n" +
    "exhaustive search never saw what the scenario says it is about.\n\n" +
    "A thousand states take a fifth of a second to a third, and 4 MB. Those of destroy-paused and create-paused are\n" +
    "seen in a second or two, of destroy-while-connecting in half a minute; others have more than anybody waits for,\n" +
    "and --states bounds them.",
  examples: [
    "xenolith explore destroy-paused",
    "xenolith explore destroy-paused --mutant test/mutants/lost-virq.patch --mermaid",
    "xenolith explore destroy-while-connecting",
    "xenolith explore two-domains --timers eager --states 100000",
    "xenolith explore destroy-paused --reduction servers",
  ],
  options: [
    {
      name: "depth",
      value: "N",
      help: "at most N steps from the beginning; not with orders (default: no bound)",
    },
    { name: "states", value: "N", help: `at most N states (default: ${STATES_MAX})` },
    {
      name: "reduction",
      value: "HOW",
      among: ["orders", "servers", "off"],
      help: "orders: leave out those that make no difference; servers: only let servers and steps nobody sees go first; off: try all (default: orders)",
    },
    {
      name: "timers",
      value: "WHEN",
      among: ["lazy", "eager"],
      help: "eager: a timer may fire at any time; lazy: when nothing else can happen (default: lazy)",
    },
    { name: "mutant", value: "FILE", help: "change the program by a patch first" },
    { name: "mermaid", help: "print a violation as a sequence diagram" },
  ],
  words: [1, 1],
  run,
};
