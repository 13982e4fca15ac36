// SPDX-License-Identifier: Apache-2.0
//
// Completion scripts for three shells, made from the command table.

import type { Command } from "./command.ts";
import { optionsOf } from "./command.ts";

/** The shells a script can be made for. */
export const SHELLS = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof SHELLS)[number];

/** What one option's value is completed with. */
function valueWords({ among }: { among?: readonly string[] }): string | null {
  return among === undefined ? null : among.join(" ");
}

function bashCase(command: Command): string {
  const flags = optionsOf(command).map(({ name }) => `--${name}`);
  return `    ${command.name}) words="${[...(command.verbs ?? []), ...flags].join(" ")}" ;;`;
}

function bashValues(commands: readonly Command[]): string[] {
  const rows = commands.flatMap((command) =>
    optionsOf(command).flatMap((option): string[] => {
      const words = valueWords(option);
      if (words !== null)
        return [
          `    ${command.name}:--${option.name}) COMPREPLY=($(compgen -W "${words}" -- "$cur")); return ;;`,
        ];
      if (option.value === undefined) return [];
      return [`    ${command.name}:--${option.name}) COMPREPLY=($(compgen -f -- "$cur")); return ;;`];
    }),
  );
  return rows;
}

function bash(commands: readonly Command[]): string {
  const names = commands.map(({ name }) => name).join(" ");
  return [
    "# bash completion for xenolith; to use it: source <(xenolith completion bash)",
    "_xenolith() {",
    '  local cur="${COMP_WORDS[COMP_CWORD]}" prev="${COMP_WORDS[COMP_CWORD-1]}" words=""',
    '  if [ "$COMP_CWORD" -eq 1 ]; then',
    `    COMPREPLY=($(compgen -W "${names} --help --version" -- "$cur"))`,
    "    return",
    "  fi",
    '  case "${COMP_WORDS[1]}:$prev" in',
    ...bashValues(commands),
    "  esac",
    '  case "${COMP_WORDS[1]}" in',
    ...commands.map(bashCase),
    "  esac",
    '  COMPREPLY=($(compgen -W "$words" -- "$cur"))',
    '  if [[ "$cur" != -* ]]; then COMPREPLY+=($(compgen -f -- "$cur")); fi',
    "}",
    "complete -o filenames -F _xenolith xenolith xenolith.js",
    "",
  ].join("\n");
}

/** Text within single quotes of a zsh `_arguments` or `_describe` entry. */
function zshText(text: string): string {
  return text.replaceAll("'", "'\\''").replaceAll("[", "\\[").replaceAll("]", "\\]").replaceAll(":", "\\:");
}

function zshOption({ name, value, among, help }: ReturnType<typeof optionsOf>[number]): string {
  const action =
    value === undefined ? "" : `:${value}:${among === undefined ? "_files" : `(${among.join(" ")})`}`;
  return `'--${name}[${zshText(help)}]${action}'`;
}

function zshCase(command: Command): string {
  const verbs = command.verbs === undefined ? "" : ` '1:verb:(${command.verbs.join(" ")})'`;
  return `    ${command.name}) _arguments ${optionsOf(command).map(zshOption).join(" ")}${verbs} '*:file:_files' ;;`;
}

function zsh(commands: readonly Command[]): string {
  return [
    "#compdef xenolith xenolith.js",
    "# zsh completion for xenolith; to use it: source <(xenolith completion zsh)",
    "_xenolith() {",
    "  local -a commands=(",
    ...commands.map(({ name, summary }) => `    '${name}:${zshText(summary)}'`),
    "  )",
    "  if (( CURRENT == 2 )); then _describe command commands; return; fi",
    "  local verb=$words[2]",
    "  shift words; (( CURRENT-- ))",
    "  case $verb in",
    ...commands.map(zshCase),
    "  esac",
    "}",
    "compdef _xenolith xenolith xenolith.js",
    "",
  ].join("\n");
}

function fishText(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}

function fishRows(command: Command): string[] {
  const seen = `-n '__fish_seen_subcommand_from ${command.name}'`;
  const verbs =
    command.verbs === undefined
      ? []
      : [`complete -c xenolith ${seen} -a ${fishText(command.verbs.join(" "))}`];
  const options = optionsOf(command).map(({ name, short, value, among, help }) => {
    const letter = short === undefined ? "" : ` -s ${short}`;
    const words =
      value === undefined ? "" : ` -r${among === undefined ? "" : ` -f -a ${fishText(among.join(" "))}`}`;
    return `complete -c xenolith ${seen} -l ${name}${letter}${words} -d ${fishText(help)}`;
  });
  return [...verbs, ...options];
}

function fish(commands: readonly Command[]): string {
  return [
    "# fish completion for xenolith; to use it: xenolith completion fish | source",
    ...commands.map(
      ({ name, summary }) =>
        `complete -c xenolith -f -n __fish_use_subcommand -a ${name} -d ${fishText(summary)}`,
    ),
    ...commands.flatMap(fishRows),
    "",
  ].join("\n");
}

/** The script that teaches a shell the commands. */
export function completionScript(shell: Shell, commands: readonly Command[]): string {
  return { bash, zsh, fish }[shell](commands);
}
