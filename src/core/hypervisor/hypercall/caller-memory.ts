// SPDX-License-Identifier: Apache-2.0
//
// What a hypercall's arguments point at lies in its caller's memory: another
// process's. The rim brings it here and takes results back.

import { viewOf } from "../../../abi/struct.ts";
import { fail, isFailure } from "../../engine/errno.ts";
import type { Failure } from "../../engine/errno.ts";

/** The caller's memory. Addresses are the caller's; whatever is not there is EFAULT. */
export interface CallerMemory {
  read(address: number, length: number): Uint8Array | Failure;
  write(address: number, bytes: Uint8Array): 0 | Failure;
}

/** No argument is larger: a garbage count must not make us allocate. */
const ARRAY_BYTES_MAX = 64 << 20;

const TWO_32 = 0x1_0000_0000;

/** Bytes of an array, or E2BIG. */
export function readBytes(memory: CallerMemory, address: number, length: number): Uint8Array | Failure {
  return length > ARRAY_BYTES_MAX ? fail("E2BIG") : memory.read(address, length);
}

/** An array of unsigned 64-bit numbers: frame numbers, below 2^53 where they are valid. */
export function readU64s(memory: CallerMemory, address: number, count: number): number[] | Failure {
  const bytes = readBytes(memory, address, count * 8);
  if (isFailure(bytes)) return bytes;
  const view = viewOf(bytes);
  return Array.from(
    { length: count },
    (_, i) => view.getUint32(i * 8 + 4, true) * TWO_32 + view.getUint32(i * 8, true),
  );
}

/** Writes an array of unsigned 64-bit numbers. */
export function writeU64s(memory: CallerMemory, address: number, values: readonly number[]): 0 | Failure {
  const view = new DataView(new ArrayBuffer(values.length * 8));
  for (const [i, value] of values.entries()) {
    view.setUint32(i * 8, value >>> 0, true);
    view.setUint32(i * 8 + 4, Math.floor(value / TWO_32), true);
  }
  return memory.write(address, new Uint8Array(view.buffer));
}

/** Writes an array of 32-bit numbers. */
export function writeU32s(memory: CallerMemory, address: number, values: readonly number[]): 0 | Failure {
  const view = new DataView(new ArrayBuffer(values.length * 4));
  for (const [i, value] of values.entries()) view.setUint32(i * 4, value, true);
  return memory.write(address, new Uint8Array(view.buffer));
}

/** Writes a text into a field of fixed size, ended by a NUL. */
export function writeText(memory: CallerMemory, address: number, text: string, size: number): 0 | Failure {
  const bytes = new Uint8Array(size);
  for (let i = 0; i < Math.min(text.length, size - 1); i++) bytes[i] = text.charCodeAt(i) & 255;
  return memory.write(address, bytes);
}

/** Characters as bytes, one each. */
export function latin1(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

/** 32 hexadecimal digits for 16 bytes. */
export function hex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** 16 bytes for 32 hexadecimal digits. */
export function unhex(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length / 2);
  for (let at = 0; at < bytes.length; at++) bytes[at] = Number.parseInt(text.slice(at * 2, at * 2 + 2), 16);
  return bytes;
}
