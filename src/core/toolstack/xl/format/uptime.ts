// SPDX-License-Identifier: Apache-2.0
//
// xl uptime (tools/xl/xl_info.c).

import { left, right } from "./printf.ts";

/** "3 days,  4:05:06"; without seconds for the short form. */
export function formatUptime(seconds: number, short: boolean): string {
  const days = Math.floor(seconds / 86400);
  const hours = Math.floor((seconds % 86400) / 3600);
  const two = (value: number): string => String(Math.floor(value)).padStart(2, "0");
  const clock = `${right(hours, 2)}:${two((seconds % 3600) / 60)}${short ? "" : `:${two(seconds % 60)}`}`;
  return days === 0 ? clock : `${days} day${days > 1 ? "s" : ""}, ${clock}`;
}

/** The line above the table; the short form has none. */
export const formatUptimeHeader = (): string => `${left("Name", 33)} ${right("ID", 4)} Uptime\n`;

/** A domain's line. `now` is the time of day, "13:37:00", and makes the short form. */
export function formatUptimeRow(
  { name, domid, seconds }: { name: string | null; domid: number; seconds: number },
  now: string | null = null,
): string {
  if (now !== null) return ` ${now} up ${formatUptime(seconds, true)}, ${name ?? "(null)"} (${domid})\n`;
  return `${left(name, 33)} ${right(domid, 4)} ${formatUptime(seconds, false)}\n`;
}
