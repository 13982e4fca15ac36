// SPDX-License-Identifier: Apache-2.0
//
// The files of the simulated dom0 that its tools read and write: kernels,
// configuration, saved domains, libxl's own notes.

import { cellType } from "../engine/cells.ts";
import type { Cells } from "../engine/cells.ts";
import { fail, isFailure } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";

/** A file, by its absolute path. Directories need none: they exist where a file is below them. */
export interface DomainFile {
  kind: "regular" | "block" | "directory";
  /** Contents of a regular file; of a big one that is only looked at, its beginning. */
  bytes: Uint8Array;
  /** Size in bytes: more than `bytes` where only the beginning is kept. */
  size: number;
}

export const fileCell = cellType<DomainFile>("file");

/** Puts a file in place of what was at the path. */
export function writeFile(cells: Cells, path: string, bytes: Uint8Array): void {
  const file: DomainFile = { kind: "regular", bytes, size: bytes.length };
  if (cells.get(fileCell, path) === undefined) cells.add(fileCell, path, file);
  else Object.assign(cells.edit(fileCell, path), file);
}

/** A regular file's contents. ENOENT where there is none, EISDIR for a directory. */
export function readFile(cells: Cells, path: string): Uint8Array | Failure {
  const file = cells.get(fileCell, path);
  if (file === undefined) return fail("ENOENT");
  return file.kind === "directory" ? fail("EISDIR") : file.bytes;
}

/** Removes a file. ENOENT where there is none. */
export function unlink(cells: Cells, path: string): void | Failure {
  if (cells.get(fileCell, path) === undefined) return fail("ENOENT");
  return cells.drop(fileCell, path);
}

/** Text as the bytes of a file: one character, one byte (latin1, as everywhere in the core). */
export function textBytes(text: string): Uint8Array {
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}

/** A file's bytes as text. */
export function bytesText(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 4096)
    text += String.fromCharCode(...bytes.subarray(at, at + 4096));
  return text;
}

/** A text file, or null where there is none. */
export function readFileText(cells: Cells, path: string): string | null {
  const bytes = readFile(cells, path);
  return isFailure(bytes) ? null : bytesText(bytes);
}

/** Writes a text file. */
export function writeFileText(cells: Cells, path: string, text: string): void {
  writeFile(cells, path, textBytes(text));
}
