// SPDX-License-Identifier: Apache-2.0
//
// What the simulated dom0 has for its backends to use: block devices, loop
// devices, bridges, and the network interfaces the backends themselves make.

import { cellType, must } from "../engine/cells.ts";
import type { Cells } from "../engine/cells.ts";
import { fail } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import { fileCell } from "../daemons/files.ts";

/** A block device, by its number as `stat -c %t:%T` prints it: hexadecimal `major:minor`. */
export interface BlockDevice {
  /** Its node, `/dev/loop0`. */
  path: string;
  /** Sectors of 512 bytes. */
  sectors: number;
  readonly: boolean;
  sectorSize: number;
  physicalSectorSize: number;
  /** Whether it has a write cache to flush. */
  flush: boolean;
  /** Bytes that can be discarded at a time; 0 where it cannot. */
  discardGranularity: number;
  /** How dom0 itself has it mounted. */
  mounted: "no" | "ro" | "rw";
  /** How many have it open. */
  openers: number;
}

export const blockDeviceCell = cellType<BlockDevice>("block-device");

/** The number of the block device at a path. */
export const blockNodeCell = cellType<{ number: string }>("block-node");

/** The file behind a loop device, by its number N of `/dev/loopN`; there is no cell for a free one. */
export const loopCell = cellType<{ file: string }>("loop-device");

/** A bridge, by name. */
export interface Bridge {
  mtu: number;
  /** The network card through which it reaches the rest of the world. */
  uplink: string;
  /** Guests' interfaces on it, in the order in which they were added. */
  ports: string[];
}

export const bridgeCell = cellType<Bridge>("bridge");

/** A network interface a backend made, by name. */
export interface NetDevice {
  mtu: number;
  up: boolean;
  bridge: string | null;
}

export const netDeviceCell = cellType<NetDevice>("net-device");

/** A network card, by name: `eth0`. */
export interface Nic {
  up: boolean;
  /** How often it was taken down: its driver frees what it holds then. */
  resets: number;
}

export const nicCell = cellType<Nic>("nic");

/** Which bridges there are, in the order in which they were made. */
export const bridgesCell = cellType<{ names: string[] }>("bridges");

const LOOP_MAJOR = 7;

/** Adds a block device with its node. `number` is `major:minor`, hexadecimal. */
export function addBlockDevice(
  cells: Cells,
  number: string,
  path: string,
  sectors: number,
  fields: Partial<BlockDevice> = {},
): void {
  cells.add(blockDeviceCell, number, {
    path,
    sectors,
    readonly: false,
    sectorSize: 512,
    physicalSectorSize: 512,
    flush: true,
    discardGranularity: 4096,
    mounted: "no",
    openers: 0,
    ...fields,
  });
  cells.add(blockNodeCell, path, { number });
  cells.add(fileCell, path, { kind: "block", bytes: new Uint8Array(0), size: sectors * 512 });
}

/** Takes a block device away. */
export function removeBlockDevice(cells: Cells, number: string): void {
  const { path } = must(cells, blockDeviceCell, number);
  cells.drop(blockDeviceCell, number);
  cells.drop(blockNodeCell, path);
  cells.drop(fileCell, path);
}

/** losetup -f: the lowest free loop device is given a file; its path. */
export function losetup(cells: Cells, file: string): string {
  let minor = 0;
  while (
    cells.get(loopCell, minor) !== undefined ||
    cells.get(blockNodeCell, `/dev/loop${minor}`) !== undefined
  )
    minor++;
  const path = `/dev/loop${minor}`;
  cells.add(loopCell, minor, { file });
  addBlockDevice(
    cells,
    `${LOOP_MAJOR}:${minor.toString(16)}`,
    path,
    Math.floor(must(cells, fileCell, file).size / 512),
  );
  return path;
}

/** losetup -d: frees a loop device; nothing where it is none. */
export function losetupDelete(cells: Cells, path: string): void {
  const minor = Number(/^\/dev\/loop(\d+)$/.exec(path)?.[1] ?? -1);
  if (cells.get(loopCell, minor) === undefined) return;
  cells.drop(loopCell, minor);
  removeBlockDevice(cells, `${LOOP_MAJOR}:${minor.toString(16)}`);
}

/** The loop devices a file is behind, as block device numbers. */
export function loopsOf(cells: Cells, file: string): string[] {
  return cells
    .ids(loopCell)
    .filter((minor) => must(cells, loopCell, minor).file === file)
    .map((minor) => `${LOOP_MAJOR}:${(minor as number).toString(16)}`);
}

/** Makes a bridge, with a network card of its own. EEXIST where there is one of that name. */
export function addBridge(cells: Cells, name: string, mtu = 1500): void | Failure {
  if (cells.get(bridgeCell, name) !== undefined) return fail("EEXIST");
  if (cells.get(bridgesCell, 0) === undefined) cells.add(bridgesCell, 0, { names: [] });
  const { names } = cells.edit(bridgesCell, 0);
  const uplink = `eth${names.length}`;
  names.push(name);
  cells.add(bridgeCell, name, { mtu, uplink, ports: [] });
  cells.add(nicCell, uplink, { up: true, resets: 0 });
}

/** The first bridge that was made, or null. */
export function firstBridge(cells: Cells): string | null {
  return cells.get(bridgesCell, 0)?.names[0] ?? null;
}

/** Puts an interface on a bridge and up. */
export function addToBridge(cells: Cells, bridge: string, name: string): void {
  const { ports } = must(cells, bridgeCell, bridge);
  if (!ports.includes(name)) cells.edit(bridgeCell, bridge).ports.push(name);
  if (cells.get(netDeviceCell, name) === undefined) return;
  const device = cells.edit(netDeviceCell, name);
  device.bridge = bridge;
  device.up = true;
}

/** Takes an interface off a bridge and down. */
export function removeFromBridge(cells: Cells, bridge: string, name: string): void {
  const on = cells.edit(bridgeCell, bridge);
  on.ports = on.ports.filter((port) => port !== name);
  if (cells.get(netDeviceCell, name) === undefined) return;
  const device = cells.edit(netDeviceCell, name);
  device.bridge = null;
  device.up = false;
}

/** `ifconfig NIC up` or `down`: a card that is taken down is reset. ENODEV where dom0 has no such card. */
export function setNic(cells: Cells, name: string, up: boolean): void | Failure {
  if (cells.get(nicCell, name) === undefined) return fail("ENODEV");
  const nic = cells.edit(nicCell, name);
  if (nic.up && !up) nic.resets++;
  nic.up = up;
}
