// SPDX-License-Identifier: Apache-2.0
//
// A suspended guest as something a file can hold: what its kernel had in memory
// that matters when it goes on in another domain.

import type { Plain } from "../engine/cells.ts";
import { must } from "../engine/cells.ts";
import type { Host } from "../engine/host.ts";
import { deviceOf, devicesOn } from "../xenbus/device.ts";
import { watchTokens, xenbusCell, xenbusWatchCell } from "../xenbus/xenbus.ts";
import { pendingEvents } from "../xenbus/xenwatch.ts";
import { balloonCell } from "./balloon.ts";
import type { Balloon } from "./balloon-pages.ts";
import { isFileWatch } from "../xenbus/dev-file.ts";
import { guestOf } from "./guest.ts";

/** A watch of the kernel's own: devices' watches are made anew with their devices. */
type SavedWatch = { token: string; node: string; callback: string; onePending: boolean };

/** What is kept of a guest. Times are of the guest's own clock, which stands still meanwhile. */
export type SavedGuest = {
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
    .filter(({ owner, token }) => owner === "" && !isFileWatch(token));
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
