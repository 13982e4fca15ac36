// SPDX-License-Identifier: Apache-2.0
//
// What a benchmark is: it measures, and says of each claim it was written for
// whether the measurement bears it out.

import type { Capability } from "../scripts/capabilities.ts";

/** How a benchmark is run. */
export interface BenchOptions {
  /** The short form: fewer repetitions, a smaller world, the same claims. */
  readonly quick: boolean;
  /** Told what is being measured, now and then. */
  readonly progress: (text: string) => void;
  /** For benchmarks of many cases: groups of them, separated by commas; a pattern their names match; how often each. */
  readonly suite?: string | undefined;
  readonly only?: string | undefined;
  readonly rounds?: number | undefined;
}

/** Measured values under a heading. */
export interface Table {
  readonly title: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly (string | number)[])[];
  /** What the reader has to know to read it. */
  readonly note?: string;
}

/** Something that is said of the product, and what was measured. */
export interface Claim {
  readonly text: string;
  readonly measured: string;
  readonly holds: boolean;
  /** It rests on time taken, which a busy machine distorts; others rest on counts. */
  readonly timed: boolean;
}

/** A plot that stands beside the page. */
export interface Picture {
  readonly file: string;
  readonly title: string;
  readonly svg: string;
}

export interface Report {
  readonly tables: readonly Table[];
  readonly pictures?: readonly Picture[];
  readonly claims: readonly Claim[];
}

export interface Bench {
  readonly name: string;
  /** What it measures and how, in a few sentences: the head of its page. */
  readonly about: string;
  /** What it needs from the machine. */
  readonly needs?: readonly Capability[];
  readonly run: (options: BenchOptions) => Report | Promise<Report>;
}

/** The middle one of some values. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle];
  if (upper === undefined) throw new Error("the median of nothing");
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] as number)) / 2;
}

/** The value below which a share of all values lies, 0.99 for the 99th percentile. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const found = sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
  if (found === undefined) throw new Error("a quantile of nothing");
  return found;
}

/** Microseconds of processor time that something took: other processes' load is not counted. */
export function cpuMicros(act: () => void): number {
  const before = process.cpuUsage();
  act();
  const { user, system } = process.cpuUsage(before);
  return user + system;
}

/** A number with so many digits behind the point. */
export function digits(value: number, count: number): string {
  return value.toFixed(count);
}
