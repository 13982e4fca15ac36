// SPDX-License-Identifier: Apache-2.0
//
// Watchdogs: a guest asks to be shut down unless it asks again in time
// (SCHEDOP_watchdog, xen/common/sched/core.c).

import { must } from "../engine/cells.ts";
import { fail } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { killThread, spawnThread } from "../engine/thread.ts";
import { printk } from "./console-ring.ts";
import { domainCell, ShutdownCode } from "./domain.ts";
import { domainShutdown } from "./shutdown.ts";
import { NR_DOMAIN_WATCHDOG_TIMERS, stopWatchdog, watchdogCell, watchdogThread } from "./watchdog-timer.ts";

const SECOND = 1_000_000;

const watchdog = routine(
  "domain_watchdog_timer",
  (a: { domid: number; timeout: number }) => ({ ...a }),
  ({ step, sleep }) => [
    sleep("set_timer", (l) => l.timeout),
    step("domain_watchdog_timeout", (host, { domid }) => {
      const { shutdown, isDying } = must(host, domainCell, domid);
      if (shutdown !== "none" || isDying !== "alive") return;
      printk(host, `Watchdog timer fired for domain ${domid}`);
      domainShutdown(host, domid, ShutdownCode.watchdog);
    }),
  ],
);

/**
 * Starts a watchdog (`id` 0), sets it again, or stops it (`timeout` 0), in
 * seconds. EINVAL for one that is not running, ENOSPC for a third.
 *
 * @returns the number of the one that was started, else 0
 */
export function domainWatchdog(host: Host, domid: number, id: number, timeout: number): number | Failure {
  if (id > NR_DOMAIN_WATCHDOG_TIMERS) return fail("EINVAL");
  const expires = host.now + timeout * SECOND;
  if (id !== 0) {
    if (host.get(watchdogCell, `${domid}/${id}`) === undefined) return fail("EINVAL");
    if (timeout === 0) stopWatchdog(host, `${domid}/${id}`);
    else {
      host.edit(watchdogCell, `${domid}/${id}`).expires = expires;
      start(host, domid, id, timeout * SECOND);
    }
    return 0;
  }
  for (let free = 1; free <= NR_DOMAIN_WATCHDOG_TIMERS; free++) {
    if (host.get(watchdogCell, `${domid}/${free}`) !== undefined) continue;
    host.add(watchdogCell, `${domid}/${free}`, { expires });
    start(host, domid, free, timeout * SECOND);
    return free;
  }
  return fail("ENOSPC");
}

/** Sets a timer, anew if it was set; one that has fired is no thread any more. */
function start(host: Host, domid: number, number: number, timeout: number): void {
  const name = watchdogThread(`${domid}/${number}`);
  killThread(host, name);
  spawnThread(host, name, watchdog, { domid, timeout }, { kind: "xen", domid: null });
}
