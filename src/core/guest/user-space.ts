// SPDX-License-Identifier: Apache-2.0
//
// A guest's processes that are processes in earnest, with arguments, output and a
// connection to xenstore: those of a driver domain. They end with their domain.

import type { CellType } from "../engine/cells.ts";
import type { Host } from "../engine/host.ts";
import { lockCell } from "../engine/lock.ts";
import { processCell } from "../daemons/process.ts";
import { xsHandleCell } from "../daemons/xs-client.ts";
import { isOpen, closeByClient } from "../daemons/unix-socket.ts";
import { gntallocCell } from "../drivers/gntalloc.ts";
import { scriptLockCell } from "../drivers/script.ts";
import { forgetGntdev } from "../hypervisor/gntdev.ts";
import { forgetEvtchnUsers } from "../hypervisor/hypercall/evtchn-device.ts";
import { hasXenbusDev } from "../xenbus/xenbus-dev.ts";
import { devdCell } from "./devd-cell.ts";

/** Cells of a process's, by its name or by one that begins with it. */
const ofProcesses: readonly CellType<object>[] = [processCell, lockCell, devdCell];

/**
 * Forgets the processes of a domain whose threads have been ended: nobody waits
 * for them, nobody is told. Nothing where it has none.
 */
export function forgetUserSpace(host: Host, domid: number): void {
  if (!hasXenbusDev(host, domid)) return;
  forgetEvtchnUsers(host, domid);
  forgetGntdev(host, domid);
  if (host.get(gntallocCell, domid) !== undefined) host.drop(gntallocCell, domid);
  const own = (id: number | string): boolean => String(id).startsWith(`dom${domid}/`);
  for (const process of host.ids(xsHandleCell).filter(own)) {
    const { socket } = host.edit(xsHandleCell, process);
    if (isOpen(host, socket)) closeByClient(host, socket);
    host.drop(xsHandleCell, process);
  }
  for (const type of ofProcesses) for (const id of host.ids(type).filter(own)) host.drop(type, id);
  for (const lock of host.ids(scriptLockCell))
    if (own(host.get(scriptLockCell, lock)?.holder ?? "")) host.drop(scriptLockCell, lock);
}
