// SPDX-License-Identifier: Apache-2.0
//
// Where in dom0's file system a file can be made: in directories that are there.

import type { Cells } from "../engine/cells.ts";
import { fail } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import { fileCell } from "../daemons/files.ts";

/** Directories every dom0 has, whether or not a file is below them. */
const DIRECTORIES = [
  ".",
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

/** The directory a file is in; a relative path is one below /root, where xl runs. */
function parent(path: string): string {
  const slash = path.lastIndexOf("/");
  return slash < 0 ? "." : path.slice(0, slash) || "/";
}

/** Whether there is a directory of that path. */
export function isDirectory(cells: Cells, path: string): boolean {
  if (DIRECTORIES.includes(path) || cells.get(fileCell, path)?.kind === "directory") return true;
  return cells.ids(fileCell).some((file) => String(file).startsWith(`${path}/`));
}

/** Opens a file for writing (fopen "w"): EISDIR for a directory, ENOENT where there is none to make it in. */
export function openForWriting(cells: Cells, path: string): void | Failure {
  if (cells.get(fileCell, path)?.kind === "directory") return fail("EISDIR");
  return isDirectory(cells, parent(path)) ? undefined : fail("ENOENT");
}
