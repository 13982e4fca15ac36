// SPDX-License-Identifier: Apache-2.0
//
// What carries a verb of xl out: a routine `xl VERB` of the process, whose result
// is the exit status. A failure that nobody caught is exit status 1, as in xl,
// where whoever fails has said why.

import { routine } from "../engine/routine.ts";
import type { Node, Routine, Vocabulary } from "../engine/routine.ts";
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

/** The routine of a verb: its result is the exit status. */
export function verb<V extends XlVerb, L extends VerbLocals>(
  name: V,
  locals: (args: VerbArgs<V>) => L,
  body: (words: Vocabulary<L>) => Node<L>[],
): Routine<VerbArgs<V>, number> {
  return routine(`xl ${name}`, locals, body, (l) => l.status);
}
