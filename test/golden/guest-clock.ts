// SPDX-License-Identifier: Apache-2.0
//
// The recorded guests took seconds to boot and to end; programs that were started
// meanwhile always came first. Here guests wait for the scenario instead, however
// long the machine takes for those programs.

import { input } from "../../src/core/engine/input.ts";
import { threadCell, stackOf, stopThread } from "../../src/core/engine/thread.ts";
import type { Host } from "../../src/core/engine/host.ts";
import { bootTimesCell, defaultBootTimes, guestCell } from "../../src/core/guest/guest.ts";

/** Longer than any scenario. */
const NEVER_US = 86_400_000_000;
/** Where a booting kernel spends its time. */
const BOOTING = "do_pre_smp_initcalls";
/** And where user space waits for its end. */
const DELAY = "sleep $DELAY";
/** What ends a guest after a while. */
const ENDING = /^(?:poweroff|halt|reboot|crash)$/;

const initOf = (domid: number | string): string => `dom${domid}/init`;

function setKernelUs(host: Host, kernelUs: number): void {
  if (host.get(bootTimesCell, 0) === undefined) host.add(bootTimesCell, 0, { ...defaultBootTimes });
  host.edit(bootTimesCell, 0).kernelUs = kernelUs;
}

/** Guests that are started from now on do not get beyond their first instructions. */
export const holdBoots = input("golden: guests do not boot", (host) => setKernelUs(host, NEVER_US));

/** Those that have begun to boot go on, and others boot as usual. */
export const letBoot = input("golden: guests boot", (host) => {
  setKernelUs(host, defaultBootTimes.kernelUs);
  for (const domid of host.ids(guestCell)) {
    const init = initOf(domid);
    if (stackOf(host, init)[0]?.at === BOOTING) host.edit(threadCell, init).deadline = host.now;
  }
});

/** The first threads of guests that are up and are to end by themselves. */
function* ending(host: Host): Iterable<string> {
  for (const domid of host.ids(guestCell)) {
    const guest = host.get(guestCell, domid);
    if (guest !== undefined && guest.upAt !== null && ENDING.test(guest.options.mode)) yield initOf(domid);
  }
}

/** Guests that are up do not end by themselves. */
export const holdEnds = input("golden: guests do not end", (host) => {
  for (const init of ending(host)) stopThread(host, init, true);
});

/** They do, at once. */
export const letEnd = input("golden: guests end", (host) => {
  for (const init of ending(host)) {
    stopThread(host, init, false);
    if (stackOf(host, init)[0]?.at === DELAY) host.edit(threadCell, init).deadline = host.now;
  }
});
