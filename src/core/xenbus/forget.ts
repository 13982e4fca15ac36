// SPDX-License-Identifier: Apache-2.0
//
// A kernel that is no more: everything that stood in its memory goes, without
// anybody being told.

import { must } from "../engine/cells.ts";
import type { Host } from "../engine/host.ts";
import { mailboxCell } from "../engine/mailbox.ts";
import { runqueueCell } from "../engine/runqueue.ts";
import { busRoot, driverOf, takeOffBus, xenbusBusCell, xenbusDeviceCell } from "./device.ts";
import type { Bus } from "./device.ts";
import { stoppingCell } from "./kthread.ts";
import { dropWatch, watchTokens, xenbusCell, xenbusQueueCell, xenbusRequestCell } from "./xenbus.ts";
import { forgetXenbusDev } from "./xenbus-dev.ts";
import { mailboxesOfKernel, mtwatchDomainCell, mtwatchDomains } from "./xenwatch.ts";

function forgetDevices(host: Host, domid: number, bus: Bus): void {
  const on = host.get(xenbusBusCell, `${domid}/${bus}`);
  if (on === undefined) return;
  for (const device of [...on.devices]) {
    takeOffBus(host, device);
    const { driver } = must(host, xenbusDeviceCell, device);
    if (driver !== null) driverOf(driver).forget(host, device);
    host.drop(xenbusDeviceCell, device);
  }
  host.drop(xenbusBusCell, `${domid}/${bus}`);
}

/** Forgets a kernel's xenbus: its threads must have been ended. */
export function forgetKernel(host: Host, domid: number): void {
  if (host.get(xenbusCell, domid) === undefined) return;
  forgetXenbusDev(host, domid);
  for (const bus of Object.keys(busRoot) as Bus[]) forgetDevices(host, domid, bus);
  for (const name of mailboxesOfKernel(host, domid)) host.drop(mailboxCell, name);
  for (const of of mtwatchDomains(host, domid)) host.drop(mtwatchDomainCell, `${domid}/${of}`);
  for (const token of watchTokens(host, domid)) dropWatch(host, domid, token);
  for (const id of must(host, xenbusQueueCell, domid).requests)
    host.drop(xenbusRequestCell, `${domid}/${id}`);
  for (const thread of host.get(runqueueCell, domid)?.threads ?? []) {
    if (host.get(stoppingCell, thread) !== undefined) host.drop(stoppingCell, thread);
  }
  host.drop(xenbusQueueCell, domid);
  host.drop(xenbusCell, domid);
}
