// SPDX-License-Identifier: Apache-2.0
//
// dom0's wall clock: when the host came up, and the time since.

import { cellType } from "../engine/cells.ts";
import type { Cells } from "../engine/cells.ts";
import type { Host } from "../engine/host.ts";

const wallClockCell = cellType<{ bootSeconds: number }>("wall-clock", { provenance: ["bootSeconds"] });

/** Says when the host came up, in seconds since 1970; without it, in 1970. */
export function setWallClock(cells: Cells, bootSeconds: number): void {
  cells.add(wallClockCell, 0, { bootSeconds });
}

/** Seconds since 1970 (gettimeofday), with fraction. */
export function wallSeconds(host: Host): number {
  return (host.get(wallClockCell, 0)?.bootSeconds ?? 0) + host.now / 1_000_000;
}

/** `1795217553.07`: a domain's start, as its virtual machine's directory has it. */
export function startTime(host: Host): string {
  const seconds = wallSeconds(host);
  const whole = Math.floor(seconds);
  return `${whole}.${String(Math.floor((seconds - whole) * 100)).padStart(2, "0")}`;
}

/** `13:37:00`: the time of day of a second since 1970, in dom0's time zone, UTC. */
export function timeOfDay(seconds: number): string {
  const two = (number: number): string => String(number % 60).padStart(2, "0");
  const hours = String(Math.floor(seconds / 3600) % 24).padStart(2, "0");
  return `${hours}:${two(Math.floor(seconds / 60))}:${two(seconds)}`;
}

/** `-20261120T2339Z`: what a preserved domain's name ends with. */
export function preserveSuffix(host: Host): string {
  const minutes = Math.floor(wallSeconds(host) / 60);
  const { year, month, day } = civilDate(Math.floor(minutes / 1440));
  const two = (number: number): string => String(number).padStart(2, "0");
  return `-${year}${two(month)}${two(day)}T${two(Math.floor(minutes / 60) % 24)}${two(minutes % 60)}Z`;
}

/**
 * The Gregorian date of a day, counted from 1970-01-01: years are counted from March, so that the leap day
 * is their last.
 */
function civilDate(days: number): { year: number; month: number; day: number } {
  const shifted = days + 719468;
  const era = Math.floor(shifted / 146097);
  const dayOfEra = shifted - era * 146097;
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36524) - Math.floor(dayOfEra / 146096)) /
      365,
  );
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const shiftedMonth = Math.floor((5 * dayOfYear + 2) / 153);
  const day = dayOfYear - Math.floor((153 * shiftedMonth + 2) / 5) + 1;
  const month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9;
  return { year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day };
}
