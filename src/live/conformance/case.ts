// SPDX-License-Identifier: Apache-2.0
//
// A conformance case: requests and what is to be answered, a line each, as they
// go over the wire. In payloads `|` is NUL, `\xNN` a byte, `%` the path of a node
// the case has for itself.
//
//   A WRITE %/x|1 => OK|             a request of socket A (B, C, ... are others)
//   d1 READ#T %/x| => EACCES         one of domain 1 on its ring, in transaction T
//   A begin T                        TRANSACTION_START
//   A commit T => EAGAIN or OK|      TRANSACTION_END; `abort T` is its other form
//   A hears %/x|token|, %/y|token|   these events have come since, and no others; `nothing`
//   A gets WATCH %/x|t| => WATCH OK|, WATCH_EVENT %/x|t|    all that comes, in order
//   A sends 00ff \xNN...             bytes as they are
//   A is closed                      the connection is at its end; `open`
//   d1 is running                    absent, running, shutdown, dead: Xen's view, and VIRQ_DOM_EXC
//   d1 producer 5000                 the index of its request ring, as no client would set it
//   d1 error 2                       the error field of its ring page
//   d1 floods %/x                    WRITE again and again, until `d1 floods off`
//   A transacts %/x                  a transaction that reads it is committed, if need be after some EAGAINs
//
// What may be answered: one answer, several with ` or `, `~regular expression`,
// `any` answer, `none` for silence, or `closed` for the connection's end. Where
// xenstoreds differ by design, each has its own: `4.17: E2BIG; 4.23: ENOSPC;
// oxenstored: EQUOTA`, and `else` for the rest.

import type { XenstoreVersion } from "../../core/xenstore/version.ts";

/** One case. */
export interface Case {
  /** `group/name`, unique. */
  readonly name: string;
  readonly about: string;
  /** The advisory it is about, as `XSA-115`. */
  readonly advisory?: string;
  /** The profiles it makes sense for; all by default. */
  readonly only?: readonly Profile[];
  readonly lines: readonly string[];
}

/** Whose answers are right. */
export type Profile = XenstoreVersion;

/** Whether a case needs domains. */
export function needsDomains({ lines }: Case): boolean {
  return lines.some((line) => /^d\d+ /.test(line));
}

/** What may be answered under a profile; undefined where the case says nothing for it. */
export function acceptable(expected: string, profile: Profile): readonly string[] | undefined {
  const parts = expected.split("; ");
  if (!/^(?:(?:4\.17|4\.23|oxenstored|else)(?:,|: ))/.test(expected)) return expected.split(" or ");
  let otherwise: readonly string[] | undefined;
  for (const part of parts) {
    const colon = part.indexOf(": ");
    const names = part.slice(0, colon).split(",");
    const answers = part.slice(colon + 2).split(" or ");
    if (names.includes(profile)) return answers;
    if (names.includes("else")) otherwise = answers;
  }
  return otherwise;
}

/** Whether an answer is one of those. */
export function isAcceptable(answer: string, accepted: readonly string[]): boolean {
  return accepted.some((one) => {
    if (one === "any") return answer !== "none" && answer !== "closed";
    return one.startsWith("~") ? new RegExp(`^(?:${one.slice(1)})$`, "s").test(answer) : one === answer;
  });
}

/** Bytes of a payload as a latin1 string. */
export function payloadOf(text: string, root: string): string {
  return text
    .replaceAll("%", root)
    .replaceAll("|", "\0")
    .replaceAll(/\\x([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

/** A payload as lines show it. */
export function shown(bytes: string, root: string): string {
  return bytes
    .replaceAll("\0", "|")
    .replaceAll(root, "%")
    .replaceAll(/[^ -~\n\t]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`);
}
