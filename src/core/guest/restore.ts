// SPDX-License-Identifier: Apache-2.0
//
// A saved guest in a domain that was built for it: its kernel as it was, about to
// return from the hypercall it suspended with.

import type { Plain } from "../engine/cells.ts";
import { fail } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { xsInit } from "../xenbus/comms.ts";
import { xenbusBusCell } from "../xenbus/device.ts";
import { taskRun } from "../xenbus/kthread.ts";
import { addWatch, xenbusCell } from "../xenbus/xenbus.ts";
import { xsWatchMsg } from "../xenbus/xenwatch.ts";
import { runBalloon } from "./balloon.ts";
import { addGuest } from "./boot.ts";
import { startUserSpace } from "./driver-domain.ts";
import { guestCell, guestOf } from "./guest.ts";
import type { StartInfo } from "./guest.ts";
import { userSpace } from "./init.ts";
import type { SavedGuest } from "./save.ts";
import { savedGuestOf } from "./saved-guest.ts";
import { resumeRestored } from "./suspend.ts";

/** The kernel's xenbus as it was, suspended; its xenwatch begins with what follows the hypercall. */
function restoreXenbus(host: Host, { domid, storeMfn, storePort }: StartInfo, saved: SavedGuest): void {
  const first = { routine: resumeRestored.name, args: { domid, devices: saved.devices } };
  xsInit(host, domid, storeMfn, storePort, { first });
  Object.assign(host.edit(xenbusCell, domid), {
    suspended: true,
    modules: saved.modules,
  });
  for (const watch of saved.watches.toReversed()) {
    addWatch(host, domid, { ...watch, owner: "", getDomid: 0, depth: null });
  }
  for (const { token, path } of saved.events) xsWatchMsg(host, domid, token, path);
  for (const bus of ["backend", "frontend"] as const)
    host.add(xenbusBusCell, `${domid}/${bus}`, { devices: [] });
}

/**
 * Puts a saved guest into a domain that was built for it. Nothing of it runs
 * before the domain is unpaused. EINVAL where that is no saved guest.
 */
export function restoreGuest(host: Host, info: StartInfo, image: Plain): Failure | undefined {
  const saved = savedGuestOf(image);
  if (saved === null) return fail("EINVAL");
  const { domid } = info;
  addGuest(host, { ...info, commandLine: saved.commandLine }, host.now - saved.age);
  const { ticks, spinning, upAt } = saved;
  Object.assign(host.edit(guestCell, domid), { ticks, spinning, upAt, shuttingDown: "suspend" });
  runBalloon(host, domid, saved.balloon);
  restoreXenbus(host, info, saved);
  // Processes are no part of the image: those of a driver domain start anew.
  if (guestOf(host, domid).options.backend) startUserSpace(host, domid);
  taskRun(host, domid, "init", userSpace, { domid });
  return undefined;
}
