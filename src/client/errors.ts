// SPDX-License-Identifier: Apache-2.0
//
// What can go wrong: xenstored refuses, or there is no xenstored to ask any more.

import { WIRE_ERRORS } from "../core/xenstore/wire.ts";

/** Names of errors on the wire (io/xs_wire.h); xenstored says EINVAL for all others. */
export const ERROR_CODES = WIRE_ERRORS;

/** An error's name on the wire. Other xenstoreds may have others. */
export type XenstoreErrorCode = (typeof ERROR_CODES)[number] | (string & {});

/** xenstored refused a request. */
export class XenstoreError extends Error {
  /** The wire's name: `ENOENT`, `EACCES`, `EAGAIN`, ... */
  readonly code: XenstoreErrorCode;
  /** The request's type as xenstored names it (`READ`), and its path or first argument. */
  readonly request: string;
  readonly argument: string;

  constructor(code: XenstoreErrorCode, request: string, argument: string) {
    super(`${request}${argument === "" ? "" : ` ${argument}`}: ${code}`);
    this.name = "XenstoreError";
    this.code = code;
    this.request = request;
    this.argument = argument;
  }
}

/**
 * The same error, its stack that of who waits for it: made where bytes came in, it
 * would not tell which of a program's requests was refused. To be called from the
 * async function that awaited it.
 */
export function asAwaited(error: unknown): unknown {
  if (error instanceof XenstoreError) Error.captureStackTrace(error, asAwaited);
  return error;
}

/**
 * Why a request has no answer, or a watch no more events:
 * - `XENSTORE_LOST`: the connection broke; whether a request was carried out is not known
 * - `XENSTORE_CLOSED`: `close` was called
 * - `XENSTORE_GONE`: nobody answered for as long as `giveUpMs`
 * - `XENSTORE_PROTOCOL`: what came was no message
 */
export type ConnectionErrorCode = "XENSTORE_LOST" | "XENSTORE_CLOSED" | "XENSTORE_GONE" | "XENSTORE_PROTOCOL";

/** There is no xenstored to ask; `cause` is the system's error where there is one. */
export class XenstoreConnectionError extends Error {
  readonly code: ConnectionErrorCode;

  constructor(code: ConnectionErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? {} : { cause });
    this.name = "XenstoreConnectionError";
    this.code = code;
  }
}
