// SPDX-License-Identifier: Apache-2.0
//
// Node permissions. They are kept as one string, so that nodes with the same
// permissions share it: the owner's entry, then the others, separated by a
// blank. An entry is a letter, a domid and, but for the owner, `:` and the
// incarnation of the domain it was given to: `n0 r5:1 b7:2`. An entry whose
// incarnation is no longer the living one is stale: listed, but without effect,
// so that a new domain does not inherit what the old one with its domid had.

import { type Cells, cellType } from "../engine/cells.ts";
import { fail, type Failure, isFailure } from "../engine/errno.ts";

export const PERM_READ = 1;
export const PERM_WRITE = 2;
/** Only ever asked for together with others: what the owner and privileged connections have. */
export const PERM_OWNER = 4;
const PERM_ALL = PERM_READ | PERM_WRITE | PERM_OWNER;

/** Stands for every domain in a permission entry, where the version has it. */
export const DOMID_ANY = 0x7ff5;

/** Which of the domains that had this domid is, or was, the last; stays when the domain goes. */
export interface Incarnation {
  /** 1 for the first domain known under this domid, then counting. */
  number: number;
  /** Whether that domain is still known. */
  alive: boolean;
}
export const incarnationType = cellType<Incarnation>("xenstore-incarnation");

/** The number to store in an entry for `domid`: 0, never alive, for a domain that does not exist. */
export function incarnationOf(cells: Cells, domid: number): number {
  const incarnation = cells.get(incarnationType, domid);
  return incarnation?.alive === true ? incarnation.number : 0;
}

/** Whose access is asked for. */
export interface Subject {
  readonly privileged: boolean;
  readonly domid: number;
  /** The domain it acts for (SET_TARGET), or null. */
  readonly target: number | null;
}

const letters = "nrwb";

function bitsOf(letter: number): number {
  return letter === 0x72
    ? PERM_READ
    : letter === 0x77
      ? PERM_WRITE
      : letter === 0x62
        ? PERM_READ | PERM_WRITE
        : 0;
}

/** The owner's domid. */
export function ownerOf(perms: string): number {
  // Nearly all nodes are domain 0's, and nothing is asked more often.
  if (perms.length === 2) return perms.charCodeAt(1) - 0x30;
  const isNegative = perms.charCodeAt(1) === 0x2d;
  let owner = 0;
  for (let at = isNegative ? 2 : 1; at < perms.length; at++) {
    const digit = perms.charCodeAt(at) - 0x30;
    if (digit < 0) break;
    owner = owner * 10 + digit;
  }
  return isNegative ? -owner : owner;
}

/**
 * What `subject` may do (perm_for_conn in xenstored_core.c): the owner and
 * privileged connections everything, else the first entry that is theirs and
 * not stale, else what the owner's entry grants everybody.
 */
export function accessOf(cells: Cells, perms: string, subject: Subject): number {
  if (subject.privileged) return PERM_ALL;
  const owner = ownerOf(perms);
  if (owner === subject.domid || owner === subject.target) return PERM_ALL;
  for (let at = perms.indexOf(" "); at >= 0;) {
    const colon = perms.indexOf(":", at);
    const domid = Number.parseInt(perms.slice(at + 2, colon), 10);
    const next = perms.indexOf(" ", colon);
    if (domid === subject.domid || domid === subject.target || domid === DOMID_ANY) {
      const number = Number.parseInt(next < 0 ? perms.slice(colon + 1) : perms.slice(colon + 1, next), 10);
      const alive =
        domid === DOMID_ANY ? number === 1 : number !== 0 && number === incarnationOf(cells, domid);
      if (alive) return bitsOf(perms.charCodeAt(at + 1));
    }
    at = next;
  }
  return bitsOf(perms.charCodeAt(0));
}

/** How many entries, the owner's included. */
export function permCount(perms: string): number {
  let count = 1;
  for (let at = perms.indexOf(" "); at >= 0; at = perms.indexOf(" ", at + 1)) count++;
  return count;
}

/** As GET_PERMS answers: each entry followed by a NUL, stale ones included. */
export function permsToWire(perms: string): string {
  if (!perms.includes(" ")) return `${perms}\0`;
  return `${perms.replaceAll(/:\d+/g, "").replaceAll(" ", "\0")}\0`;
}

/** One entry of a request. */
export interface PermEntry {
  readonly letter: string;
  readonly domid: number;
}

/** Permissions that are asked for. */
export interface PermRequest {
  readonly entries: readonly PermEntry[];
  /** What `formatPerms` made of them last. */
  formatted: { readonly text: string; readonly incarnations: readonly number[] } | null;
}

