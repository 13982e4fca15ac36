// SPDX-License-Identifier: Apache-2.0
//
// Typed look-ups in a configuration (tools/libs/util/libxlu_cfg.c), with the
// warnings xl gives when a value is of the wrong kind.

import { fail, isFailure, type Failure } from "../../engine/errno.ts";
import type { Config, Setting } from "./parser.ts";
import type { SpecReport } from "./nic-spec.ts";
import { strtol } from "./strtol.ts";
import type { ConfigList, ConfigValue } from "./syntax.ts";

/** A configuration being read; what xl would print gathers in `stderr`. */
export interface Reader extends SpecReport {
  config: Config;
}

/** A reader at the start of its work. */
export function createReader(config: Config): Reader {
  return { config, source: config.source, stderr: "" };
}

const here = (reader: Reader, setting: Setting): string => `${reader.source}:${setting.line}:`;

/** Whether a key is set, and to what. */
export function settingKind(reader: Reader, name: string): "missing" | "atom" | "list" {
  return reader.config.settings.get(name)?.value.kind ?? "missing";
}

function atom(reader: Reader, name: string, warn: boolean): { setting: Setting; text: string } | Failure {
  const setting = reader.config.settings.get(name);
  if (setting === undefined) return fail("ESRCH");
  if (setting.value.kind === "list") {
    if (warn) {
      const what = `parameter \`${name}' is a list but should be a single value`;
      reader.stderr += `${here(reader, setting)} warning: ${what}\n`;
    }
    return fail("EINVAL");
  }
  return { setting, text: setting.value.text };
}

/** The text of a single value; null when unset or a list (with a warning unless `quiet`). */
export function getString(reader: Reader, name: string, quiet = false): string | null {
  const found = atom(reader, name, !quiet);
  return isFailure(found) ? null : found.text;
}

/** A number: ESRCH when unset, EINVAL or ERANGE when it is none, with a warning unless `quiet`. */
export function getLong(reader: Reader, name: string, quiet = false): bigint | Failure {
  const found = atom(reader, name, !quiet);
  if (isFailure(found)) return found;
  const { setting, text } = found;
  const refuse = (errno: "EINVAL" | "ERANGE", what: string): Failure => {
    if (!quiet) reader.stderr += `${here(reader, setting)} warning: ${what}\n`;
    return fail(errno);
  };
  if (setting.operator === "+=")
    return refuse("EINVAL", `can't use += with numbers for parameter \`${name}'`);
  const { value, end, overflow } = strtol(text, 0);
  if (overflow) {
    return refuse(
      "ERANGE",
      `parameter \`${name}' could not be parsed as a number: Numerical result out of range`,
    );
  }
  if (end === 0 || end < text.length) return refuse("EINVAL", `parameter \`${name}' is not a valid number`);
  return value;
}

/** A number within bounds: as getLong, and EINVAL outside them. */
export function getBoundedLong(
  reader: Reader,
  name: string,
  min: bigint,
  max: bigint,
  quiet = false,
): bigint | Failure {
  const value = getLong(reader, name, quiet);
  if (isFailure(value) || (value >= min && value <= max)) return value;
  const setting = reader.config.settings.get(name);
  if (!quiet && setting !== undefined) {
    const bound = value < min ? `smaller than minimum bound '${min}'` : `greater than maximum bound '${max}'`;
    reader.stderr += `${here(reader, setting)} warning: value \`${value}' is ${bound}\n`;
  }
  return fail("EINVAL");
}

/** A boolean from a number; null when unset or no number. */
export function getDefbool(reader: Reader, name: string, quiet = false): boolean | null {
  const value = getLong(reader, name, quiet);
  return isFailure(value) ? null : value !== 0n;
}

/** A list; null when unset or a single value (with a warning unless `quiet`). */
export function getList(reader: Reader, name: string, quiet = false): ConfigList | null {
  const setting = reader.config.settings.get(name);
  if (setting === undefined) return null;
  if (setting.value.kind === "list") return setting.value;
  if (!quiet) {
    reader.stderr += `${here(reader, setting)} warning: parameter \`${name}' is a single value but should be a list\n`;
  }
  return null;
}

/** A list's items up to the first that is a list itself: where xl's loops end. */
export function leadingStrings(list: ConfigList): string[] {
  const strings: string[] = [];
  for (const value of list.values) {
    if (value.kind !== "atom") break;
    strings.push(value.text);
  }
  return strings;
}

/** A list's item as text; null for a list in its place or past the end. */
export function listItem(list: ConfigList, index: number): string | null {
  const value = list.values[index];
  return value?.kind === "atom" ? value.text : null;
}

/** Says that a value should have been a list. xl's scanner counts no columns: always 0. */
export function warnNotList(reader: Reader, value: ConfigValue): void {
  reader.stderr += `${reader.source}:${value.position.line}:0: warning: value is not a list\n`;
}
