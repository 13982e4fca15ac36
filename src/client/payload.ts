// SPDX-License-Identifier: Apache-2.0
//
// Payloads: what callers give as strings or bytes, and what came back.

import { XenstoreError } from "./errors.ts";

/** A path, token or value: a string in the connection's encoding, or the bytes themselves. */
export type Text = string | Uint8Array;

/** How strings are bytes. `latin1` has a character for every byte, so that nothing is lost. */
export type Encoding = "utf8" | "latin1";

/** The bytes of a text. */
export function bytesOf(text: Text, encoding: Encoding): Uint8Array {
  return typeof text === "string" ? Buffer.from(text, encoding) : text;
}

/** Texts that may hold no NUL, each ended by one. Throws XenstoreError EINVAL where one does. */
export function strings(parts: readonly Text[], encoding: Encoding, request: string): Buffer {
  const nul = Uint8Array.of(0);
  const bytes = parts.map((part) => bytesOf(part, encoding));
  if (bytes.some((part) => part.includes(0))) {
    throw new XenstoreError("EINVAL", request, "a path or argument with a NUL in it");
  }
  return Buffer.concat(bytes.flatMap((part) => [part, nul]));
}

/** The strings of a payload, each ended by a NUL. */
export function names(payload: Buffer, encoding: Encoding): string[] {
  const text = payload.toString(encoding);
  return text === "" ? [] : text.slice(0, text.endsWith("\0") ? -1 : undefined).split("\0");
}

/** A text for an error. */
export function shown(text: Text): string {
  return typeof text === "string" ? text : Buffer.from(text).toString("latin1");
}
