// SPDX-License-Identifier: Apache-2.0
//
// The xenstore wire protocol: message types, the 16-byte header, and bytes as
// latin1 strings (paths, tokens and values are bytes; one char is one byte).

/** Message types of io/xs_wire.h; 20 (RESTRICT) was removed, 23 to 26 are newer than Xen 4.17. */
export const XS = {
  CONTROL: 0,
  DIRECTORY: 1,
  READ: 2,
  GET_PERMS: 3,
  WATCH: 4,
  UNWATCH: 5,
  TRANSACTION_START: 6,
  TRANSACTION_END: 7,
  INTRODUCE: 8,
  RELEASE: 9,
  GET_DOMAIN_PATH: 10,
  WRITE: 11,
  MKDIR: 12,
  RM: 13,
  SET_PERMS: 14,
  WATCH_EVENT: 15,
  ERROR: 16,
  IS_DOMAIN_INTRODUCED: 17,
  RESUME: 18,
  SET_TARGET: 19,
  RESET_WATCHES: 21,
  DIRECTORY_PART: 22,
  GET_FEATURE: 23,
  SET_FEATURE: 24,
  GET_QUOTA: 25,
  SET_QUOTA: 26,
} as const;

const typeNames = new Map<number, string>(Object.entries(XS).map(([name, type]) => [type, name]));

/** The type's name as xenstored's trace prints it. */
export function typeName(type: number): string {
  return typeNames.get(type) ?? "**UNKNOWN**";
}

/** Names of errors on the wire (xsd_errors in io/xs_wire.h); all others are told as EINVAL. */
export const WIRE_ERRORS = [
  "EINVAL",
  "EACCES",
  "EEXIST",
  "EISDIR",
  "ENOENT",
  "ENOMEM",
  "ENOSPC",
  "EIO",
  "ENOTEMPTY",
  "ENOSYS",
  "EROFS",
  "EBUSY",
  "EAGAIN",
  "EISCONN",
  "E2BIG",
  "EPERM",
] as const;

const wireErrors: ReadonlySet<string> = new Set(WIRE_ERRORS);

/** Whether it is one of the names there are on the wire. */
export function isWireError(name: string): name is (typeof WIRE_ERRORS)[number] {
  return wireErrors.has(name);
}

/** The error that the body of an ERROR reply names; any other name is EINVAL to who asked (`get_error`). */
export function errorNamed(body: string): (typeof WIRE_ERRORS)[number] {
  const [name = ""] = body.split("\0");
  return isWireError(name) ? name : "EINVAL";
}

/** Bytes of a header: type, request id, transaction id, payload length. */
export const HEADER_SIZE = 16;
/** Longest payload in either direction (XENSTORE_PAYLOAD_MAX). */
export const PAYLOAD_MAX = 4096;

/** A complete message within the bytes it was parsed from: the payload is `bytes[start, end)`. */
export interface Packet {
  readonly state: "packet";
  readonly type: number;
  readonly reqId: number;
  readonly txId: number;
  readonly start: number;
  readonly end: number;
}

/** What is at the parser's position: not yet enough, a message, or nonsense that ends the conversation. */
export type Parsed = Packet | { readonly state: "need-more" } | { readonly state: "failed" };

const needMore: Parsed = Object.freeze({ state: "need-more" });
const failed: Parsed = Object.freeze({ state: "failed" });

/** Little-endian u32 at `at`. */
export function readU32(bytes: Uint8Array, at: number): number {
  return (
    ((bytes[at] as number) |
      ((bytes[at + 1] as number) << 8) |
      ((bytes[at + 2] as number) << 16) |
      ((bytes[at + 3] as number) << 24)) >>>
    0
  );
}

/** Writes a little-endian u32 at `at`. */
export function writeU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
  bytes[at + 2] = value >>> 16;
  bytes[at + 3] = value >>> 24;
}

/**
 * Looks for one message at `at`, in what is before `limit`. A length above the maximum fails as soon as
 * the header is there, whatever follows (handle_input in xenstored_core.c).
 */
export function parse(bytes: Uint8Array, at: number, limit = bytes.length): Parsed {
  const start = at + HEADER_SIZE;
  if (limit < start) return needMore;
  const length = readU32(bytes, at + 12);
  if (length > PAYLOAD_MAX) return failed;
  if (limit < start + length) return needMore;
  return {
    state: "packet",
    type: readU32(bytes, at),
    reqId: readU32(bytes, at + 4),
    txId: readU32(bytes, at + 8),
    start,
    end: start + length,
  };
}

/** Writes header and body at `at`; returns where the message ends. `target` must have the room. */
export function encodeInto(
  target: Uint8Array,
  at: number,
  type: number,
  reqId: number,
  txId: number,
  body: string,
): number {
  writeU32(target, at, type);
  writeU32(target, at + 4, reqId);
  writeU32(target, at + 8, txId);
  writeU32(target, at + 12, body.length);
  writeLatin1(target, at + HEADER_SIZE, body);
  return at + HEADER_SIZE + body.length;
}

/** One message as bytes of its own. `body` is a latin1 string. */
export function encode(type: number, reqId: number, txId: number, body: string): Uint8Array {
  const bytes = new Uint8Array(HEADER_SIZE + body.length);
  encodeInto(bytes, 0, type, reqId, txId, body);
  return bytes;
}

/** What Node's Buffer adds to Uint8Array; used where it is there because it is several times faster. */
interface NativeLatin1 {
  latin1Slice?(start: number, end: number): string;
  latin1Write?(text: string, at: number, length: number): number;
}

/** Texts of so many bytes are put together here: calling the engine takes four times as long. */
const SHORT_TEXT = 4;

/** At most SHORT_TEXT bytes as a string. */
function shortText(bytes: Uint8Array, start: number, length: number): string {
  if (length <= 0) return "";
  const [a, b] = [bytes[start] as number, bytes[start + 1] as number];
  if (length === 1) return String.fromCharCode(a);
  if (length === 2) return String.fromCharCode(a, b);
  const c = bytes[start + 2] as number;
  return length === 3
    ? String.fromCharCode(a, b, c)
    : String.fromCharCode(a, b, c, bytes[start + 3] as number);
}

/** Bytes `[start, end)` as a latin1 string that does not keep `bytes` alive. */
export function readLatin1(bytes: Uint8Array, start: number, end: number): string {
  if (end - start <= SHORT_TEXT) return shortText(bytes, start, end - start);
  const native = bytes as NativeLatin1;
  if (native.latin1Slice !== undefined) return native.latin1Slice(start, end);
  let text = "";
  for (let at = start; at < end; at += PAYLOAD_MAX) {
    text += String.fromCharCode.apply(
      null,
      bytes.subarray(at, Math.min(end, at + PAYLOAD_MAX)) as unknown as number[],
    );
  }
  return text;
}

/** Writes a latin1 string at `at`. */
export function writeLatin1(target: Uint8Array, at: number, text: string): void {
  const native = target as NativeLatin1;
  if (native.latin1Write !== undefined && text.length > 8) {
    native.latin1Write(text, at, text.length);
    return;
  }
  for (let i = 0; i < text.length; i++) target[at + i] = text.charCodeAt(i);
}
