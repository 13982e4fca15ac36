// SPDX-License-Identifier: Apache-2.0
//
// A device on one of a kernel's two xenbus buses: backends below `backend`,
// frontends below `device` (Linux struct xenbus_device, struct xenbus_driver).

import { cellType, must } from "../engine/cells.ts";
import type { Cells, DeepReadonly } from "../engine/cells.ts";
import { assert } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import type { Routine } from "../engine/routine.ts";
import { parentOf } from "../xenstore/path.ts";
import { xenbusCell } from "./xenbus.ts";

export type Bus = "backend" | "frontend";

/** Where a bus's devices are below the domain's own directory. */
export const busRoot: Record<Bus, string> = { backend: "backend", frontend: "device" };

/** Slashes in a device's node name: `backend/vif/1/0`, `device/vif/0`. */
export const busLevels: Record<Bus, number> = { backend: 3, frontend: 2 };

/** A device a kernel knows. Its identifier is `<domid>/<nodename>`. */
export interface XenbusDevice {
  domid: number;
  bus: Bus;
  /** Relative to the domain's directory: `backend/vif/1/0`. */
  nodename: string;
  devicetype: string;
  /** What the kernel believes it wrote to its own state node. */
  state: number;
  /** The module whose driver is bound to it, or null. */
  driver: string | null;
  /** The other end's directory, absolute, or null while it is not known. */
  otherend: string | null;
  otherendId: number;
  /** Token of the watch on the other end's state, or null. */
  otherendWatch: string | null;
  /** `dev->down`: completed by `xenbus_frontend_closed`. */
  down: boolean;
}

export const xenbusDeviceCell = cellType<XenbusDevice>("xenbus-device");

/** The devices of one bus, in order of registration, by `<domid>/<bus>`: what `bus_for_each_dev` visits. */
export const xenbusBusCell = cellType<{ devices: string[] }>("xenbus-bus");

/**
 * The devices of one parent node, in order of registration, by `<domid>/<parent>`:
 * those of one frontend domain among a bus's many. No cell where there is none.
 */
const siblingsCell = cellType<{ devices: string[] }>("xenbus-siblings");

/** What a driver's routines are called with. */
export interface DeviceArgs {
  /** The device's identifier. */
  device: string;
  domid: number;
}

/** The same device, for a routine that is called on its behalf. */
export function sameDevice({ device, domid }: DeviceArgs): DeviceArgs {
  return { device, domid };
}

/** A driver (`struct xenbus_driver`), by bus and device type. */
export interface XenbusDriver {
  /** The kernel module it comes in: its name in a stack. */
  module: string;
  bus: Bus;
  type: string;
  probe: Routine<DeviceArgs, void>;
  remove: Routine<DeviceArgs, void> | null;
  /** Whether a toolstack may bind the device anew: its state is left as it is then, unless it is Closing. */
  allowRebind: boolean;
  /** Called with the state the other end shows. */
  otherendChanged: Routine<DeviceArgs & { state: number }, void>;
  /** Drops what the driver keeps of a device, if anything: its kernel is no more, or could not set it up. */
  forget: (host: Host, device: string) => void;
}

const drivers = new Map<string, XenbusDriver>();

/** Makes a driver known to the program; a kernel has it once its module is loaded. */
export function xenbusDriver(driver: XenbusDriver): XenbusDriver {
  assert(!drivers.has(driver.module), `driver ${driver.module} defined twice`);
  drivers.set(driver.module, driver);
  return driver;
}

/** The driver of a module, where there is such a module. */
export function findDriver(module: string): XenbusDriver | undefined {
  return drivers.get(module);
}

/** The driver of a module, which must exist. */
export function driverOf(module: string): XenbusDriver {
  const driver = drivers.get(module);
  assert(driver !== undefined, `no driver ${module}`);
  return driver;
}

/** The module whose driver a kernel would bind to such a device, or null. */
export function xenbusMatch(cells: Cells, domid: number, bus: Bus, type: string): string | null {
  const { modules } = must(cells, xenbusCell, domid);
  const found = modules.find((module) => {
    const driver = driverOf(module);
    return driver.bus === bus && driver.type === type;
  });
  return found ?? null;
}

/** The device, which must exist. */
export function deviceOf(cells: Cells, device: string): DeepReadonly<XenbusDevice> {
  return must(cells, xenbusDeviceCell, device);
}

/** The device a kernel has at that node, or undefined: `xenbus_device_find`. */
export function findDevice(cells: Cells, domid: number, nodename: string): string | undefined {
  const id = `${domid}/${nodename}`;
  return cells.get(xenbusDeviceCell, id) === undefined ? undefined : id;
}

/** Puts a new device on its bus. */
export function putOnBus(host: Host, device: string): void {
  const { domid, bus, nodename } = deviceOf(host, device);
  host.edit(xenbusBusCell, `${domid}/${bus}`).devices.push(device);
  const parent = `${domid}/${parentOf(nodename)}`;
  if (host.get(siblingsCell, parent) === undefined) host.add(siblingsCell, parent, { devices: [device] });
  else host.edit(siblingsCell, parent).devices.push(device);
}

/** Takes a device off its bus. */
export function takeOffBus(host: Host, device: string): void {
  const { domid, bus, nodename } = deviceOf(host, device);
  const { devices } = host.edit(xenbusBusCell, `${domid}/${bus}`);
  devices.splice(devices.lastIndexOf(device), 1);
  const parent = `${domid}/${parentOf(nodename)}`;
  const siblings = host.edit(siblingsCell, parent).devices;
  if (siblings.length === 1) host.drop(siblingsCell, parent);
  else siblings.splice(siblings.indexOf(device), 1);
}

/**
 * Identifiers of the devices at a path or below it, in order of registration.
 * Linux compares the path with every device of the bus (bus_for_each_dev in
 * xenbus_cleanup_devices); here only a whole type's path is looked for so.
 */
export function devicesBelow(cells: Cells, domid: number, bus: Bus, path: string): readonly string[] {
  const depth = path.split("/").length - 1;
  if (depth >= busLevels[bus]) {
    const device = depth === busLevels[bus] ? findDevice(cells, domid, path) : undefined;
    return device === undefined ? [] : [device];
  }
  if (depth === busLevels[bus] - 1) return cells.get(siblingsCell, `${domid}/${path}`)?.devices ?? [];
  return devicesOn(cells, domid, bus).filter((device) => device.startsWith(`${domid}/${path}/`));
}

/** Identifiers of a bus's devices, in order of registration. */
export function devicesOn(cells: Cells, domid: number, bus: Bus): readonly string[] {
  return cells.get(xenbusBusCell, `${domid}/${bus}`)?.devices ?? [];
}
