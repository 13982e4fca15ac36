// SPDX-License-Identifier: Apache-2.0
//
// Permissions as oxenstored has them (perms.ml): an entry counts whether its
// domain exists or not, and goes when that dies. They are kept as the others are
// (../perms.ts), but without incarnations; domids are what `%u` prints of a 63-bit
// integer, so that even negative ones are told apart.

import { fail, type Failure } from "../../engine/errno.ts";

/** Who asks: the connection's domain, and the one it acts for. */
export interface Subject {
  readonly domid: number;
  readonly target: number | null;
}

/** Whether everything is allowed to it (is_dom0). */
export function isDom0({ domid, target }: Subject): boolean {
  return domid === 0 || target === 0;
}

/** The owner's domid as text. */
export function ownerText(perms: string): string {
  const end = perms.indexOf(" ");
  return perms.slice(1, end < 0 ? undefined : end);
}

function isOwner(perms: string, subject: Subject): boolean {
  const owner = ownerText(perms);
  return owner === String(subject.domid) || owner === String(subject.target);
}

/** Whether a node is the subject's own, as SET_PERMS asks (check_owner). */
export function owns(perms: string, subject: Subject): boolean {
  return isDom0(subject) || isOwner(perms, subject);
}

/** Whether the subject may read (`r`) or write (`w`) a node: it itself, or the domain it acts for (lacks). */
export function allows(perms: string, subject: Subject, want: "r" | "w"): boolean {
  if (owns(perms, subject)) return true;
  const [other, ...acl] = perms.split(" ") as [string, ...string[]];
  return [subject.domid, subject.target].some((domid) => {
    if (domid === null) return false;
    const entry = acl.find((one) => one.slice(1) === String(domid)) ?? other;
    return entry.startsWith(want) || entry.startsWith("b");
  });
}

/** A whole string as OCaml's int_of_string reads it: a sign, a base, digits and `_`; undefined for no number. */
export function intOfString(text: string): bigint | undefined {
  const match = /^([+-]?)(0[xX]|0[oO]|0[bB]|0[uU])?([0-9a-fA-F][0-9a-fA-F_]*)$/.exec(text);
  if (match === null) return undefined;
  const [, sign, base = "", written = ""] = match;
  const kind = base.toLowerCase();
  const digits = written.replaceAll("_", "");
  const allowed =
    kind === "0x" ? /^[0-9a-f]+$/i : kind === "0o" ? /^[0-7]+$/ : kind === "0b" ? /^[01]+$/ : /^\d+$/;
  if (!allowed.test(digits)) return undefined;
  const magnitude = BigInt(kind === "" || kind === "0u" ? digits : kind + digits);
  // Numbers without a base have a sign, and must fit; the others may fill all 63 bits.
  const most = kind === "" ? 2n ** 62n - (sign === "-" ? 0n : 1n) : 2n ** 63n - 1n;
  if (magnitude > most) return undefined;
  return BigInt.asIntN(63, sign === "-" ? -magnitude : magnitude);
}

/** What follows the path in a SET_PERMS request, as it is kept; EINVAL where it is no list of entries. */
export function parseNodePerms(text: string): string | Failure {
  // Whatever follows the last NUL does not count.
  const entries = text.split("\0").slice(0, -1);
  if (entries.length === 0) return fail("EINVAL");
  const kept: string[] = [];
  for (const entry of entries) {
    const domid = intOfString(entry.slice(1));
    if (!/^[nrwb]/.test(entry) || domid === undefined) return fail("EINVAL");
    kept.push(entry.charAt(0) + String(BigInt.asUintN(63, domid)));
  }
  return kept.join(" ");
}

/** The same permissions without the entries of a domain; the owner's stays (remove_domid). */
export function withoutEntries(perms: string, domid: number): string {
  const [owner, ...acl] = perms.split(" ") as [string, ...string[]];
  return [owner, ...acl.filter((entry) => entry.slice(1) !== String(domid))].join(" ");
}
