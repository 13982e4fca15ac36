// SPDX-License-Identifier: Apache-2.0
//
// What makes a domain one that serves others (`backend=1`): what it has for its
// backends, their drivers, its processes' way to xenstore, and `xl devd`.

import { netback } from "../drivers/netback.ts";
import { blkback } from "../drivers/blkback.ts";
import { addBlockDevice, addBridge, bridgesCell, ofDomain } from "../drivers/backend-devices.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { fileCell } from "../daemons/files.ts";
import { spawnProcess } from "../daemons/process.ts";
import { xenbusRegisterDriver } from "../xenbus/probe.ts";
import { xenbusDevInit } from "../xenbus/xenbus-dev.ts";
import { guestOf } from "./guest.ts";

/** The bridge that interfaces join which name no other: xl's default. */
const BRIDGE = "xenbr0";

/** Major number of its block devices (LOCAL/EXPERIMENTAL in Linux's devices.txt). */
const BLOCK_MAJOR = "78";

const SECTOR = 512;

/** The routine of the daemon that `xl devd` leaves behind: the toolstack has it. */
export const DEVD_DAEMON = "xldevd";

/** The process of that name in a driver domain. */
export const devdProcess = (domid: number): string => `dom${domid}/xl.devd`;

const devd = routine(
  "xl devd (init)",
  (a: { process: string }) => ({ ...a }),
  ({ callNamed }) => [
    callNamed(
      "daemon",
      () => DEVD_DAEMON,
      (l) => ({ process: l.process }),
    ),
  ],
);

/** The domain's own storage and network: nobody else's, and gone with it. */
function addMachine(host: Host, domid: number): void {
  if (host.get(bridgesCell, domid) !== undefined) return;
  addBridge(host, BRIDGE, 1500, domid);
  for (const [minor, { path, bytes }] of guestOf(host, domid).options.disks.entries()) {
    const number = `${BLOCK_MAJOR}:${minor.toString(16)}`;
    if (path.startsWith("/dev/")) addBlockDevice(host, number, path, Math.floor(bytes / SECTOR), { domid });
    else
      host.add(fileCell, ofDomain(domid, path), {
        kind: "regular",
        bytes: new Uint8Array(0),
        size: bytes,
      });
  }
}

/** What does not come from a saved image: the machine and its processes. */
export function startUserSpace(host: Host, domid: number): void {
  addMachine(host, domid);
  xenbusDevInit(host, domid);
  if (!guestOf(host, domid).options.devd) return;
  const options = { domid, log: "/var/log/xen/xldevd.log" };
  spawnProcess(host, devdProcess(domid), ["xl", "-vvv", "devd"], devd, {}, options);
}

/** Loads the backends and starts the processes: what the domain's init does. */
export const serveOthers = routine(
  "init.d/xendriverdomain",
  (a: { domid: number }) => ({ ...a }),
  ({ call, step }) => [
    call("xen-netback.ko", xenbusRegisterDriver, (l) => ({ domid: l.domid, module: netback.module })),
    call("xen-blkback.ko", xenbusRegisterDriver, (l) => ({ domid: l.domid, module: blkback.module })),
    step("xl devd", (host, l) => startUserSpace(host, l.domid)),
  ],
);
