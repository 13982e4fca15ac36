// SPDX-License-Identifier: Apache-2.0
//
// The reference page of the commands, made from the command table.

import type { Command } from "./command.ts";
import { optionsOf, optionText, usageLine } from "./command.ts";

function cell(text: string): string {
  return text.replaceAll("|", "\\|");
}

function section(command: Command): string[] {
  return [
    `## ${command.name}`,
    "",
    "```",
    usageLine(command),
    "```",
    "",
    `${command.summary[0]?.toUpperCase()}${command.summary.slice(1)}.`,
    "",
    ...(command.details === undefined ? [] : [command.details, ""]),
    "| option | does |",
    "|---|---|",
    ...optionsOf(command).map((option) => `| \`${cell(optionText(option))}\` | ${cell(option.help)} |`),
    "",
    "```sh",
    ...command.examples,
    "```",
    "",
  ];
}

/** The page as Markdown. */
export function commandReference(commands: readonly Command[]): string {
  return [
    "# Commands",
    "",
    "<!-- Generated from src/cli/commands. To write it anew:",
    "     node scripts/run.js node_modules/vitest/vitest.mjs run src/cli/reference -u -->",
    "",
    "`xenolith` is `bin/xenolith.js`; it works from any folder. A live host is found by `--dir`, then `$XENOLITH_DIR`,",
    "then a directory private to the user. Exit codes: 0 ok, 1 the thing asked about is bad, 2 the command line is;",
    "`xl` has xl's own, `run` those of what it runs. With `--json` a failure is an object with `error` and `next`.",
    "",
    "| command | does |",
    "|---|---|",
    ...commands.map(({ name, summary }) => `| [\`${name}\`](#${name}) | ${cell(summary)} |`),
    "",
    ...commands.flatMap(section),
  ]
    .join("\n")
    .trimEnd()
    .concat("\n");
}
