// SPDX-License-Identifier: Apache-2.0
//
// Tables of a domain's devices: block-list, network-list, channel-list,
// vtpm-list, vkb-list, vdispl-list, pci-list, usb-list (tools/xl/xl_block.c,
// xl_nic.c, xl_console.c, xl_vtpm.c, xl_vkb.c, xl_vdispl.c, xl_pci.c, xl_usb.c).

import { hex, left, right } from "./printf.ts";

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

export const formatNetworkRow = (row: DeviceRow & { mac: string; txRingRef: number; rxRingRef: number }): string =>
  `${left(row.devid, 3)} ${left(row.backendDomid, 2)} ${row.mac}${right(row.devid, 6)} ${right(row.state, 5)} ` +
  `${right(row.eventChannel, 6)} ${right(row.txRingRef, 5)}/${left(row.rxRingRef, 11)} ${left(row.backendPath, 30)}\n`;

export const formatChannelListHeader = (): string =>
  `${left("Idx", 3)} ${left("BE", 2)} ${left("state", 5)} ${left("evt-ch", 6)} ${right("ring-ref", 8)} ` +
  `${left("connection", 10)} ${left("", 30)}\n`;

/** `path` is the pseudo-terminal of a "pty". */
export const formatChannelRow = (
  row: Omit<DeviceRow, "backendPath"> & { ringRef: number; connection: string; path: string | null },
): string =>
  `${left(row.devid, 3)} ${left(row.backendDomid, 2)} ${left(row.state, 5)} ${left(row.eventChannel, 6)} ` +
  `${left(row.ringRef, 8)} ${left(row.connection, 10)} ` +
  `${row.connection === "pty" ? `${left(row.path, 30)} ` : ""}\n`;

export const formatVtpmListHeader = (): string =>
  `${left("Idx", 3)} ${left("BE", 2)} ${left("Uuid", 36)} ${left("handle", 6)} ${left("state", 5)} ` +
  `${left("evt-ch", 6)} ${left("ring-ref", 5)} ${left("BE-path", 10)}\n`;

export const formatVtpmRow = (row: DeviceRow & { uuid: string; ringRef: number }): string =>
  `${left(row.devid, 3)} ${left(row.backendDomid, 2)} ${row.uuid} ${right(row.devid, 6)} ${right(row.state, 5)} ` +
  `${right(row.eventChannel, 6)} ${right(row.ringRef, 8)} ${left(row.backendPath, 30)}\n`;

export const formatVkbListHeader = (): string =>
  `${left("Idx", 3)} ${left("BE", 2)} ${left("handle", 6)} ${left("state", 5)} ${left("evt-ch", 6)} ` +
  `${right("ref", 6)} ${left("ID", 10)} ${left("BE-type", 10)} ${left("BE-path", 30)}\n`;

export const formatVkbRow = (
  row: DeviceRow & { ringRef: number; uniqueId: string | null; backendType: string },
): string =>
  `${left(row.devid, 3)} ${left(row.backendDomid, 2)} ${right(row.devid, 6)} ${right(row.state, 5)} ` +
  `${right(row.eventChannel, 6)} ${right(row.ringRef, 6)} ${left(row.uniqueId, 10)} ${left(row.backendType, 10)} ` +
  `${left(row.backendPath, 30)}\n`;

/** A connector of a virtual display, with its two rings. */
export interface ConnectorRow {
  uniqueId: string | null;
  width: number;
  height: number;
  requestRef: number;
  requestChannel: number;
  eventRef: number;
  eventChannel: number;
}

/** xl vdispl-list: a display and its connectors. `handle` is the frontend's domid. */
export function formatVdispl(
  display: Omit<DeviceRow, "eventChannel"> & { handle: number; beAlloc: boolean; frontendPath: string | null },
  connectors: readonly ConnectorRow[],
): string {
  const head =
    `DevId: ${display.devid}, BE: ${display.backendDomid}, handle: ${display.handle}, state: ${display.state}, ` +
    `be-alloc: ${display.beAlloc ? 1 : 0}, BE-path: ${display.backendPath ?? "(null)"}, ` +
    `FE-path: ${display.frontendPath ?? "(null)"}\n`;
  const lines = connectors.map(
    (connector, index) =>
      `\tConnector: ${index}, id: ${connector.uniqueId ?? "(null)"}, width: ${connector.width}, ` +
      `height: ${connector.height}, req-rref: ${connector.requestRef}, req-evtch: ${connector.requestChannel}, ` +
      `evt-rref: ${connector.eventRef}, evt-evtch: ${connector.eventChannel}\n`,
  );
  return head + lines.join("");
}

/** Where a PCI device is, by its numbers. */
export interface PciAddress {
  domain: number;
  bus: number;
  dev: number;
  func: number;
}

/** "0000:01:00.0". */
export const formatBdf = ({ domain, bus, dev, func }: PciAddress): string =>
  `${hex(domain, 4)}:${hex(bus, 2)}:${hex(dev, 2)}.${hex(func)}`;

/** xl pci-list. */
export function formatPciList(devices: readonly (PciAddress & { vdevfn: number })[]): string {
  const lines = devices.map(
    (device) => `${hex((device.vdevfn >> 3) & 0x1f, 2)}.${hex(device.vdevfn & 7)} ${formatBdf(device)}\n`,
  );
  return `Vdev Device\n${lines.join("")}`;
}

/** xl pci-assignable-list; names are shown with -n. */
export const formatPciAssignableList = (devices: readonly (PciAddress & { name: string | null })[]): string =>
  devices.map((device) => `${formatBdf(device)} ${device.name ?? ""}\n`).join("");

/** A USB controller with the device at each port, or null. */
export interface UsbController {
  devid: number;
  type: string;
  backendDomid: number;
  state: number;
  version: number;
  ports: readonly ({ hostbus: number; hostaddr: number } | null)[];
}

/** xl usb-list: a table for every controller. */
export function formatUsbList(controllers: readonly UsbController[]): string {
  const columns = (cells: readonly (string | number)[]): string => {
    const [devid, type, backend, state, version, ports] = cells as [string, string, string, string, string, string];
    return (
      `${left(devid, 6)} ${left(type, 12)} ${left(backend, 3)} ${left(state, 5)} ` +
      `${left(version, 7)} ${left(ports, 5)}\n`
    );
  };
  return controllers
    .map((controller) => {
      const { devid, type, backendDomid, state, version, ports } = controller;
      const lines = ports.map((device, index) => {
        const what = device === null ? "" : ` Bus ${hex(device.hostbus, 3)} Device ${hex(device.hostaddr, 3)}`;
        return `  Port ${index + 1}:${what}\n`;
      });
      return (
        columns(["Devid", "Type", "BE", "state", "usb-ver", "ports"]) +
        columns([devid, type, backendDomid, state, version, ports.length]) +
        lines.join("")
      );
    })
    .join("");
}
