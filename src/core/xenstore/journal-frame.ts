// SPDX-License-Identifier: Apache-2.0
//
// The bytes of a journal: a header, then frames. A frame has records of the
// migration stream that belong together, a number that counts frames, and a
// checksum, so that a frame is either there as it was written or not at all.
//
//   header  "xljournl", version (u32), checksum of these twelve bytes (u32)
//   frame   length of the records (u32), checksum of what follows (u32),
//           kind (u32), 0 (u32), number (u64), records
//
// All little-endian; records are a multiple of eight bytes, and so are frames.

import { readLatin1, readU32, writeLatin1, writeU32 } from "./wire.ts";

const MAGIC = "xljournl";
const VERSION = 1;
export const JOURNAL_HEADER_SIZE = 16;
export const FRAME_HEADER_SIZE = 24;

/** What a frame is: a piece of a checkpoint, its end, or changes that happened together. */
export const FRAME = { CHECKPOINT: 1, CHECKPOINT_END: 2, CHANGES: 3 } as const;

const table = new Uint32Array(4 * 256);
for (let n = 0; n < 256; n++) {
  let value = n;
  for (let bit = 0; bit < 8; bit++) value = (value & 1) === 0 ? value >>> 1 : (value >>> 1) ^ 0x82f63b78;
  table[n] = value;
}
for (let n = 0; n < 768; n++) {
  const before = table[n] as number;
  table[n + 256] = (table[before & 0xff] as number) ^ (before >>> 8);
}

/** CRC-32C of `bytes[start, end)`. */
export function crc32c(bytes: Uint8Array, start: number, end: number): number {
  let crc = 0xffffffff;
  let at = start;
  for (; at + 4 <= end; at += 4) {
    crc ^= readU32(bytes, at);
    crc =
      (table[768 + (crc & 0xff)] as number) ^
      (table[512 + ((crc >>> 8) & 0xff)] as number) ^
      (table[256 + ((crc >>> 16) & 0xff)] as number) ^
      (table[crc >>> 24] as number);
  }
  for (; at < end; at++) crc = (table[(crc ^ (bytes[at] as number)) & 0xff] as number) ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

/** What a journal begins with. */
export function journalHeader(): Uint8Array {
  const bytes = new Uint8Array(JOURNAL_HEADER_SIZE);
  writeLatin1(bytes, 0, MAGIC);
  writeU32(bytes, 8, VERSION);
  writeU32(bytes, 12, crc32c(bytes, 0, 12));
  return bytes;
}

/** What is wrong with a header, or undefined. */
export function headerProblem(bytes: Uint8Array): string | undefined {
  if (bytes.length === 0) return "it is empty, which a journal never is; where nothing was in it, remove it";
  if (bytes.length < JOURNAL_HEADER_SIZE || readLatin1(bytes, 0, 8) !== MAGIC) return "this is not a journal";
  const version = readU32(bytes, 8);
  if (readU32(bytes, 12) !== crc32c(bytes, 0, 12)) return "the header is damaged";
  return version === VERSION ? undefined : `version ${version} of the journal is not known`;
}

/** One frame's bytes. */
export function encodeFrame(kind: number, number: number, records: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(FRAME_HEADER_SIZE + records.length);
  writeU32(bytes, 0, records.length);
  writeU32(bytes, 8, kind);
  writeU32(bytes, 16, number >>> 0);
  writeU32(bytes, 20, Math.floor(number / 2 ** 32));
  bytes.set(records, FRAME_HEADER_SIZE);
  writeU32(bytes, 4, crc32c(bytes, 8, bytes.length));
  return bytes;
}

/** A frame in the bytes it was found in: its records are `bytes[start, end)`. */
export interface Frame {
  readonly kind: number;
  readonly number: number;
  readonly start: number;
  readonly end: number;
}

/** The frame at `at`, or undefined where there is no sound one. */
export function frameAt(bytes: Uint8Array, at: number): Frame | undefined {
  const start = at + FRAME_HEADER_SIZE;
  if (start > bytes.length) return undefined;
  const end = start + readU32(bytes, at);
  if (end > bytes.length || readU32(bytes, at + 12) !== 0) return undefined;
  const kind = readU32(bytes, at + 8);
  if (kind < FRAME.CHECKPOINT || kind > FRAME.CHANGES) return undefined;
  if (readU32(bytes, at + 4) !== crc32c(bytes, at + 8, end)) return undefined;
  return { kind, number: readU32(bytes, at + 16) + readU32(bytes, at + 20) * 2 ** 32, start, end };
}

/** Where a sound frame begins that came after frame `number`, from `at` on; -1 where none does. */
export function laterFrame(bytes: Uint8Array, at: number, number: number): number {
  for (let offset = at; offset + FRAME_HEADER_SIZE <= bytes.length; offset += 8) {
    if (readU32(bytes, offset + 20) > 0x1fffff) continue;
    const frame = frameAt(bytes, offset);
    if (frame !== undefined && frame.number > number) return offset;
  }
  return -1;
}
