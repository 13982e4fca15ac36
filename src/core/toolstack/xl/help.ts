// SPDX-License-Identifier: Apache-2.0
//
// What `xl help`, `xl help VERB` and `xl VERB --help` print (tools/xl/xl.c, help).

import { commandTable, type VerbEntry } from "./command-table.ts";
import { verbOptions, type VerbOption } from "./options.ts";

/** The verb that a word names: exactly, or as the beginning of just one. */
export function lookupVerb(word: string): VerbEntry | undefined {
  const exact = commandTable.find(({ verb }) => verb === word);
  if (exact !== undefined) return exact;
  const beginning = commandTable.filter(({ verb }) => verb.startsWith(word));
  return beginning.length === 1 ? beginning[0] : undefined;
}

/** The list of all verbs. */
export function helpAll(): string {
  const lines = commandTable.map(({ verb, description }) => {
    const name = ` ${verb.padEnd(19)} `;
    return verb.length > 19 ? `${name}\n ${" ".repeat(19)} ${description}\n` : `${name}${description}\n`;
  });
  return `Usage xl [-vfNtT] <subcommand> [args]\n\nxl full list of subcommands:\n\n${lines.join("")}`;
}

/** Help on a verb, on all of them for null or "help". */
export function help(word: string | null): string {
  if (word === null || word === "help") return helpAll();
  const entry = lookupVerb(word);
  if (entry === undefined) return `command "${word}" not implemented\n`;
  const { verb, flags, usage, description } = entry;
  const global = `-vtT${flags.includes("m") ? "f" : ""}${flags.includes("d") ? "N" : ""}`;
  return `Usage: xl [${global}] ${verb} ${usage}\n\n${description}.\n\n${helpOptions(verbOptions[verb] ?? [])}`;
}

/** Where the help of an option begins. */
const helpColumn = 24;

function helpOptions(options: readonly VerbOption[]): string {
  const shown = options.filter((option) => option.help.length > 0);
  if (shown.length === 0) return "";
  const lines = shown.map((option) => {
    const spelling = spell(option);
    const [first, ...more] = option.help.map((line, index) =>
      index === 0 ? line : " ".repeat(helpColumn) + line,
    );
    const gap =
      spelling.length < helpColumn ? spelling.padEnd(helpColumn) : `${spelling}\n${" ".repeat(helpColumn)}`;
    return [gap + first, ...more].join("\n");
  });
  return `Options:\n\n${lines.join("\n")}\n`;
}

/** "-f FILE, --defconfig=FILE". */
function spell({ letter, names = [], argument }: VerbOption): string {
  const short =
    letter === undefined ? [] : [argument === undefined ? `-${letter}` : `-${letter} ${argument}`];
  const long = names.map((name) => (argument === undefined ? `--${name}` : `--${name}=${argument}`));
  return [...short, ...long].join(", ");
}
