// SPDX-License-Identifier: Apache-2.0
//
// A way to a state, told step by step, and drawn.

import { actionText } from "../core/engine/scheduler.ts";
import type { TraceRecord } from "../core/engine/trace.ts";
import type { Action, StepRecord } from "../core/engine/world.ts";
import type { Scenario } from "../explore/scenario.ts";
import { prepareWorld, startScript } from "../explore/simulate.ts";
import { toMermaid } from "../export/mermaid.ts";
import { domainName } from "../live/domains.ts";
import { wordsOf } from "../live/words.ts";

/** One step of a way, in words. */
export interface ToldStep {
  number: number;
  /** Who took which step of which routine. */
  step: string;
  /** What happened in it, as far as there are words for it. */
  events: string[];
}

/** Takes the steps of a scenario again, and tells them; the last one may break an invariant. */
export function tellSteps(
  scenario: Scenario,
  actions: readonly Action[],
): { steps: ToldStep[]; mermaid: string } {
  const world = prepareWorld(scenario, 0, { undo: false, hash: false });
  startScript(world, scenario);
  const steps: ToldStep[] = [];
  const events: TraceRecord[] = [];
  world.onStep = ({ action, routine, name }: StepRecord) => {
    const where = routine === null ? "" : `  ${routine}: ${name}`;
    steps.push({ number: steps.length + 1, step: `${actionText(action)}${where}`, events: [] });
  };
  world.sink = (event) => {
    events.push(event);
    const words = wordsOf(event, (domid) => domainName(world, domid) ?? undefined);
    if (words !== null) steps.at(-1)?.events.push(words);
  };
  for (const [at, action] of actions.entries()) {
    try {
      world.perform(action);
    } catch (error) {
      if (at < actions.length - 1) throw error;
      steps.at(-1)?.events.push((error as Error).message);
    }
  }
  return { steps, mermaid: toMermaid(events) };
}
