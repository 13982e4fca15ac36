// SPDX-License-Identifier: Apache-2.0
//
// A guest's vCPUs: its threads run while the hypervisor lets them, and when none
// of them can, the idle loop blocks until the next event.

import { defineGate } from "../engine/gate.ts";
import type { Cells } from "../engine/cells.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { runqueueCell } from "../engine/runqueue.ts";
import { isReady, killThread, threadCell } from "../engine/thread.ts";
import { domainCell } from "../hypervisor/domain.ts";
import { domainVcpu, VPF_blocked, vcpuBlock, vcpuUnblock } from "../hypervisor/vcpu.ts";
import { guestCell } from "./guest.ts";

/** Whether nothing but a lack of work keeps the guest's first vCPU from running. */
function domainRuns(cells: Cells, domid: number): boolean {
  const d = cells.get(domainCell, domid);
  if (d === undefined || d.isDying !== "alive" || d.pauseCount > 0) return false;
  const v = domainVcpu(cells, domid, 0);
  return v !== undefined && v.pauseCount === 0 && !v.pausedForShutdown && (v.pauseFlags & ~VPF_blocked) === 0;
}

defineGate(domainRuns);

/** Whether a thread of the guest has something to do. */
function hasWork(host: Host, domid: number): boolean {
  if (host.get(guestCell, domid)?.spinning === true) return true;
  return (host.get(runqueueCell, domid)?.threads ?? []).some((name) => {
    const thread = host.get(threadCell, name);
    return thread !== undefined && isReady(host, thread);
  });
}

function isBlocked(cells: Cells, domid: number): boolean {
  return ((domainVcpu(cells, domid, 0)?.pauseFlags ?? 0) & VPF_blocked) !== 0;
}

/** The idle loop of vCPU 0: SCHEDOP_block when there is nothing to do, until a thread or a timer has something. */
export const defaultIdle = routine(
  "default_idle",
  (a: { domid: number }) => ({ ...a }),
  ({ forever, waitFor, step }) => [
    forever("while (1)", [
      waitFor("xen_safe_halt", (host, l) => isBlocked(host, l.domid) === hasWork(host, l.domid)),
      step("SCHEDOP_block", (host, l) => {
        if (hasWork(host, l.domid)) vcpuUnblock(host, l.domid, 0);
        else vcpuBlock(host, l.domid, 0);
      }),
    ]),
  ],
);

/** The name of the idle loop's thread. */
export function idleThread(domid: number): string {
  return `dom${domid}/vcpu0`;
}

/** Ends a guest's threads where they stand: its vCPUs are no more. */
export function killGuestThreads(host: Host, domid: number): void {
  for (const name of host.get(runqueueCell, domid)?.threads ?? []) killThread(host, name);
  killThread(host, idleThread(domid));
}
