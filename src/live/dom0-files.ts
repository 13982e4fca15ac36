// SPDX-License-Identifier: Apache-2.0
//
// Files that come into dom0 from outside, with a command that names them. They
// stay, as a domain may be built from them again when it reboots, until a command
// finds them gone.

import * as fs from "node:fs";
import * as path from "node:path";
import { cellType, must } from "../core/engine/cells.ts";
import type { Cells } from "../core/engine/cells.ts";
import { input } from "../core/engine/input.ts";
import { fileCell, writeFile } from "../core/daemons/files.ts";
import { addBlockDevice, blockDeviceCell, blockNodeCell } from "../core/drivers/backend-devices.ts";

/** Names of files that came from outside; all others are dom0's own. */
const givenFileCell = cellType<{ given: true }>("given-file");

/** A file as it is given; `bytes` may be the beginning only. */
export type GivenFile = {
  name: string;
  kind: "missing" | "directory" | "regular" | "block";
  bytes: Uint8Array;
  size: number;
  /** Of a block device, `major:minor`, hexadecimal; else "". */
  number: string;
};

function remove(cells: Cells, name: string): void {
  if (cells.get(givenFileCell, name) === undefined) return;
  cells.drop(givenFileCell, name);
  cells.drop(fileCell, name);
}

function addDevice(cells: Cells, { name, number, size }: GivenFile): void {
  const known = cells.get(blockDeviceCell, number) ?? cells.get(blockNodeCell, name);
  if (known === undefined) addBlockDevice(cells, number, name, Math.floor(size / 512));
}

function give(cells: Cells, file: GivenFile): void {
  if (file.kind === "missing") return remove(cells, file.name);
  if (file.kind === "block") return addDevice(cells, file);
  writeFile(cells, file.name, file.bytes);
  Object.assign(cells.edit(fileCell, file.name), { kind: file.kind, size: file.size });
  if (cells.get(givenFileCell, file.name) === undefined) cells.add(givenFileCell, file.name, { given: true });
}

/** Files of the outside that a command is about to look for. */
export const filesGiven = input("dom0.files", (host, data: { files: GivenFile[] }) => {
  for (const file of data.files) give(host, file);
});

/** Files that have been taken to the outside. */
export const filesTaken = input("dom0.taken", (host, data: { names: string[] }) => {
  for (const name of data.names) if (host.get(fileCell, name) !== undefined) host.drop(fileCell, name);
});

/** What libxl keeps of dom0 (xen-init-dom0 writes it): `xl list -l` shows it. */
const DOM0_CONFIG = /^\/var\/lib\/xen\/userdata-d\.0\./;

/** Puts dom0's configuration where a libxl outside finds it. */
export function leaveDom0Config(cells: Cells, libXen: string): void {
  for (const name of [...cells.ids(fileCell)].map(String).filter((file) => DOM0_CONFIG.test(file))) {
    fs.mkdirSync(libXen, { recursive: true, mode: 0o700 });
    fs.writeFileSync(path.join(libXen, path.basename(name)), must(cells, fileCell, name).bytes, {
      mode: 0o600,
    });
  }
}
