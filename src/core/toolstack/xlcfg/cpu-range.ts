// SPDX-License-Identifier: Apache-2.0
//
// Sets of CPUs as users write them: "0-3,^1", "node:0", "all"
// (tools/xl/xl_parse.c, parse_cpurange).

import type { SpecReport } from "./nic-spec.ts";
import { strtoul } from "./strtol.ts";

/** What the host's CPUs look like. */
export interface HostCpus {
  /** How many CPUs there can be (libxl_get_max_cpus). */
  maxCpus: number;
  /** How many are online. */
  onlineCpus: number;
  /** The CPUs of each NUMA node. */
  nodes: readonly (readonly number[])[];
}

/** A bitmap of libxl, with room for a number of CPUs rounded up to whole bytes. */
export interface CpuBitmap {
  bits: Set<number>;
  size: number;
}

/** An empty bitmap with room for `cpus` CPUs; 0 means as many as the host can have. */
export function allocCpuBitmap(host: HostCpus, cpus = 0): CpuBitmap {
  return { bits: new Set(), size: Math.ceil((cpus || host.maxCpus) / 8) * 8 };
}

/** The set bits in rising order. */
export const cpuBitmapBits = (bitmap: CpuBitmap): number[] => [...bitmap.bits].sort((a, b) => a - b);

function setBit(bitmap: CpuBitmap, cpu: number): void {
  if (cpu < bitmap.size) bitmap.bits.add(cpu);
}

/** Adds and removes what `text` says; false when xl refuses it. */
export function parseCpuRange(report: SpecReport, host: HostCpus, text: string, bitmap: CpuBitmap): boolean {
  return text
    .split(",")
    .filter((part) => part !== "")
    .every((part) => updateRange(report, host, part, bitmap));
}

/** "3" or "3-5"; null when it is neither. */
export function parseRange(text: string): { first: number; last: number } | null {
  const first = strtoul(text, 10);
  if (first.end === 0) return null;
  let last = first.value;
  let rest = text.slice(first.end);
  if (rest.startsWith("-")) {
    const parsed = strtoul(rest.slice(1), 10);
    if (parsed.end === 0 || parsed.value < first.value) return null;
    last = parsed.value;
    rest = rest.slice(1 + parsed.end);
  }
  return rest === "" ? { first: Number(first.value), last: Number(last) } : null;
}

function updateRange(report: SpecReport, host: HostCpus, part: string, bitmap: CpuBitmap): boolean {
  const remove = part.startsWith("^");
  let rest = remove ? part.slice(1) : part;
  const nodes = /^nodes?:/.exec(rest);
  if (nodes !== null) rest = rest.slice(nodes[0].length);
  if (rest === "all") {
    if (remove) {
      report.stderr += `Can't combine "^" and "all".\n`;
      return false;
    }
    for (let cpu = 0; cpu < bitmap.size; cpu++) bitmap.bits.add(cpu);
    return true;
  }
  const range = parseRange(rest);
  if (range === null) {
    report.stderr += `Invalid pcpu range: ${rest}.\n`;
    return false;
  }
  // Numbers past the bitmap's end change nothing.
  const last = Math.min(range.last, nodes === null ? bitmap.size - 1 : host.nodes.length - 1);
  for (let id = range.first; id <= last; id++) {
    for (const cpu of nodes === null ? [id] : (host.nodes[id] ?? [])) {
      if (remove) bitmap.bits.delete(cpu);
      else setBit(bitmap, cpu);
    }
  }
  return true;
}