/** Texts parsed before: nearly all requests ask for one of a few. */
const parsed = new Map<string, PermRequest>();
/** So many, and no longer ones, are kept; one more, and all are forgotten. */
const PARSED_MAX = 64;
const PARSED_LENGTH_MAX = 64;

/**
 * Entries of a SET_PERMS request, the NUL-terminated strings after its path.
 * EINVAL where one is not a letter of `nrwb` and a number as strtol takes it
 * (xs_strings_to_perms in xs_lib.c).
 */
export function parsePerms(text: string): PermRequest | Failure {
  const known = parsed.get(text);
  if (known !== undefined) return known;
  const entries = parseEntries(text);
  if (isFailure(entries)) return entries;
  const asked: PermRequest = { entries, formatted: null };
  if (text.length > PARSED_LENGTH_MAX) return asked;
  if (parsed.size >= PARSED_MAX) parsed.clear();
  parsed.set(text, asked);
  return asked;
}

function parseEntries(text: string): readonly PermEntry[] | Failure {
  const entries: PermEntry[] = [];
  for (let at = 0; at < text.length;) {
    const end = text.indexOf("\0", at);
    if (end < 0) break;
    const letter = text.charAt(at);
    const domid = parseC(text.slice(at + 1, end));
    if (letter === "\0" || !letters.includes(letter) || domid === undefined) return fail("EINVAL");
    entries.push({ letter, domid });
    at = end + 1;
  }
  return entries;
}

/** A number of at most five digits that does not begin with 0, as nearly all are; else undefined. */
function parsePlain(text: string): number | undefined {
  if (text.length === 0 || text.length > 5 || text.charCodeAt(0) === 0x30)
    return text === "0" ? 0 : undefined;
  let value = 0;
  for (let at = 0; at < text.length; at++) {
    const digit = text.charCodeAt(at) - 0x30;
    if (digit < 0 || digit > 9) return undefined;
    value = value * 10 + digit;
  }
  return value;
}

/** A whole string as C's strtol with base 0 reads it: decimal, 0x, or octal. */
function parseC(text: string): number | undefined {
  const plain = parsePlain(text);
  if (plain !== undefined) return plain;
  const match = /^[ \t\n\v\f\r]*([+-]?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)$/.exec(text);
  if (match === null) return undefined;
  const digits = match[2] as string;
  const octal = digits.length > 1 && digits[0] === "0" && digits[1] !== "x" && digits[1] !== "X";
  const magnitude = octal ? Number.parseInt(digits, 8) : Number(digits);
  return (match[1] === "-" ? -magnitude : magnitude) | 0;
}

/** As stored. `incarnations` says which incarnation of its domid each entry is for, 0 for none. */
export function formatPerms(asked: PermRequest, incarnations: readonly number[]): string {
  const { entries, formatted } = asked;
  if (formatted?.incarnations.every((incarnation, at) => incarnation === incarnations[at]) === true)
    return formatted.text;
  let text = "";
  for (let at = 0; at < entries.length; at++) {
    const { letter, domid } = entries[at] as PermEntry;
    text += at === 0 ? `${letter}${domid}` : ` ${letter}${domid}:${incarnations[at]}`;
  }
  asked.formatted = { text, incarnations };
  return text;
}

/** A permission with what is left of the incarnation when it leaves the store: whether it is in force. */
export interface PermInForce extends PermEntry {
  readonly stale: boolean;
}

/** The entries of stored permissions. The owner's is never stale. */
export function permsInForce(cells: Cells, perms: string): PermInForce[] {
  return perms.split(" ").map((entry, index) => {
    const colon = entry.indexOf(":");
    const domid = Number.parseInt(entry.slice(1, colon < 0 ? undefined : colon), 10);
    const number = index === 0 ? 0 : Number.parseInt(entry.slice(colon + 1), 10);
    const alive = domid === DOMID_ANY ? number === 1 : number !== 0 && number === incarnationOf(cells, domid);
    return { letter: entry.charAt(0), domid, stale: index > 0 && !alive };
  });
}

/** The same permissions with another owner. */
export function withOwner(perms: string, domid: number): string {
  const end = perms.indexOf(" ");
  return `${perms.charAt(0)}${domid}${end < 0 ? "" : perms.slice(end)}`;
}

/**
 * The same permissions without a domain: its entries go, and where it is the
 * owner domain 0 becomes it (remove_domid_from_perm in xenstored_domain.c).
 */
export function withoutDomain(perms: string, domid: number): string {
  const [owner, ...others] = perms.split(" ") as [string, ...string[]];
  const kept = others.filter((entry) => !entry.slice(1).startsWith(`${domid}:`));
  return [ownerOf(owner) === domid ? `${owner.charAt(0)}0` : owner, ...kept].join(" ");
}
