// SPDX-License-Identifier: Apache-2.0
//
// What a verb's command line gave, and how a builder refuses it.

import type { XlCommands, XlVerb } from "./command.ts";

/** Options and arguments of a verb's command line. */
export interface Arguments {
  /** A configuration file (and config-update's domain) given before the options. */
  readonly leading: readonly string[];
  /** What follows the options. */
  readonly args: readonly string[];
  has(key: string): boolean;
  count(key: string): number;
  last(key: string): string | null;
  all(key: string): string[];
  /** An argument that `required` guarantees. */
  arg(index: number): string;
  optional(index: number): string | null;
}

/** An end before anything was done. */
export interface Refusal {
  code: number;
  stdout: string;
  stderr: string;
  /** Whether xl looks the domain up, its first argument, before it refuses. */
  domainFirst?: true;
}

/** A command without its verb, or the end of it. */
export type Built<V extends XlVerb> = XlCommands[V] | { refused: Refusal };

/** Words on standard error and an exit code. */
export const refuse = (code: number, stderr: string): { refused: Refusal } => ({
  refused: { code, stdout: "", stderr },
});
