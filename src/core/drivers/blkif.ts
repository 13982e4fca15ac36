// SPDX-License-Identifier: Apache-2.0
//
// What blkfront and blkback put into their ring (xen/include/public/io/blkif.h,
// x86_64 layout).

import { readU32, writeU32 } from "../xenstore/wire.ts";
import { ringLayout } from "./ring.ts";

export const BLKIF_OP_READ = 0;
export const BLKIF_OP_WRITE = 1;

export const BLKIF_RSP_OKAY = 0;
export const BLKIF_RSP_ERROR = 0xffff;

/** Most segments of a request that lies in the ring itself. */
export const SEGMENTS_MAX = 11;

const SEGMENTS_OFFSET = 24;
const SEGMENT_BYTES = 8;

/** 32 slots of 112 bytes. */
export const blkifLayout = ringLayout(112);

/** A request, as a frontend makes it. Each segment is a whole page. */
export interface BlkifRequest {
  operation: number;
  id: number;
  sector: number;
  /** Grant references of the pages. */
  refs: number[];
}

/** The request's bytes. */
export function encodeRequest({ operation, id, sector, refs }: BlkifRequest): Uint8Array {
  const bytes = new Uint8Array(blkifLayout.slotBytes);
  bytes[0] = operation;
  bytes[1] = refs.length;
  writeU32(bytes, 8, id);
  writeU32(bytes, 16, sector);
  refs.forEach((ref, at) => {
    writeU32(bytes, SEGMENTS_OFFSET + at * SEGMENT_BYTES, ref);
    bytes[SEGMENTS_OFFSET + at * SEGMENT_BYTES + 5] = 7;
  });
  return bytes;
}

/** A request as a backend reads it; more segments than there can be are cut off, the request is bad then. */
export function decodeRequest(bytes: Uint8Array): BlkifRequest & { bad: boolean } {
  const count = bytes[1] as number;
  const refs = Array.from({ length: Math.min(count, SEGMENTS_MAX) }, (_, at) =>
    readU32(bytes, SEGMENTS_OFFSET + at * SEGMENT_BYTES),
  );
  return {
    operation: bytes[0] as number,
    id: readU32(bytes, 8),
    sector: readU32(bytes, 16),
    refs,
    bad: count > SEGMENTS_MAX || count === 0 || (bytes[0] as number) > BLKIF_OP_WRITE,
  };
}

/** A response's bytes: id, operation, status. */
export function encodeResponse(id: number, operation: number, status: number): Uint8Array {
  const bytes = new Uint8Array(16);
  writeU32(bytes, 0, id);
  bytes[8] = operation;
  bytes[10] = status & 0xff;
  bytes[11] = status >> 8;
  return bytes;
}

/** A response as a frontend reads it. */
export function decodeResponse(bytes: Uint8Array): { id: number; status: number } {
  return { id: readU32(bytes, 0), status: (bytes[10] as number) | ((bytes[11] as number) << 8) };
}
