// SPDX-License-Identifier: Apache-2.0
//
// What a live host under test has to say when a test waits in vain: its warnings,
// why it stopped, where its threads stand and what happened last.

import { threadCell, stackOf, taskState } from "../src/core/engine/thread.ts";
import type { TraceRecord } from "../src/core/engine/trace.ts";
import { forEachDomain } from "../src/core/hypervisor/domain.ts";
import type { LiveHost, LiveOptions } from "../src/live/live-host.ts";

/** How much of the last events is told: enough to see what did not follow, and to be read. */
const EVENTS = 60;
const EVENT_CHARACTERS = 200;

function eventLine({ at, by, kind, data }: TraceRecord): string {
  return `${(at / 1e6).toFixed(6)} ${by}: ${kind} ${JSON.stringify(data)}`.slice(0, EVENT_CHARACTERS);
}

/** Listens to one host from its start on. */
export class Told {
  /** What the host warned of, and why it stopped. */
  readonly warnings: string[] = [];
  /** For `LiveHost.start`. */
  readonly options: Pick<LiveOptions, "warn" | "crashed"> = {
    warn: (text) => void this.warnings.push(text),
    crashed: (problem) => {
      this.hasCrashed = true;
      this.warnings.push(`CRASHED ${problem.message}`);
    },
  };
  /** A host that has stopped by itself does nothing that could be waited for. */
  hasCrashed = false;
  #host: LiveHost | null = null;
  #events: TraceRecord[] = [];

  /** Hears what the host does; another one may take its place later. */
  listen(host: LiveHost): void {
    this.#host = host;
    this.hasCrashed = false;
    host.recorder.listen((event) => {
      this.#events.push(event);
      if (this.#events.length >= 2 * EVENTS) this.#events = this.#events.slice(-EVENTS);
    });
  }

  /** The host's warnings and last words. */
  words(): string {
    const events = this.#events.slice(-EVENTS).map(eventLine);
    return [
      ...section("the host warned", this.warnings),
      ...section("domains", this.#host === null ? [] : domainLines(this.#host)),
      ...section("threads that are under way", this.#host === null ? [] : threadLines(this.#host)),
      ...section("what happened last", events),
    ].join("\n");
  }
}

function section(title: string, lines: readonly string[]): string[] {
  return [`${title}: ${lines.length === 0 ? "nothing" : ""}`.trimEnd(), ...lines.map((line) => `  ${line}`)];
}

function domainLines({ world }: LiveHost): string[] {
  return [...forEachDomain(world)].map(
    ({ domid, isDying, controllerPauseCount: paused }) =>
      `d${domid} ${isDying}${paused > 0 ? `, paused ${paused} times` : ""}`,
  );
}

/** Those of guests, and who does something: what merely waits for work is of no interest. */
function threadLines({ world }: LiveHost): string[] {
  return world.ids(threadCell).flatMap((name) => {
    const thread = world.get(threadCell, name);
    if (thread === undefined || thread.exit !== null) return [];
    const state = taskState(world, thread);
    if (state === "S" && thread.deadline === null && !/^dom[1-9]/.test(String(name))) return [];
    const stack = stackOf(world, String(name)).map(({ routine, at }) => `${routine}: ${at}`);
    return [`${name} ${state} ${stack.join(" < ")}`];
  });
}

/** When a wait is given up. */
export interface Patience {
  readonly timeoutMs: number;
  readonly everyMs: number;
}

/**
 * Waits for what happens in the test's own process.
 *
 * @param told the hosts that it may hang on: what they have to say is part of the error
 */
export async function waitUntil(
  what: string,
  condition: () => boolean,
  told: Iterable<Told>,
  { timeoutMs, everyMs }: Patience,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!condition()) {
    const stopped = [...told].some(({ hasCrashed }) => hasCrashed);
    if (stopped || performance.now() > deadline)
      throw new Error([`it did not happen: ${what}`, ...[...told].map((one) => one.words())].join("\n"));
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}
