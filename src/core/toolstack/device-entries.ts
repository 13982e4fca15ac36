// SPDX-License-Identifier: Apache-2.0
//
// What a new device looks like in xenstore: in its frontend's, its backend's and
// the toolstack's directory (tools/libs/light/libxl_device.c,
// libxl__device_generic_add).

import { libxlDevicePath } from "./device.ts";
import type { Device } from "./device.ts";
import { mkdirRequest, permsRequest, rmRequest, writeRequest, writevRequests } from "./xs.ts";
import type { XsRequest } from "./xs.ts";

/** Names and values under a device's directory, in the order libxl writes them. */
export type Entries = readonly (readonly [string, string])[];

/** A device's entries on both sides. */
export type DeviceEntries = {
  backend: Entries;
  /** The frontend's own. */
  frontend: Entries;
  /** In the frontend's directory, but not for the guest to change. */
  readOnly: Entries;
};

/** The requests that make a device, to be sent in one transaction. */
export function deviceAddRequests(
  device: Device,
  front: string,
  back: string,
  entries: DeviceEntries,
): XsRequest[] {
  const { domid, backendDomid, kind, devid } = device;
  const libxl = libxlDevicePath(device);
  const frontendOwns = [`n${domid}`, `r${backendDomid}`];
  const backendOwns = [`n${backendDomid}`, `r${domid}`];
  // The first console's directory holds more than the guest may change.
  const firstConsole = kind === "console" && devid === 0;
  return [
    rmRequest(libxl),
    writeRequest(`${libxl}/frontend`, front),
    writeRequest(`${libxl}/backend`, back),
    rmRequest(front),
    mkdirRequest(front),
    permsRequest(front, firstConsole ? backendOwns : frontendOwns),
    writeRequest(`${front}/backend`, back),
    ...writevRequests(front, entries.frontend, frontendOwns),
    ...writevRequests(front, entries.readOnly, backendOwns),
    rmRequest(back),
    mkdirRequest(back),
    permsRequest(back, backendOwns),
    writeRequest(`${back}/frontend`, front),
    ...writevRequests(back, entries.backend),
    ...writevRequests(libxl, entries.backend),
  ];
}
