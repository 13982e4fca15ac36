// SPDX-License-Identifier: Apache-2.0
//
// A saved domain's file: xl's header with the configuration, libxl's stream, and
// in it libxc's with what the guest was (tools/xl/xl.h, struct save_file_header;
// docs/specs/libxl-migration-stream.pandoc, libxc-migration-stream.pandoc).
//
// No guest instruction runs here, so memory that was never written is not in the
// file, and what the guest was is in an optional record of our own.

import { asciiText, fieldsInOrder, parseAscii } from "../engine/plain.ts";
import { bytesText, textBytes } from "../daemons/files.ts";
import { savedImageOf } from "./save-image.ts";
import type { SavedImage } from "./save-image.ts";

/** The first 32 bytes: a text, a NUL, and line ends that a text-mode transfer would spoil. */
const MAGIC = "Xen saved domain, xl format\n \0 \r";
const BYTEORDER = 0x01020304;
/** XL_MANDATORY_FLAG_JSON and _STREAMv2: the configuration is JSON, the stream is libxl's second. */
const MANDATORY_FLAGS = 3;
const HEADER_BYTES = 48;

const LIBXL_IDENT = "LibxlFmt";
const LIBXL_VERSION = 2;
const LIBXL_RECORD_LIBXC_CONTEXT = 1;
const LIBXL_RECORD_END = 0;

const LIBXC_IDENT = "XENF";
const LIBXC_VERSION = 3;
const LIBXC_RECORD_END = 0;
/** Bit 31: a reader that does not know the record passes over it. */
const LIBXC_RECORD_GUEST = 0x80786e6c;
const GUEST_TYPE = { pv: 1, pvh: 2, hvm: 2 } as const;

function u32(value: number, bigEndian = false): number[] {
  const bytes = [value & 255, (value >>> 8) & 255, (value >>> 16) & 255, value >>> 24];
  return bigEndian ? bytes.toReversed() : bytes;
}

const repeated = (byte: number, count: number): number[] => Array.from({ length: count }, () => byte);

/** A record of either stream: type, length, body, padding to eight bytes. */
function record(type: number, body: Uint8Array): number[] {
  const padding = (8 - (body.length % 8)) % 8;
  return [...u32(type), ...u32(body.length), ...body, ...repeated(0, padding)];
}

/**
 * Bytes before libxc's first record: libxl's header and the record that libxc's stream is in, then libxc's
 * two headers.
 */
const LIBXL_HEADERS_BYTES = 16 + 8;
const LIBXC_HEADERS_BYTES = 24 + 16;

const EMPTY = new Uint8Array(0);

/** libxc's image and domain headers: a marker, an identification, the guest's type and page size, Xen's version. */
function libxcHeaders(type: SavedImage["type"]): number[] {
  const image = [
    ...repeated(255, 8),
    ...textBytes(LIBXC_IDENT),
    ...u32(LIBXC_VERSION, true),
    ...repeated(0, 8),
  ];
  const domain = [...u32(GUEST_TYPE[type]), 12, 0, 0, 0, ...u32(4), ...u32(17)];
  return [...image, ...domain];
}

/** xl's header with a configuration as JSON text: its bytes, and what xl says of it. */
export function saveHeaderOf(config: string): SaveHeader & { bytes: Uint8Array } {
  const text = [...textBytes(config), 0];
  const optionalLength = text.length + 4;
  const bytes = Uint8Array.from([
    ...textBytes(MAGIC),
    ...u32(BYTEORDER),
    ...u32(MANDATORY_FLAGS),
    ...u32(0),
    ...u32(optionalLength),
    ...u32(text.length),
    ...text,
  ]);
  return { mandatoryFlags: MANDATORY_FLAGS, optionalFlags: 0, optionalLength, config, bytes };
}

/** The file of a saved domain. */
export function encodeSaveFile(config: string, image: SavedImage): Uint8Array {
  return Uint8Array.from([
    ...saveHeaderOf(config).bytes,
    ...textBytes(LIBXL_IDENT),
    ...u32(LIBXL_VERSION, true),
    ...u32(0),
    ...record(LIBXL_RECORD_LIBXC_CONTEXT, EMPTY),
    ...libxcHeaders(image.type),
    ...record(LIBXC_RECORD_GUEST, textBytes(asciiText(fieldsInOrder(image)))),
    ...record(LIBXC_RECORD_END, EMPTY),
    ...record(LIBXL_RECORD_END, EMPTY),
  ]);
}

/** xl's header of a saved domain's file. */
export type SaveHeader = {
  mandatoryFlags: number;
  optionalFlags: number;
  optionalLength: number;
  config: string;
};

/** Why a file is no saved domain's: too short, another magic number, another byte order, flags nobody knows. */
export type BadSaveFile = { bad: "truncated header" | "magic" | "byte order" | "flags" | "truncated" };

const read32 = (bytes: Uint8Array, at: number): number =>
  new DataView(bytes.buffer, bytes.byteOffset).getUint32(at, true);

/** Reads xl's header, or says what is wrong with it. */
export function decodeSaveHeader(bytes: Uint8Array): SaveHeader | BadSaveFile {
  if (bytes.length < HEADER_BYTES) return { bad: "truncated header" };
  if (bytesText(bytes.subarray(0, MAGIC.length)) !== MAGIC) return { bad: "magic" };
  if (read32(bytes, 32) !== BYTEORDER) return { bad: "byte order" };
  const [mandatoryFlags, optionalFlags, optionalLength] = [
    read32(bytes, 36),
    read32(bytes, 40),
    read32(bytes, 44),
  ];
  if ((mandatoryFlags & ~MANDATORY_FLAGS) !== 0) return { bad: "flags" };
  if (bytes.length < HEADER_BYTES + optionalLength || optionalLength < 4) return { bad: "truncated" };
  const length = read32(bytes, HEADER_BYTES);
  if (length + 4 > optionalLength) return { bad: "truncated" };
  const config = bytesText(bytes.subarray(HEADER_BYTES + 4, HEADER_BYTES + 4 + length));
  return { mandatoryFlags, optionalFlags, optionalLength, config: config.split("\0")[0] as string };
}

/** Reads the domain out of a file whose header is right; null where the stream has none, or what is none. */
export function decodeImage(bytes: Uint8Array, { optionalLength }: SaveHeader): SavedImage | null {
  let at = HEADER_BYTES + optionalLength + LIBXL_HEADERS_BYTES + LIBXC_HEADERS_BYTES;
  while (at + 8 <= bytes.length) {
    const [type, length] = [read32(bytes, at), read32(bytes, at + 4)];
    const body = bytes.subarray(at + 8, at + 8 + length);
    if (type === LIBXC_RECORD_GUEST) return savedImageOf(parseAscii(bytesText(body)));
    if (type === LIBXC_RECORD_END) return null;
    at += 8 + Math.ceil(length / 8) * 8;
  }
  return null;
}
