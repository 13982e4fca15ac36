// SPDX-License-Identifier: Apache-2.0
//
// What the parts of the domain configuration's parser share.

import { isFailure } from "../../engine/errno.ts";
import type { HostCpus } from "./cpu-range.ts";
import type { DomainConfig } from "./domain-config.ts";
import {
  getDefbool,
  getList,
  getLong,
  getString,
  leadingStrings,
  settingKind,
  type Reader,
} from "./reader.ts";
import { int32, specParts } from "./strtol.ts";
import type { XlConf } from "./xl-conf.ts";

/** What parsing needs besides the text: the host, xl.conf, and values that must be new. */
export interface ParseEnvironment {
  host: HostCpus;
  conf: XlConf;
  /** The new domain's UUID where the configuration names none. */
  newUuid: string;
  /** 16 bytes for ms_vm_genid="generate". */
  newVmGenerationId: readonly number[];
  /** What PV and PVH guests boot that name no kernel. Without it they are refused, as xl refuses them. */
  defaultKernel?: string;
}

/** A parse under way: readers of keys, the environment and the configuration being made. */
export interface Parse extends Reader {
  environment: ParseEnvironment;
  domain: DomainConfig;
}

/** A part of the parser: xl's exit code where it gives up, undefined to go on. */
export type Section = (parse: Parse) => number | undefined;

/** Says why xl gives up, and its exit code. */
export function die(parse: Reader, message: string, code = 1): number {
  parse.stderr += message;
  return code;
}

/** libxl's ERROR_FAIL as an exit code: `exit(-ERROR_FAIL)`. */
export const exitErrorFail = 3;

/** Runs sections in order until one gives up. */
export function runSections(parse: Parse, sections: readonly Section[]): number | undefined {
  for (const section of sections) {
    const code = section(parse);
    if (code !== undefined) return code;
  }
  return undefined;
}

/** Copies a key's text where it is set (xlu_cfg_replace_string). */
export function takeString<K extends string>(
  parse: Reader,
  key: string,
  into: { [P in K]: string | null },
  field: K,
): void {
  const text = getString(parse, key);
  if (text !== null) into[field] = text;
}

/** Copies a key's truth where it is set (xlu_cfg_get_defbool). */
export function takeDefbool<K extends string>(
  parse: Reader,
  key: string,
  into: { [P in K]: boolean | null },
  field: K,
): void {
  const value = getDefbool(parse, key);
  if (value !== null) into[field] = value;
}

/** Copies a key's number, as the int C stores it in, where it is set. */
export function takeInt<K extends string>(
  parse: Reader,
  key: string,
  into: { [P in K]: number },
  field: K,
): void {
  const value = getLong(parse, key);
  if (!isFailure(value)) into[field] = int32(value);
}

/** Copies a key's number of MiB as KiB where it is set. */
export function takeMebibytes<K extends string>(
  parse: Reader,
  key: string,
  into: { [P in K]: number | null },
  field: K,
): void {
  const value = getLong(parse, key);
  if (!isFailure(value)) into[field] = Number(value) * 1024;
}

/**
 * Copies a list of strings where the key is one; tells what the key was
 * otherwise, without a warning.
 */
export function takeStringList<K extends string>(
  parse: Reader,
  key: string,
  into: { [P in K]: string[] },
  field: K,
): "missing" | "atom" | "list" {
  const list = getList(parse, key, true);
  if (list !== null) into[field] = leadingStrings(list);
  return settingKind(parse, key);
}

/** The specifications of a device list: every item's text with its comma-separated parts. */
export function deviceSpecs(parse: Reader, key: string): { spec: string; parts: string[] }[] {
  const list = getList(parse, key);
  return list === null ? [] : leadingStrings(list).map((spec) => ({ spec, parts: specParts(spec) }));
}
