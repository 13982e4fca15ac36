// SPDX-License-Identifier: Apache-2.0
//
// Tables of a domain's devices: block-list and network-list (tools/xl/xl_block.c, xl_nic.c).

import { left, right } from "./printf.ts";

/** What every device list shows; -1 for an event channel or ring that is not there. */
export interface DeviceRow {
  devid: number;
  backendDomid: number;
  state: number;
  eventChannel: number;
  /** The backend's directory in xenstore. */
  backendPath: string | null;
}

export const formatBlockListHeader = (): string =>
  `${left("Vdev", 5)} ${left("BE", 3)} ${left("handle", 6)} ${left("state", 5)} ${left("evt-ch", 6)} ` +
  `${left("ring-ref", 8)} ${left("BE-path", 30)}\n`;

/** `devid` is the virtual device's number, `handle` the frontend's domid. */
export const formatBlockRow = (row: DeviceRow & { handle: number; ringRef: number }): string =>
  `${left(row.devid, 5)} ${left(row.backendDomid, 3)} ${left(row.handle, 6)} ${left(row.state, 5)} ` +
  `${left(row.eventChannel, 6)} ${left(row.ringRef, 8)} ${left(row.backendPath, 30)}\n`;

export const formatNetworkListHeader = (): string =>
  `${left("Idx", 3)} ${left("BE", 2)} ${left("Mac Addr.", 17)} ${left("handle", 6)} ${left("state", 5)} ` +
  `${left("evt-ch", 6)} ${right("tx-", 5)}/${left("rx-ring-ref", 5)} ${left("BE-path", 30)}\n`;

export const formatNetworkRow = (
  row: DeviceRow & { mac: string; txRingRef: number; rxRingRef: number },
): string =>
  `${left(row.devid, 3)} ${left(row.backendDomid, 2)} ${row.mac}${right(row.devid, 6)} ${right(row.state, 5)} ` +
  `${right(row.eventChannel, 6)} ${right(row.txRingRef, 5)}/${left(row.rxRingRef, 11)} ${left(row.backendPath, 30)}\n`;
