// SPDX-License-Identifier: Apache-2.0
//
// Tables of devices that only other hosts have backends for: vtpm-list, vkb-list,
// vdispl-list, vsnd-list, channel-list (tools/xl/xl_vtpm.c and its like).

import { left, right } from "./printf.ts";

/** A device as its frontend and backend show it. */
export interface OtherDevice {
  domid: number;
  devid: number;
  backendDomid: number;
  backendPath: string;
  /** Numbers of the frontend; -1 where a node is missing. */
  values: { readonly [node: string]: number };
  /** Texts of the backend. */
  texts: { readonly [node: string]: string | null };
}

export const vtpmHeader =
  `${left("Idx", 3)} ${left("BE", 2)} ${left("Uuid", 36)} ${left("handle", 6)} ${left("state", 5)} ` +
  `${left("evt-ch", 6)} ${left("ring-ref", 5)} ${left("BE-path", 10)}\n`;

export const vtpmRow = ({ devid, backendDomid, backendPath, values, texts }: OtherDevice): string =>
  `${left(devid, 3)} ${left(backendDomid, 2)} ${texts["uuid"] ?? ""} ${right(devid, 6)} ` +
  `${right(values["state"] ?? -1, 5)} ${right(values["event-channel"] ?? -1, 6)} ` +
  `${right(values["ring-ref"] ?? -1, 8)} ${left(backendPath, 30)}\n`;

export const vkbHeader =
  `${left("Idx", 3)} ${left("BE", 2)} ${left("handle", 6)} ${left("state", 5)} ${left("evt-ch", 6)} ` +
  `${right("ref", 6)} ${left("ID", 10)} ${left("BE-type", 10)} ${left("BE-path", 30)}\n`;

/** The kind of backend shows in its path: Linux has vinput, QEMU vkbd. */
export const vkbRow = ({ devid, backendDomid, backendPath, values, texts }: OtherDevice): string =>
  `${left(devid, 3)} ${left(backendDomid, 2)} ${right(devid, 6)} ${right(values["state"] ?? -1, 5)} ` +
  `${right(values["event-channel"] ?? -1, 6)} ${right(values["page-gref"] ?? -1, 6)} ` +
  `${left(texts["unique-id"] ?? null, 10)} ` +
  `${left(backendPath.includes("/vinput/") ? "linux" : "qemu", 10)} ${left(backendPath, 30)}\n`;

/** The device's own line; its connectors are its frontend's to show. */
export const vdisplRow = ({ domid, devid, backendDomid, backendPath, values }: OtherDevice): string =>
  `DevId: ${devid}, BE: ${backendDomid}, handle: ${domid}, state: ${values["state"] ?? -1}, ` +
  `be-alloc: ${Math.max(values["be-alloc"] ?? 0, 0)}, BE-path: ${backendPath}, ` +
  `FE-path: /local/domain/${domid}/device/vdispl/${devid}\n`;

/** The device's own lines; its PCM devices are its frontend's to show. */
export const vsndRow = ({ domid, devid, backendDomid, backendPath, values, texts }: OtherDevice): string =>
  `\ndevid: ${devid}, be-domid: ${backendDomid}, handle: ${domid}, state: ${values["state"] ?? -1}, ` +
  `be-path: ${backendPath}, fe-path: /local/domain/${domid}/device/vsnd/${devid}\n` +
  `short-name: "${texts["short-name"] ?? "(null)"}", long-name: "${texts["long-name"] ?? "(null)"}"\n`;

export const channelHeader =
  `${left("Idx", 3)} ${left("BE", 2)} ${left("state", 5)} ${left("evt-ch", 6)} ${right("ring-ref", 8)} ` +
  `${left("connection", 10)} ${left("", 30)}\n`;

/** A console with a name is a channel. */
export const channelRow = ({
  channel,
  backendDomid,
  values,
  connection,
}: Pick<OtherDevice, "backendDomid" | "values"> & { channel: number; connection: string | null }): string =>
  `${left(channel, 3)} ${left(backendDomid, 2)} ${left(values["state"] ?? -1, 5)} ` +
  `${left(values["port"] ?? -1, 6)} ${left(values["ring-ref"] ?? -1, 8)} ${left(connection, 10)} \n`;
