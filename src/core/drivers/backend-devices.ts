// SPDX-License-Identifier: Apache-2.0
//
// What a domain that serves others has for its backends to use: block devices,
// loop devices, bridges, and the network interfaces the backends themselves make.
// dom0's are known by their names alone, those of a driver domain by its number, too.

import { cellType, must } from "../engine/cells.ts";
import type { Cells } from "../engine/cells.ts";
import { fail } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import { fileCell } from "../daemons/files.ts";

/** The identifier of what a domain has of that name: devices of two domains may be called alike. */
export function ofDomain(domid: number, name: string): string {
  return domid === 0 ? name : `d${domid}:${name}`;
}

/** Whose an identifier's thing is, and its name there. */
export function domainOf(id: string): { domid: number; name: string } {
  const [, domid, name] = /^d(\d+):(.*)$/s.exec(id) ?? [];
  return { domid: Number(domid ?? 0), name: name ?? id };
}

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

/** The number of the block device at a path of its domain. */
export const blockNodeCell = cellType<{ number: string }>("block-node");

/** The file behind a loop device, by its path `/dev/loopN`; there is no cell for a free one. */
export const loopCell = cellType<{ domid: number; file: string; minor: number }>("loop-device");

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

/** Which bridges a domain has, by domid, in the order in which they were made. */
export const bridgesCell = cellType<{ names: string[] }>("bridges");

const LOOP_MAJOR = 7;

/** Adds a block device, dom0's where nothing is said, with its node. `number` is `major:minor`, hexadecimal. */
export function addBlockDevice(
  cells: Cells,
  number: string,
  path: string,
  sectors: number,
  { domid = 0, ...fields }: Partial<BlockDevice> & { domid?: number } = {},
): void {
  cells.add(blockDeviceCell, ofDomain(domid, number), {
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
  cells.add(blockNodeCell, ofDomain(domid, path), { number });
  cells.add(fileCell, ofDomain(domid, path), {
    kind: "block",
    bytes: new Uint8Array(0),
    size: sectors * 512,
  });
}

/** Takes a block device of a domain's away. */
export function removeBlockDevice(cells: Cells, domid: number, number: string): void {
  const { path } = must(cells, blockDeviceCell, ofDomain(domid, number));
  cells.drop(blockDeviceCell, ofDomain(domid, number));
  cells.drop(blockNodeCell, ofDomain(domid, path));
  cells.drop(fileCell, ofDomain(domid, path));
}

/** losetup -f: the lowest free loop device of a domain is given a file; its path. */
export function losetup(cells: Cells, domid: number, file: string): string {
  let minor = 0;
  while (cells.get(blockNodeCell, ofDomain(domid, `/dev/loop${minor}`)) !== undefined) minor++;
  const path = `/dev/loop${minor}`;
  cells.add(loopCell, ofDomain(domid, path), { domid, file, minor });
  const { size } = must(cells, fileCell, ofDomain(domid, file));
  addBlockDevice(cells, loopNumber(minor), path, Math.floor(size / 512), { domid });
  return path;
}

/** losetup -d: frees a loop device of a domain's; nothing where it is none. */
export function losetupDelete(cells: Cells, domid: number, path: string): void {
  const loop = cells.get(loopCell, ofDomain(domid, path));
  if (loop === undefined) return;
  cells.drop(loopCell, ofDomain(domid, path));
  removeBlockDevice(cells, domid, loopNumber(loop.minor));
}

const loopNumber = (minor: number): string => `${LOOP_MAJOR}:${minor.toString(16)}`;

/** The loop devices a file of a domain's is behind, as block device numbers. */
export function loopsOf(cells: Cells, domid: number, file: string): string[] {
  return cells
    .ids(loopCell)
    .map((id) => must(cells, loopCell, id))
    .filter((loop) => loop.domid === domid && loop.file === file)
    .map(({ minor }) => loopNumber(minor));
}

/** Makes a bridge, with a network card of its own. EEXIST where the domain has one of that name. */
export function addBridge(cells: Cells, name: string, mtu = 1500, domid = 0): void | Failure {
  if (cells.get(bridgeCell, ofDomain(domid, name)) !== undefined) return fail("EEXIST");
  if (cells.get(bridgesCell, domid) === undefined) cells.add(bridgesCell, domid, { names: [] });
  const { names } = cells.edit(bridgesCell, domid);
  const uplink = `eth${names.length}`;
  names.push(name);
  cells.add(bridgeCell, ofDomain(domid, name), { mtu, uplink, ports: [] });
  cells.add(nicCell, ofDomain(domid, uplink), { up: true, resets: 0 });
}

/** The first bridge that a domain made, or null. */
export function firstBridge(cells: Cells, domid: number): string | null {
  return cells.get(bridgesCell, domid)?.names[0] ?? null;
}

/** Puts an interface of a domain's on a bridge and up. */
export function addToBridge(cells: Cells, domid: number, bridge: string, name: string): void {
  const { ports } = must(cells, bridgeCell, ofDomain(domid, bridge));
  if (!ports.includes(name)) cells.edit(bridgeCell, ofDomain(domid, bridge)).ports.push(name);
  if (cells.get(netDeviceCell, ofDomain(domid, name)) === undefined) return;
  const device = cells.edit(netDeviceCell, ofDomain(domid, name));
  device.bridge = bridge;
  device.up = true;
}

/** Takes an interface of a domain's off a bridge and down. */
export function removeFromBridge(cells: Cells, domid: number, bridge: string, name: string): void {
  const on = cells.edit(bridgeCell, ofDomain(domid, bridge));
  on.ports = on.ports.filter((port) => port !== name);
  if (cells.get(netDeviceCell, ofDomain(domid, name)) === undefined) return;
  const device = cells.edit(netDeviceCell, ofDomain(domid, name));
  device.bridge = null;
  device.up = false;
}

/** `ifconfig NIC up` or `down` in dom0: a card that is taken down is reset. ENODEV where dom0 has no such card. */
export function setNic(cells: Cells, name: string, up: boolean): void | Failure {
  if (cells.get(nicCell, name) === undefined) return fail("ENODEV");
  const nic = cells.edit(nicCell, name);
  if (nic.up && !up) nic.resets++;
  nic.up = up;
}
