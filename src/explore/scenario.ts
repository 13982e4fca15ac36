// SPDX-License-Identifier: Apache-2.0
//
// What can be simulated, explored and replayed: a host, what happens on it, and
// what must hold. A scenario is a TypeScript module whose default export is one.

import type { Host } from "../core/engine/host.ts";
import type { Node, Vocabulary } from "../core/engine/routine.ts";
import { routine } from "../core/engine/routine.ts";
import type { Routine } from "../core/engine/routine.ts";
import type { HostConfig } from "../core/host.ts";
import type { Properties } from "./property.ts";

/** Locals of a scenario's script: what it keeps between its steps, by name. */
export interface ScriptLocals {
  [name: string]: string | number | boolean;
}

/** What a scenario says of itself. */
export interface ScenarioOptions extends Properties {
  /** Its name in reports and traces: words with dashes. */
  name: string;
  /** What it shows, in a sentence. */
  about: string;
  /** The host it happens on, where it differs from the default one. */
  host?: Partial<HostConfig>;
  /** What is done first, in one order of events only: exploration begins after it. */
  before?: (words: Vocabulary<ScriptLocals>) => Node<ScriptLocals>[];
  /**
   * Whether everybody comes to rest between `before` and the script. Without it
   * the script begins at the very moment at which `before` ends. Default: yes.
   */
  settle?: boolean;
  /** Threads that exploration takes to react at once, to keep to what the scenario is about. Reports say so. */
  prompt?: readonly string[];
  /** What is done then: with the whole vocabulary, and the operator's words of `operator.ts`. */
  script: (words: Vocabulary<ScriptLocals>) => Node<ScriptLocals>[];
  /** One moment's changes before exploration: what to leave out to keep it small. */
  prepare?: (host: Host) => void;
}

/** A scenario, its scripts compiled. */
export interface Scenario extends ScenarioOptions {
  readonly beforeRoutine: Routine<ScriptLocals, void> | null;
  readonly scriptRoutine: Routine<ScriptLocals, void>;
}

/** Makes a scenario. Its name must be unique in the program. */
export function scenario(options: ScenarioOptions): Scenario {
  const locals = (given: ScriptLocals): ScriptLocals => ({ ...given });
  return {
    ...options,
    beforeRoutine:
      options.before === undefined ? null : routine(`${options.name} before`, locals, options.before),
    scriptRoutine: routine(options.name, locals, options.script),
  };
}
