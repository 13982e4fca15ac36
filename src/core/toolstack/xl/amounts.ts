// SPDX-License-Identifier: Apache-2.0
//
// Arguments that xl reads only once it has found the domain: amounts of memory,
// numbers of vCPUs, triggers (tools/xl/xl_parse.c, xl_vcpu.c, xl_misc.c).

import { enumFromString, int32, strtol, strtoul } from "../xlcfg/strtol.ts";

/** Powers of 1024 from a KiB, by the unit's letter. Without one MiB are meant. */
const memoryUnits: Readonly<Record<string, bigint>> = { t: 30n, g: 20n, "": 10n, m: 10n, k: 0n };

/** "64", "64m", "2g", … in KiB; null when it is no amount (parse_mem_size_kb). */
export function parseMemSizeKb(text: string): number | null {
  const { value, end } = strtol(text, 10);
  const unit = text.slice(end).toLowerCase();
  if (unit === "b") return Number(value >> 10n);
  const shift = Object.hasOwn(memoryUnits, unit) ? memoryUnits[unit] : undefined;
  return shift === undefined ? null : Number(BigInt.asIntN(64, value << shift));
}

/** How many vCPUs `xl vcpu-set` wants; null when it is no number. */
export function parseVcpuCount(text: string): number | null {
  const { value, end } = strtoul(text, 10);
  return end === 0 || value > 2n ** 31n - 1n ? null : Number(value);
}

/** The vCPU of `xl trigger`; null when it is no number, and xl takes 0. */
export function parseTriggerVcpu(text: string): number | null {
  const { value, end } = strtol(text, 10);
  return end === 0 ? null : int32(value);
}

/** libxl_trigger. */
export const triggers = ["unknown", "power", "sleep", "nmi", "init", "reset", "s3resume"] as const;

/** A trigger by name, in any case; undefined when there is none. */
export const parseTrigger = (text: string): (typeof triggers)[number] | undefined =>
  enumFromString(triggers, text);
