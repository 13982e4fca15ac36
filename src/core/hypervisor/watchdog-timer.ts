// SPDX-License-Identifier: Apache-2.0
//
// The timers behind watchdogs (struct domain's watchdog_timer).

import { cellType } from "../engine/cells.ts";
import type { Cells } from "../engine/cells.ts";
import type { Host } from "../engine/host.ts";
import { killThread } from "../engine/thread.ts";

/** Timers a domain may have running. */
export const NR_DOMAIN_WATCHDOG_TIMERS = 2;

/** A running watchdog: when it fires (µs). Identifier: `domid/number`, numbered from 1. */
export const watchdogCell = cellType<{ expires: number }>("watchdog", { deadlines: ["expires"] });

/** The thread that waits for a watchdog's time. */
export function watchdogThread(id: string): string {
  return `xen/watchdog/${id}`;
}

/** Stops a running watchdog. */
export function stopWatchdog(host: Host, id: string): void {
  killThread(host, watchdogThread(id));
  host.drop(watchdogCell, id);
}

/** Stops a domain's watchdogs for good (watchdog_domain_destroy). */
export function watchdogDomainDestroy(host: Host, domid: number): void {
  for (let number = 1; number <= NR_DOMAIN_WATCHDOG_TIMERS; number++) {
    if (host.get(watchdogCell, `${domid}/${number}`) !== undefined) stopWatchdog(host, `${domid}/${number}`);
  }
}

/** A domain's running watchdogs: their numbers from 0, as debug key q counts, and when they fire. */
export function watchdogsOf(cells: Cells, domid: number): { number: number; expires: number }[] {
  return Array.from({ length: NR_DOMAIN_WATCHDOG_TIMERS }, (_, number) => ({
    number,
    timer: cells.get(watchdogCell, `${domid}/${number + 1}`),
  })).flatMap(({ number, timer }) => (timer === undefined ? [] : [{ number, expires: timer.expires }]));
}
