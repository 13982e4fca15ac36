// SPDX-License-Identifier: Apache-2.0
//
// getopt_long(3) as xl gets it: options come before arguments. xl reads its
// global options with "+", and glibc keeps that order for the verbs' options.

import type { VerbOption } from "./options.ts";

/** An option that was found: its letter or first long name, and its argument. */
export interface FoundOption {
  key: string;
  argument: string | null;
}

/** What stands at one place of a command line. */
export type GetoptStep =
  | { kind: "option"; option: FoundOption; next: number; cluster: number }
  /** An option xl does not know, or one without its argument; `letter` is getopt's optopt. */
  | { kind: "error"; letter: string }
  | { kind: "end"; next: number };

const keyOf = (option: VerbOption): string => option.letter ?? option.names?.[0] ?? "";

/**
 * The option at `index` of `argv`, `cluster` letters into the word when several
 * are written together.
 */
export function getoptStep(
  argv: readonly string[],
  index: number,
  cluster: number,
  options: readonly VerbOption[],
): GetoptStep {
  const word = argv[index];
  if (cluster === 0) {
    if (word === undefined || word === "-" || !word.startsWith("-")) return { kind: "end", next: index };
    if (word === "--") return { kind: "end", next: index + 1 };
    if (word.startsWith("--")) return longOption(argv, index, options);
  }
  return shortOption(argv, index, Math.max(cluster, 1), options);
}

function shortOption(
  argv: readonly string[],
  index: number,
  at: number,
  options: readonly VerbOption[],
): GetoptStep {
  const word = argv[index] as string;
  const letter = word[at] as string;
  const option = options.find((candidate) => candidate.letter === letter);
  if (option === undefined || letter === ":" || letter === ";") return { kind: "error", letter };
  const found = (argument: string | null, next: number, cluster: number): GetoptStep => ({
    kind: "option",
    option: { key: keyOf(option), argument },
    next,
    cluster,
  });
  const isLast = at + 1 === word.length;
  if (option.argument === undefined) return isLast ? found(null, index + 1, 0) : found(null, index, at + 1);
  if (!isLast) return found(word.slice(at + 1), index + 1, 0);
  const argument = argv[index + 1];
  return argument === undefined ? { kind: "error", letter } : found(argument, index + 2, 0);
}

/** C prints getopt's optopt 0 as a NUL character. */
const noLetter = "\0";

function longOption(argv: readonly string[], index: number, options: readonly VerbOption[]): GetoptStep {
  const [, name, value] = /^--([^=]*)(?:=(.*))?$/s.exec(argv[index] as string) as unknown as [
    string,
    string,
    string?,
  ];
  const spellings = options.flatMap((option) =>
    (option.names ?? []).map((spelling) => ({ option, spelling })),
  );
  const exact = spellings.find(({ spelling }) => spelling === name);
  const beginning = spellings.filter(({ spelling }) => spelling.startsWith(name));
  // A beginning will do when all that begin so are the same option.
  const chosen =
    exact ?? (new Set(beginning.map(({ option }) => option)).size === 1 ? beginning[0] : undefined);
  if (chosen === undefined) return { kind: "error", letter: noLetter };
  const { option } = chosen;
  const letter = option.letter ?? noLetter;
  const takesArgument = option.argument !== undefined;
  if (!takesArgument && value !== undefined) return { kind: "error", letter };
  const separate = takesArgument && value === undefined;
  const argument = separate ? argv[index + 1] : value;
  if (separate && argument === undefined) return { kind: "error", letter };
  const next = index + (separate ? 2 : 1);
  return { kind: "option", option: { key: keyOf(option), argument: argument ?? null }, next, cluster: 0 };
}
