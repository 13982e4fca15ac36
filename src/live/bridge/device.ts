// SPDX-License-Identifier: Apache-2.0
//
// What the host's device files have in common.

import { errnoNumber } from "../../core/engine/errno.ts";
import type { Failure } from "../../core/engine/errno.ts";
import type { Caller } from "../../core/hypervisor/caller.ts";
import { eachRun } from "../../core/hypervisor/frame-runs.ts";
import type { FrameRuns } from "../../core/hypervisor/frame-runs.ts";
import { NO_FRAME } from "../../core/hypervisor/runs.ts";
import type { FileMemory } from "../guest-memory.ts";
import { FILE_FRAMES, placeOf } from "../guest-memory.ts";
import type { CallerProcess } from "./caller-process.ts";
import type { Mappings, Piece, Release } from "./mappings.ts";
import type { MappingReply, Place, Run, Standing } from "./protocol.ts";

/** A process as devices see it. */
export interface Session {
  readonly id: number;
  readonly process: CallerProcess;
  readonly mappings: Mappings;
}

/** Every kernel does what devices are asked for in its own name; the process is who asked. */
export function callerOf({ domid, name }: CallerProcess): Caller {
  return { domid, process: name };
}

/** PROT_WRITE */
export const PROT_WRITE = 2;

/**
 * Answers a call: its result or its error, and what the caller is to map. May be called later.
 * `always`: an ioctl of that number, whose argument begins with the same word, is refused so on
 * this device as long as the host lives; the library need not ask again. With `Standing`, the result is 0.
 */
export type Answer = (result: number | Failure, mapping?: MappingReply | Standing | "always") => void;

/** What mmap(2) was asked for; a length in whole pages. */
export interface MmapArguments {
  readonly address: number;
  readonly length: number;
  readonly offset: number;
  /** PROT_* */
  readonly prot: number;
  /** Whether by MAP_SHARED. */
  readonly shared: boolean;
}

/** An open device. */
export interface Device {
  /** mmap(2) of it only holds a place free: the library need not ask. */
  readonly holdsPlaces?: boolean;
  /** write(2) is a call, whose result the program wants to know: `write` does it. */
  readonly takesWrites?: boolean;
  /**
   * @param inline the argument's bytes where the library sent them along, as the ioctl's number says
   * @param place one that the argument names, null where it names none
   */
  ioctl(
    session: Session,
    number: number,
    argument: number,
    inline: Buffer,
    answer: Answer,
    place: Place | null,
  ): void;
  /** mmap(2): a place for later mappings, or pages at once. */
  mmap(session: Session, asked: MmapArguments, answer: Answer): void;
  /** write(2) of bytes that are at an address. */
  write?(session: Session, address: number, length: number, answer: Answer): void;
  /** What was written to the descriptor, where that is no call. */
  written?(bytes: Buffer): void;
  /** The last descriptor was closed. */
  close(): void;
}

/** What an open descriptor's other end can be sent. */
export type Send = (bytes: Uint8Array) => void;

/** Opens a device for a process. */
export type OpenDevice = (process: CallerProcess, send: Send) => Device | Failure;

/** A failure as a system call returns it: negative. Xen's numbers are Linux's. */
export function negative({ errno }: Failure): number {
  return -errnoNumber(errno);
}

/** The mapped pages of a list of frames; runs of NO_FRAME stay empty. */
export function piecesOf(frames: FrameRuns): Piece[] {
  const pieces: Piece[] = [];
  let page = 0;
  for (const [mfn, pages] of eachRun(frames)) {
    if (mfn !== NO_FRAME) pieces.push({ page, mfn, pages });
    page += pages;
  }
  return pieces;
}

/**
 * Notes what a process maps and makes the reply that lets it; ENOMEM (null)
 * where the frames' files could run out of space.
 *
 * @param frames machine frames by page; pages of NO_FRAME stay empty
 * @param release gives back what pages hold
 */
export function mapFrames(
  memory: FileMemory,
  session: Session,
  base: number,
  frames: FrameRuns,
  writable: boolean,
  release: Release,
): MappingReply | null {
  const pieces = piecesOf(frames);
  if (!memory.prepareToMap(pieces, writable)) return null;
  const id = session.mappings.add(base, pieces, (gone) => {
    memory.unmapped(gone);
    release(gone);
  });
  return { id, base, runs: runsOf(base, pieces, writable) };
}

/** What is to be mapped where: no run leaves its file. */
function runsOf(base: number, pieces: readonly Piece[], writable: boolean): Run[] {
  const runs: Run[] = [];
  for (const { page, mfn, pages } of pieces) {
    for (let done = 0; done < pages;) {
      const place = placeOf(mfn + done);
      const together = Math.min(pages - done, FILE_FRAMES - place.page);
      runs.push({ address: base + (page + done) * 4096, ...place, pages: together, writable });
      done += together;
    }
  }
  return runs;
}
