// SPDX-License-Identifier: Apache-2.0
//
// What carries a verb of xl out: a routine `xl VERB` of the process, whose result
// is the exit status. A failure that nobody caught is exit status 1, as in xl,
// where whoever fails has said why.

import { routine } from "../engine/routine.ts";
import type { Node, Vocabulary } from "../engine/routine.ts";
import type { GlobalOptions, XlCommands, XlVerb } from "./xl/command.ts";

/** What a verb's routine is called with. */
export interface VerbArgs<V extends XlVerb> {
  process: string;
  command: XlCommands[V];
  global: GlobalOptions;
}

/** What every verb keeps in its locals. */
export interface VerbLocals {
  process: string;
  /** Exit status. */
  status: number;
}

const modelled = new Map<string, string>();

/** Defines the routine of a verb, or of several that differ only by what they print or ask for. */
export function verb<V extends XlVerb, L extends VerbLocals>(
  name: V,
  locals: (args: VerbArgs<V>) => L,
  body: (words: Vocabulary<L>) => Node<L>[],
): void {
  const { name: made } = routine(`xl ${name}`, locals, body, (l) => l.status);
  modelled.set(name, made);
}

/** The routine of a verb, or undefined for one that is not modelled. */
export function routineOfVerb(name: XlVerb): string | undefined {
  return modelled.get(name);
}
