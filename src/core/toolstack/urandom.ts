// SPDX-License-Identifier: Apache-2.0
//
// dom0's random numbers: what libuuid and libxl read from /dev/urandom. A
// generator in the host's state, so that a run can be repeated.

import { cellType } from "../engine/cells.ts";
import type { Host } from "../engine/host.ts";
import { machineOf } from "../hypervisor/machine.ts";

const urandomCell = cellType<{ state: bigint }>("urandom");

const GAMMA = 0x9e3779b97f4a7c15n;

/** The next 64 bits (splitmix64), seeded with the machine. */
function next(host: Host): bigint {
  if (host.get(urandomCell, 0) === undefined)
    host.add(urandomCell, 0, { state: BigInt(machineOf(host).seed) });
  const cell = host.edit(urandomCell, 0);
  cell.state = BigInt.asUintN(64, cell.state + GAMMA);
  let z = cell.state;
  z = BigInt.asUintN(64, (z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n);
  z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94d049bb133111ebn);
  return z ^ (z >> 31n);
}

/** That many random bytes. */
export function randomBytes(host: Host, count: number): number[] {
  const bytes: number[] = [];
  while (bytes.length < count) {
    let word = next(host);
    for (let i = 0; i < 8 && bytes.length < count; i++, word >>= 8n) bytes.push(Number(word & 0xffn));
  }
  return bytes;
}

const hex = (byte: number): string => byte.toString(16).padStart(2, "0");

/** A new UUID, of version 4 (uuid_generate). */
export function randomUuid(host: Host): string {
  const bytes = randomBytes(host, 16);
  bytes[6] = ((bytes[6] as number) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] as number) & 0x3f) | 0x80;
  return bytes
    .map(hex)
    .join("")
    .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

/** A new MAC address in Xen's range, 00:16:3e. */
export function randomMac(host: Host): string {
  const [a = 0, b = 0, c = 0] = randomBytes(host, 3);
  return ["00", "16", "3e", hex(a & 0x7f), hex(b), hex(c)].join(":");
}
