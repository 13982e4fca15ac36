// SPDX-License-Identifier: Apache-2.0
//
// Where in dom0's file system a file can be made: in directories that are there.

import type { Cells } from "../engine/cells.ts";
import { fileCell } from "../daemons/files.ts";

/** Directories every dom0 has, whether or not a file is below them. */
const DIRECTORIES = [
  "/",
  "/tmp",
  "/mnt",
  "/root",
  "/home",
  "/etc/xen",
  "/var/tmp",
  "/var/lib/xen",
  "/var/lib/xen/dump",
  "/var/log/xen",
];

const parent = (path: string): string => path.slice(0, path.lastIndexOf("/")) || "/";

/** Whether there is a directory of that path. */
export function isDirectory(cells: Cells, path: string): boolean {
  if (DIRECTORIES.includes(path) || cells.get(fileCell, path)?.kind === "directory") return true;
  return cells.ids(fileCell).some((file) => String(file).startsWith(`${path}/`));
}

/** Whether a file of that path can be opened for writing. A relative path is one below /root. */
export function canWrite(cells: Cells, path: string): boolean {
  if (cells.get(fileCell, path)?.kind === "directory") return false;
  return !path.startsWith("/") || isDirectory(cells, parent(path));
}
