// SPDX-License-Identifier: Apache-2.0
//
// What is wrong with an xl.cfg, more exactly than xl says it: line, column, what
// was expected there, and the line itself.

import { bytesText } from "../core/daemons/files.ts";
import { parseCommandLine } from "../core/toolstack/xl/parse-command.ts";
import { appendExtraConfig } from "../core/toolstack/xlcfg/parse-domain-config.ts";
import { parseConfig } from "../core/toolstack/xlcfg/parser.ts";
import type { ReadFile } from "./named-files.ts";

/** The line a hint is about, and a caret below the place; tabs stay tabs so that the caret stands right. */
function excerpt(text: string, hint: string): string {
  const place = /:(\d+):(\d+): /.exec(hint);
  const line = text.split("\n")[Number(place?.[1]) - 1];
  if (place === null || line === undefined) return "";
  const before = line.slice(0, Number(place[2]) - 1).replaceAll(/[^\t]/g, " ");
  return `  ${line}\n  ${before}^\n`;
}

/**
 * A few lines about the configuration that a command line names, where it is not
 * one; "" where nothing is wrong with it, or none is named. Latin1 text.
 *
 * @param argv what stands after `xl`
 */
export function configHint(argv: readonly string[], read: ReadFile): string {
  const parsed = parseCommandLine(argv);
  if (parsed.kind === "exit") return "";
  const { command } = parsed;
  if (command.verb !== "create" && command.verb !== "config-update") return "";
  const { configFile, extraConfig } = command;
  const bytes = configFile === null ? null : read(configFile);
  if (configFile === null || bytes === null) return "";
  const text = appendExtraConfig(bytesText(bytes), extraConfig);
  const config = parseConfig(configFile, text);
  return config.ok ? "" : config.hint + excerpt(text, config.hint);
}
