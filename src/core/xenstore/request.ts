// SPDX-License-Identifier: Apache-2.0
//
// A request's payload, taken apart the way real xenstored does.

import type { Cells } from "../engine/cells.ts";
import { fail, type Failure } from "../engine/errno.ts";
import type { Caller } from "./caller.ts";
import type { Store } from "./ports.ts";
import { traitsOf } from "./quota.ts";
import { readLatin1 } from "./wire.ts";

/** A request being answered: the payload is `bytes[start, end)`. */
export interface Request {
  readonly caller: Caller;
  readonly type: number;
  readonly reqId: number;
  readonly txId: number;
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
}

/**
 * Answers one type of request. The result is the reply's payload, or why not.
 * A handler that has more to say after its reply (WATCH) leaves it in `after`.
 */
export type Handler = (store: Store, request: Request, after: After) => string | Failure;

/** What to do once the reply is queued. */
export interface After {
  do: (() => void) | undefined;
  /** There is no reply now: whoever the request was passed to sends one later, or ends the process. */
  later?: true;
}

/** The answer of requests that just succeed. */
export const OK = "OK\0";

/**
 * Where the first NUL of `bytes[at, end)` is; `end` where there is none. What is
 * searched is short: the engine's own search takes longer to call.
 */
export function nulFrom(bytes: Uint8Array, from: number, end: number): number {
  let at = from;
  while (at < end && bytes[at] !== 0) at++;
  return at;
}

/** The payload where it is one string with its NUL at the very end, else undefined (onearg in xenstored_core.c). */
export function oneArg({ bytes, start, end }: Request): string | undefined {
  return end > start && nulFrom(bytes, start, end) === end - 1
    ? readLatin1(bytes, start, end - 1)
    : undefined;
}

/** The NUL-terminated strings of the payload, at most `max`; what follows the last NUL is left out. */
export function strings({ bytes, start, end }: Request, max = Number.POSITIVE_INFINITY): string[] {
  const found: string[] = [];
  for (let at = start; at < end && found.length < max;) {
    const nul = nulFrom(bytes, at, end);
    if (nul === end) break;
    found.push(readLatin1(bytes, at, nul));
    at = nul + 1;
  }
  return found;
}

/** How many NULs the payload has. */
export function nulCount({ bytes, start, end }: Request): number {
  let count = 0;
  for (let at = start; at < end; at++) if (bytes[at] === 0) count++;
  return count;
}

const LONG_MAX = 2n ** 63n - 1n;
const LONG_MIN = -(2n ** 63n);

/**
 * A number as C's atoi reads it: leading blanks, a sign, digits, and whatever follows;
 * 0 where there is none. glibc's reads a long, which ends at its limits, and takes the
 * lower half of that.
 */
export function atoi(text: string): number {
  // A few digits, as nearly all are, are read in less time than the expression takes.
  let value = 0;
  let at = 0;
  for (; at < text.length && at < 9; at++) {
    const digit = text.charCodeAt(at) - 0x30;
    if (digit < 0 || digit > 9) break;
    value = value * 10 + digit;
  }
  if (at === text.length) return value;
  const digits = /^[ \t\n\v\f\r]*([+-]?\d+)/.exec(text);
  if (digits === null) return 0;
  const number = BigInt(digits[1] as string);
  const long = number > LONG_MAX ? LONG_MAX : number < LONG_MIN ? LONG_MIN : number;
  return Number(BigInt.asIntN(32, long));
}

/**
 * A domid in a request. Since 4.20 it is a number as strtoul reads it up to the end
 * of the string and at most 65535 (parse_domid in domain.c), else EINVAL; before,
 * whatever atoi makes of it.
 */
export function parseDomid(cells: Cells, text: string): number | Failure {
  if (!traitsOf(cells).strictDomids) return atoi(text) >>> 0;
  const digits = /^(?:[ \t\n\v\f\r]*([+-]?)(\d+))?$/.exec(text);
  if (digits === null) return fail("EINVAL");
  const value = Number(digits[2] ?? "0");
  return value > 65535 || (digits[1] === "-" && value !== 0) ? fail("EINVAL") : value;
}
