// SPDX-License-Identifier: Apache-2.0
//
// A suspended guest as something a file can hold, and back: what its kernel had
// in memory that matters when it goes on in another domain.

import type { Plain } from "../engine/cells.ts";
import { must } from "../engine/cells.ts";
import type { Host } from "../engine/host.ts";
import { xsInit } from "../xenbus/comms.ts";
import { deviceOf, devicesOn, xenbusBusCell } from "../xenbus/device.ts";
import { taskRun } from "../xenbus/kthread.ts";
import { addWatch, watchTokens, xenbusCell, xenbusWatchCell } from "../xenbus/xenbus.ts";
import { pendingEvents, xsWatchMsg } from "../xenbus/xenwatch.ts";
import { balloonCell, runBalloon } from "./balloon.ts";
import type { Balloon } from "./balloon.ts";
import { addGuest } from "./boot.ts";
import { guestCell, guestOf } from "./guest.ts";
import type { StartInfo } from "./guest.ts";
import { userSpace } from "./init.ts";
import { resumeRestored } from "./suspend.ts";

/** A watch of the kernel's own: devices' watches are made anew with their devices. */
type SavedWatch = { token: string; node: string; callback: string; onePending: boolean };

/** What is kept of a guest. Times are of the guest's own clock, which stands still meanwhile. */
type SavedGuest = {
  commandLine: string;
  age: number;
  ticks: number;
  spinning: boolean;
  upAt: number | null;
  balloon: Balloon;
  modules: string[];
  /** Newest first. */
  watches: SavedWatch[];
  /** Events of these watches that no callback has seen yet. */
  events: { token: string; path: string }[];
  /** Frontends, by their nodes below the domain's directory. */
  devices: string[];
};

/** A suspended guest, to be restored. */
export function saveGuest(host: Host, domid: number): Plain {
  const { commandLine, bootedAt, ticks, spinning, upAt } = guestOf(host, domid);
  const { modules } = must(host, xenbusCell, domid);
  const own = watchTokens(host, domid)
    .map((token) => must(host, xenbusWatchCell, `${domid}/${token}`))
    .filter(({ owner }) => owner === "");
  const balloon = must(host, balloonCell, domid);
  const saved: SavedGuest = {
    commandLine,
    age: host.now - bootedAt,
    ticks,
    spinning,
    upAt,
    balloon: { ...balloon, ballooned: [...balloon.ballooned] },
    modules: [...modules],
    watches: own.map(({ token, node, callback, onePending }) => ({ token, node, callback, onePending })),
    events: pendingEvents(host, domid).filter((event) => own.some(({ token }) => token === event.token)),
    devices: devicesOn(host, domid, "frontend").map((device) => deviceOf(host, device).nodename),
  };
  return saved as unknown as Plain;
}

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

/** Puts a saved guest into a domain that was built for it. Nothing of it runs before the domain is unpaused. */
export function restoreGuest(host: Host, info: StartInfo, image: Plain): void {
  const saved = image as unknown as SavedGuest;
  const { domid } = info;
  addGuest(host, { ...info, commandLine: saved.commandLine }, host.now - saved.age);
  const { ticks, spinning, upAt } = saved;
  Object.assign(host.edit(guestCell, domid), { ticks, spinning, upAt, shuttingDown: "suspend" });
  runBalloon(host, domid, saved.balloon);
  restoreXenbus(host, info, saved);
  taskRun(host, domid, "init", userSpace, { domid });
}
