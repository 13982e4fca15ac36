// SPDX-License-Identifier: Apache-2.0
//
// What a broken or hostile client sends: requests that are nearly right, lies
// about lengths, bits that flipped, and noise.

import { encode, HEADER_SIZE, PAYLOAD_MAX, writeU32, XS } from "../../src/core/xenstore/wire.ts";
import type { Chance } from "./chance.ts";

/** Who sends: what a domain names may be anybody's, what a socket names must not hurt the innocent (see store.ts). */
export type Sender = "domain" | "socket";

const types: readonly number[] = Object.values(XS);
const roots: Readonly<Record<Sender, readonly string[]>> = {
  domain: [
    "/r",
    "/s",
    "/local/domain/1",
    "/local/domain/2",
    "/local/domain/5093",
    "/local/domain/5093/own",
    "",
    "/",
  ],
  socket: ["/r", "/s", "/r/d1", "/r/d2", "", "/"],
};
const names = [
  "a",
  "b",
  "c",
  "-_@",
  "\xff\xfe",
  "\xc3\xa9",
  "a b",
  ".",
  "",
  "x".repeat(200),
  "y".repeat(1000),
];
const specials = ["@introduceDomain", "@releaseDomain", "@releaseDomain/1", "@", "@\xff"];
const tokens = ["t", "u", "", "\xff", "z".repeat(900)];
const domids = ["1", "2", "4", "8", "0", "-1", "65535", "65536", "99999999999", "", "x", "1x", "0x4"];
const entries = ["n0", "r1", "w2", "b3", "n1", "b32757", "r4294967295", "q1", "n", "", "b-5", "r0x2", "n01"];
const controls = [
  "check",
  "help",
  "print\0x",
  "print",
  "quota",
  "quota\x001",
  "quota-soft",
  "memreport",
  "log",
  "\xff",
  "",
];

function path(chance: Chance, sender: Sender): string {
  if (chance.once(20)) return chance.of(specials);
  let text = chance.of(roots[sender]);
  for (let depth = chance.below(4); depth > 0; depth--) {
    text += `/${chance.of(chance.once(8) ? names : ["a", "b", "c"])}`;
  }
  return text;
}

function noise(chance: Chance, lengthMax: number): string {
  let text = "";
  for (let left = chance.below(lengthMax); left > 0; left--) text += String.fromCharCode(chance.below(256));
  return text;
}

function value(chance: Chance): string {
  if (chance.once(30)) return "v".repeat(chance.below(PAYLOAD_MAX));
  return chance.once(4) ? noise(chance, 40) : chance.of(["", "1", "22", "\0", "\xff\x80"]);
}

/** A payload as the type wants it. */
function payloadFor(chance: Chance, type: number, sender: Sender): string {
  switch (type) {
    case XS.CONTROL:
      return `${chance.of(controls)}\0`;
    case XS.WRITE:
      return `${path(chance, sender)}\0${value(chance)}`;
    case XS.WATCH:
    case XS.UNWATCH:
      return `${path(chance, sender)}\0${chance.of(tokens)}\0${chance.once(6) ? "1\0" : ""}`;
    case XS.TRANSACTION_END:
      return chance.of(["T\0", "T\0", "F\0", "T", "X\0", ""]);
    case XS.SET_PERMS: {
      const list = Array.from({ length: chance.below(7) }, () => `${chance.of(entries)}\0`);
      return `${path(chance, sender)}\0${list.join("")}`;
    }
    case XS.DIRECTORY_PART:
      return `${path(chance, sender)}\0${chance.of(["0", "3", "4096", "-1", "99999999999", "x", ""])}\0`;
    case XS.INTRODUCE:
      return `${chance.of(["4", "8", "0", "-1", "x", "70000"])}\0${chance.of(domids)}\0${chance.of(domids)}\0`;
    case XS.RELEASE:
      return `${chance.of(["4", "8", "0", "-1", "x", "70000"])}\0`;
    case XS.SET_TARGET:
      return `${chance.of(["4", "8", "x"])}\0${chance.of(["4", "8", "1"])}\0`;
    case XS.GET_DOMAIN_PATH:
    case XS.IS_DOMAIN_INTRODUCED:
    case XS.RESUME:
    case XS.GET_FEATURE:
      return `${chance.of(domids)}\0`;
    case XS.SET_FEATURE:
      return `${chance.of(["4", "8", "x"])}\0${chance.of(["0", "2", "14", "255", "-1", "x"])}\0`;
    case XS.GET_QUOTA:
      return chance.of(["", "nodes\0", "1\0nodes\0", "none\0", "\xff\0", "1\x001\x001\0"]);
    case XS.SET_QUOTA:
      return chance.of(["4\0nodes\x00900\0", "8\0watches\x000\0", "none\x001\0", "\0\0\0", "4\0nodes\0x\0"]);
    default:
      return `${path(chance, sender)}\0`;
  }
}

/** A request: mostly one that could be meant so. `transactions` are identifiers the sender has. */
function request(chance: Chance, sender: Sender, transactions: readonly number[]): Uint8Array {
  const type = chance.once(40) ? chance.of([20, 27, 15, 16, 99, 0x7fff_ffff, 0xffff_ffff]) : chance.of(types);
  let payload = payloadFor(chance, type, sender);
  if (chance.once(12)) payload = payload.slice(0, chance.below(payload.length + 1));
  if (chance.once(12)) payload += noise(chance, 20);
  if (chance.once(40) && sender === "domain") payload = noise(chance, 300);
  const ids = [0, 0, chance.u32(), ...transactions, ...transactions];
  return encode(type, chance.u32(), chance.of(ids), payload.slice(0, PAYLOAD_MAX));
}

/** Lengths that lie: less or more than follows, too much, and what is negative to who does not look. */
const lies = (length: number): readonly number[] => [
  length - 1,
  length + 1,
  length + 17,
  0,
  PAYLOAD_MAX,
  PAYLOAD_MAX + 1,
  0x7fff_ffff,
  0x8000_0000,
  0xffff_ffff,
  0xffff_fff0,
];

/** The next bytes of a sender: a message, or what should be one. */
export function nextBytes(chance: Chance, sender: Sender, transactions: readonly number[]): Uint8Array {
  const message = request(chance, sender, transactions);
  const kind = chance.below(100);
  if (kind < 90) return message;
  if (kind < 93) {
    writeU32(message, 12, chance.of(lies(message.length - HEADER_SIZE)));
    return message;
  }
  // Flipped bits, but for a socket not in the payload: it could then name what is the innocent's.
  if (kind < 97) {
    const most = sender === "domain" ? message.length : HEADER_SIZE;
    for (let flips = 1 + chance.below(3); flips > 0; flips--) {
      const at = chance.below(most);
      message[at] = (message[at] as number) ^ (1 << chance.below(8));
    }
    return message;
  }
  if (kind < 99) return message.subarray(0, chance.below(message.length));
  return Uint8Array.from({ length: chance.below(64) }, () => chance.below(256));
}
