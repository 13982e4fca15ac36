// SPDX-License-Identifier: Apache-2.0
//
// What runs between the two xls of a migration: the saved domain one way, a few
// words both ways (tools/xl/xl_migrate.c, xl.h). Here it is one host that sends
// to itself.

import { isFailure } from "../engine/errno.ts";
import { cellType, must } from "../engine/cells.ts";
import type { Cells } from "../engine/cells.ts";
import { readFile, unlink, writeFile } from "../daemons/files.ts";

/** A migration's two directions, by the stream's name. */
export interface MigrationLink {
  /** How much of the stream the receiver can read. */
  stream: "nothing" | "header" | "whole";
  /** The sender permits the receiver to start the domain. */
  go: boolean;
  /** What the receiver has said last. */
  said: "nothing" | "banner" | "ready" | "report" | "go";
  /** What it reports: 0 or a code of libxl's. */
  status: number;
  /** Neither side goes on where the other has ended: the receiver with an exit status. */
  senderEnded: boolean;
  exitStatus: number | null;
}

export const migrationLinkCell = cellType<MigrationLink>("migration-link");

/** Opens a link whose stream has that name. */
export function openLink(cells: Cells, stream: string): void {
  cells.add(migrationLinkCell, stream, {
    stream: "nothing",
    go: false,
    said: "nothing",
    status: 0,
    senderEnded: false,
    exitStatus: null,
  });
}

/** Makes bytes of the stream readable. */
export function sendStream(cells: Cells, stream: string, bytes: Uint8Array, whole: boolean): void {
  writeFile(cells, stream, bytes);
  cells.edit(migrationLinkCell, stream).stream = whole ? "whole" : "header";
}

/** Whether all of a file can be read that will ever come: of anything but a link's stream, always. */
export function streamEnded(cells: Cells, file: string): boolean {
  const link = cells.get(migrationLinkCell, file);
  return link === undefined || link.stream === "whole" || link.senderEnded;
}

/** Whether the receiver has said a word, or will never say it. */
export function hasSaid(cells: Cells, stream: string, word: MigrationLink["said"]): boolean {
  const { said, exitStatus } = must(cells, migrationLinkCell, stream);
  return said === word || exitStatus !== null;
}

/** One side ends; the second one forgets the link. */
function forgetUnused(cells: Cells, stream: string): void {
  const { senderEnded, exitStatus } = must(cells, migrationLinkCell, stream);
  if (!senderEnded || exitStatus === null) return;
  if (!isFailure(readFile(cells, stream))) unlink(cells, stream);
  cells.drop(migrationLinkCell, stream);
}

/** The sender ends. */
export function senderEnds(cells: Cells, stream: string): void {
  cells.edit(migrationLinkCell, stream).senderEnded = true;
  forgetUnused(cells, stream);
}

/** The receiver ends. */
export function receiverEnds(cells: Cells, stream: string, exitStatus: number): void {
  cells.edit(migrationLinkCell, stream).exitStatus = exitStatus;
  forgetUnused(cells, stream);
}
