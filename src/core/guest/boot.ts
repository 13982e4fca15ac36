// SPDX-License-Identifier: Apache-2.0
//
// Putting a guest's kernel into a domain, and what is left of it when the domain
// is killed: nothing. Its threads run once the domain is unpaused.

import { must } from "../engine/cells.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { runqueueCell } from "../engine/runqueue.ts";
import { killThread, spawnThread } from "../engine/thread.ts";
import { domainCell, domainPagesCell, domainTotPages } from "../hypervisor/domain.ts";
import { podCounts } from "../hypervisor/pod-cell.ts";
import { forgetKernel } from "../xenbus/forget.ts";
import { taskRun } from "../xenbus/kthread.ts";
import { balloonCell, startBalloon } from "./balloon.ts";
import { guestCell } from "./guest.ts";
import type { StartInfo } from "./guest.ts";
import { hvmInit } from "./hvm-init.ts";
import { hasDeviceModel } from "./hvmloader.ts";
import { kernelInit } from "./init.ts";
import { kernelMemoryCell } from "./kernel-memory.ts";
import { parseOptions } from "./options.ts";
import { forgetBackends } from "../drivers/forget-backends.ts";
import { gnttabCell } from "../drivers/gnttab.ts";
import { pagesInUseCell } from "../hypervisor/pages-in-use.ts";
import { forgetUserSpace } from "./user-space.ts";
import { defaultIdle, idleThread, killGuestThreads } from "./vcpu.ts";

/** Takes a guest's kernel out of its domain, wherever its threads stand. */
function forgetGuest(host: Host, domid: number): void {
  killGuestThreads(host, domid);
  forgetUserSpace(host, domid);
  forgetKernel(host, domid);
  if (must(host, guestCell, domid).options.backend) forgetBackends(host, domid);
  host.drop(runqueueCell, domid);
  host.drop(balloonCell, domid);
  host.drop(pagesInUseCell, domid);
  if (host.get(gnttabCell, domid) !== undefined) host.drop(gnttabCell, domid);
  if (host.get(kernelMemoryCell, domid) !== undefined) host.drop(kernelMemoryCell, domid);
  host.drop(guestCell, domid);
}

/** Waits for the moment from which no vCPU of the domain runs any more, and forgets its kernel. */
const vcpusEnd = routine(
  "vcpu_teardown",
  (a: { domid: number }) => ({ ...a }),
  ({ waitFor, step }) => [
    waitFor("domain_kill", (host, l) => host.get(domainCell, l.domid)?.isDying !== "alive"),
    step("vcpus are gone", (host, l) => forgetGuest(host, l.domid)),
  ],
);

/** An older kernel of a domain that had this domid, if it is not forgotten yet. */
function forgetPredecessor(host: Host, domid: number): void {
  if (host.get(guestCell, domid) === undefined) return;
  killThread(host, endThread(domid));
  forgetGuest(host, domid);
}

const endThread = (domid: number): string => `xen/dom${domid}/vcpus`;

/** The parts of a guest that do not depend on how it came into its domain. */
export function addGuest(host: Host, info: StartInfo, bootedAt: number): void {
  const { domid, type, commandLine, nrVcpus, storeMfn, storePort, consoleMfn, consolePort } = info;
  forgetPredecessor(host, domid);
  host.add(guestCell, domid, {
    type,
    options: parseOptions(commandLine),
    commandLine,
    nrVcpus,
    consoleMfn,
    consolePort,
    bootedAt,
    storeMfn,
    storePort,
    ticks: 0,
    shuttingDown: "invalid",
    spinning: false,
    upAt: null,
  });
  host.add(runqueueCell, domid, { threads: [] });
  host.add(pagesInUseCell, domid, { mfns: [storeMfn, consoleMfn] });
  spawnThread(host, endThread(domid), vcpusEnd, { domid }, { kind: "xen", domid: null });
  spawnThread(host, idleThread(domid), defaultIdle, { domid }, { kind: "vcpu", domid });
}

/** The memory a kernel finds in its map, in pages: what it has, and what it would have by touching it. */
function physicalPages(host: Host, domid: number): number {
  const { entries, cached } = podCounts(host, domid);
  return domainTotPages(must(host, domainPagesCell, domid)) - cached + entries;
}

/**
 * Starts a guest's kernel in a domain that was built for it: its start info
 * names the rings the toolstack has set up. Nothing runs before the domain is
 * unpaused.
 */
export function startGuest(host: Host, info: StartInfo): void {
  const { domid } = info;
  addGuest(host, info, host.now);
  startBalloon(host, domid, physicalPages(host, domid));
  taskRun(host, domid, "init", hasDeviceModel(host, domid) ? hvmInit : kernelInit, { domid });
}
