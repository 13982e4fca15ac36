// SPDX-License-Identifier: Apache-2.0
//
// What a run reached, whoever ran it: steps of routines, functions of the core,
// and the order of what happened to the domain.

import type { TraceEvents, TraceRecord } from "../../src/core/engine/trace.ts";
import type { StepRecord, World } from "../../src/core/engine/world.ts";

/** Who took a step or made a call, by the part it plays: `dom0/xl.2/destroy-1` and `d0/xl.41` are `xl`. */
function partOf(thread: string): string {
  const [, domain, who = ""] = /^d(?:om)?(\d+)\/([a-z]+)/.exec(thread) ?? [];
  return domain === undefined
    ? thread.replaceAll(/\/\d+/g, "")
    : domain === "0"
      ? who
      : `dom${domain} ${who}`;
}

/** One run, as it is heard. */
export class Observed {
  /** `part: routine: step`. */
  readonly steps = new Set<string>();
  /** `part: hypercall`, of calls that change state. */
  readonly calls = new Set<string>();
  /** What became of the domain, in order. */
  readonly order: string[] = [];
  /** Watches that were set and have not had the event every new watch gets, as `who path`. */
  readonly #fresh = new Set<string>();

  /** Listens to a world from here on, beside whoever does already. */
  listen(world: World): void {
    const { sink, onStep } = world;
    world.sink = (event) => {
      this.#hear(event);
      sink?.(event);
    };
    world.onStep = (step) => {
      this.#see(step);
      onStep?.(step);
    };
  }

  #see({ action, routine, name }: StepRecord): void {
    if (!("thread" in action) || action.thread === "operator") return;
    this.steps.add(`${partOf(action.thread)}: ${routine}: ${name}`);
  }

  #hear({ kind, data }: TraceRecord): void {
    if (kind === "hypercall") {
      this.calls.add(`${partOf(data.caller)}: ${data.op}`);
      if (/^domctl (un)?pausedomain$/.test(data.op)) this.order.push(data.op);
    } else if (kind === "domain") this.order.push(data.state);
    else if (kind === "virq") this.order.push(`VIRQ_DOM_EXC, ${data.why}`);
    else if (kind === "xenstore") this.#hearStore(data);
  }

  #hearStore({ who, op, body, dir }: TraceEvents["xenstore"]): void {
    const path = body.split("\0")[0] as string;
    if (dir === "in" && op === "INTRODUCE") this.order.push(op);
    if (!path.startsWith("@")) return;
    if (dir === "in" && op === "WATCH") this.#fresh.add(`${who} ${path}`);
    if (op !== "WATCH_EVENT" || this.#fresh.delete(`${who} ${path}`)) return;
    // Everybody who watches gets one: one is enough.
    if (this.order.at(-1) !== path) this.order.push(path);
  }
}
