// SPDX-License-Identifier: Apache-2.0
//
// A domain's first console in xenstore: no state machine, xenconsoled finds the
// ring and writes the terminal's name (tools/libs/light/libxl_console.c,
// libxl__device_console_add).

import { routine } from "../engine/routine.ts";
import { deviceAddRequests } from "./device-entries.ts";
import { backendPath, frontendPath } from "./device.ts";
import type { Device } from "./device.ts";
import { transaction } from "./transaction.ts";
import { xsScript } from "./xs.ts";
import type { XsRequest } from "./xs.ts";

/** Where a console's ring and its event channel are. */
export type ConsoleRing = { port: number; mfn: number };

/** The first console of a domain, served by xenconsoled in dom0. */
export function consoleDevice(domid: number): Device {
  return { domid, devid: 0, kind: "console", backendDomid: 0, backendKind: "console" };
}

/** How much a guest may write ahead of xenconsoled, in bytes (LIBXL_XENCONSOLE_LIMIT). */
const CONSOLE_LIMIT = 1048576;

function consoleRequests(
  device: Device,
  front: string,
  back: string,
  ring: ConsoleRing,
  tty: string,
): XsRequest[] {
  return deviceAddRequests(device, front, back, {
    backend: [
      ["frontend-id", String(device.domid)],
      ["online", "1"],
      ["state", "1"],
      ["protocol", "vt100"],
    ],
    frontend: [["backend-id", String(device.backendDomid)]],
    readOnly: [
      ["limit", String(CONSOLE_LIMIT)],
      ["type", "xenconsoled"],
      ["output", "pty"],
      ["tty", tty],
      ["port", String(ring.port)],
      ["ring-ref", String(ring.mfn)],
    ],
  });
}

/** Adds a domain's first console. `tty` is its terminal's name where it has one already, else empty. */
export const deviceConsoleAdd = routine(
  "libxl__device_console_add",
  (a: { process: string; domid: number; ring: ConsoleRing; tty: string }) => ({
    process: a.process,
    device: consoleDevice(a.domid),
    ring: a.ring,
    tty: a.tty,
    front: "",
    back: "",
    t: 0,
  }),
  (words) => {
    const { call } = words;
    return [
      call(
        "frontend path",
        frontendPath,
        ({ process, device }) => ({ process, device }),
        (l, path) => void (l.front = path),
      ),
      call(
        "backend path",
        backendPath,
        ({ process, device }) => ({ process, device }),
        (l, path) => void (l.back = path),
      ),
      transaction(words, [
        call("entries", xsScript, ({ process, t, device, front, back, ring, tty }) => ({
          process,
          t,
          requests: consoleRequests(device, front, back, ring, tty),
        })),
      ]),
    ];
  },
);
