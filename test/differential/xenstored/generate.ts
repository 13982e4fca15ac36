// SPDX-License-Identifier: Apache-2.0
//
// Sequences at random: mostly sensible requests on a small tree, so that they
// meet, and now and then what no sensible client would send.

import fc from "fast-check";
import type { RequestName } from "../../../src/core/xenstore/test-client.ts";
import {
  CONNECTIONS,
  DOMAINS,
  type RequestStep,
  type Sequence,
  SOCKETS,
  type Step,
  TRANSACTIONS,
} from "./steps.ts";

const names = fc.constantFrom("a", "b", "c");

/** Paths in a small tree that everybody uses. */
const commonPath = fc
  .tuple(
    fc.constantFrom("/r", "/r", "/r", "/s", "", "", "/local/domain/1", "/local/domain/2"),
    fc.array(names, { minLength: 0, maxLength: 3 }),
  )
  .map(([root, rest]) => (root === "" ? rest.join("/") || "a" : [root, ...rest].join("/")));

/** Paths that are special, forbidden, or at an edge. */
const oddPath = fc.oneof(
  fc.constantFrom(
    "/",
    "",
    "//",
    "/r/",
    "/r//a",
    "r/",
    "/r/a b",
    "/r/\xe9",
    "/r/a.b",
    "/r/a:b",
    "/r/@x",
    "/r/-_@Z9",
    "@releaseDomain",
    "@introduceDomain",
    "@releaseDomain/1",
    "@other",
    "@",
    "/@releaseDomain",
    "/tool",
    "/tool/xenstored",
    "/r/\x7f",
    "/r/a\n",
    ".",
    "/..",
    "/r/./a",
  ),
  // What real xenstored allows: 2048 bytes, and /local/domain/<n>/ before it (path-max).
  fc.constantFrom(2046, 2047, 2048, 2049, 3071, 3072, 3073).map((length) => `/r/${"x".repeat(length - 3)}`),
  fc.constantFrom(2046, 2047, 2048, 2049).map((length) => `/local/domain/1/${"y".repeat(length - 1)}`),
  fc.constantFrom(2029, 2031, 2032, 2047, 2048, 2049, 3055).map((length) => "z".repeat(length)),
);

const path = fc.oneof({ weight: 12, arbitrary: commonPath }, { weight: 1, arbitrary: oddPath });

const value = fc.oneof(
  { weight: 10, arbitrary: fc.constantFrom("", "0", "1", "22", "\xff\0\x80", "a value of some length") },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom(100, 1900, 1990, 2000, 2010, 2020, 2030, 2040, 2047, 2048, 2049, 3000, 4080)
      .map((length) => "v".repeat(length)),
  },
);

const perm = fc.oneof(
  {
    weight: 12,
    arbitrary: fc
      .tuple(fc.constantFrom("n", "r", "w", "b"), fc.constantFrom(0, 1, 2, 3))
      .map(([letter, domid]) => letter + domid),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      "b4",
      "r8",
      "n77",
      "b32757",
      "x1",
      "n",
      "r-1",
      "r0x1",
      "r010",
      "r 1",
      "r1 ",
      "R1",
      "",
      "n1x",
    ),
  },
);
const perms = fc.oneof(
  { weight: 8, arbitrary: fc.array(perm, { minLength: 1, maxLength: 3 }) },
  { weight: 1, arbitrary: fc.array(perm, { minLength: 0, maxLength: 7 }) },
);

/** The payload as it should be, or with something wrong at its end. */
function ending(body: fc.Arbitrary<string>): fc.Arbitrary<string> {
  return fc.oneof(
    { weight: 40, arbitrary: body.map((text) => `${text}\0`) },
    { weight: 1, arbitrary: body },
    { weight: 1, arbitrary: body.map((text) => `${text}\0\0`) },
    { weight: 1, arbitrary: body.map((text) => `${text}\0more`) },
    { weight: 1, arbitrary: fc.constantFrom("", "\0", "\0\0") },
  );
}

/** The payload of requests with one path. */
const onePath = ending(path);

const token = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom("t", "u") },
  { weight: 1, arbitrary: fc.constantFrom("", "\xff", "w".repeat(1000), "w".repeat(2040), "w".repeat(4000)) },
);
const watchPath = fc.oneof(
  { weight: 8, arbitrary: path },
  { weight: 2, arbitrary: fc.constantFrom("@introduceDomain", "@releaseDomain") },
  { weight: 1, arbitrary: fc.constant("/") },
);
const domid = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom("1", "2", "3", "4") },
  {
    weight: 1,
    arbitrary: fc.constantFrom("0", "8", "77", "32752", "32757", "-1", "x", "", "1x", "65536", "99999"),
  },
);

/** What most requests carry, by type and how often each is made. */
const common: readonly (readonly [weight: number, type: RequestName, body: fc.Arbitrary<string>])[] = [
  [6, "READ", onePath],
  [6, "DIRECTORY", onePath],
  [4, "GET_PERMS", onePath],
  [14, "WRITE", fc.tuple(path, value).map(([at, text]) => `${at}\0${text}`)],
  [5, "MKDIR", onePath],
  [6, "RM", onePath],
  [8, "SET_PERMS", ending(fc.tuple(path, perms).map(([at, list]) => [at, ...list].join("\0")))],
  [6, "WATCH", ending(fc.tuple(watchPath, token).map((parts) => parts.join("\0")))],
  [3, "UNWATCH", ending(fc.tuple(watchPath, token).map((parts) => parts.join("\0")))],
  [
    2,
    "DIRECTORY_PART",
    ending(
      fc
        .tuple(path, fc.constantFrom("0", "0", "2", "3", "4095", "99999", "-1", "x", ""))
        .map((p) => p.join("\0")),
    ),
  ],
  [1, "GET_DOMAIN_PATH", ending(domid)],
  [1, "IS_DOMAIN_INTRODUCED", ending(domid)],
  [1, "RESUME", ending(domid)],
  [1, "RESET_WATCHES", fc.constantFrom("\0", "", "x\0")],
];

const requestStep: fc.Arbitrary<RequestStep> = fc
  .tuple(
    fc.nat(CONNECTIONS - 1),
    fc.oneof(
      ...common.map(([weight, type, body]) => ({
        weight,
        arbitrary: body.map((text) => ({ type, body: text })),
      })),
    ),
    // Most requests are outside transactions; those inside mostly in the first.
    fc.oneof(
      { weight: 12, arbitrary: fc.constant(undefined) },
      { weight: 12, arbitrary: fc.constant({ slot: 0 }) },
      { weight: 3, arbitrary: fc.constant({ slot: 1 }) },
      { weight: 1, arbitrary: fc.constantFrom({ id: 999_999 }, { id: 0xffff_ffff }) },
    ),
  )
  .map(([who, { type, body }, tx]) => ({
    do: "request",
    who,
    type,
    body: body.slice(0, 4096),
    ...(tx === undefined ? {} : { tx }),
  }));

const transactionStep: fc.Arbitrary<RequestStep> = fc
  .tuple(
    fc.nat(CONNECTIONS - 1),
    fc.constantFrom(0, 0, 0, 1, 2).filter((slot) => slot < TRANSACTIONS),
    fc.oneof(
      { weight: 8, arbitrary: fc.constant(["TRANSACTION_START", "\0"] as const) },
      { weight: 8, arbitrary: fc.constant(["TRANSACTION_END", "T\0"] as const) },
      { weight: 2, arbitrary: fc.constant(["TRANSACTION_END", "F\0"] as const) },
      {
        weight: 1,
        arbitrary: fc.constantFrom("", "X\0", "T", "TT\0").map((b) => ["TRANSACTION_END", b] as const),
      },
      {
        weight: 1,
        arbitrary: fc.constantFrom("", "x\0", "\0\0").map((b) => ["TRANSACTION_START", b] as const),
      },
    ),
  )
  .map(([who, slot, [type, body]]) => ({ do: "request", who, type, body, tx: { slot } }));

/** What is not about nodes. */
const rareStep: fc.Arbitrary<Step> = fc.oneof(
  fc.nat(SOCKETS - 1).map((who) => ({ do: "reconnect" as const, who })),
  fc.constantFrom(...DOMAINS, 4).map((id) => ({ do: "release" as const, domid: id })),
  fc.constantFrom(...DOMAINS, 4).map((id) => ({ do: "introduce" as const, domid: id })),
  fc
    .tuple(fc.constantFrom(...DOMAINS, 4), fc.constantFrom("absent", "shutdown", "dying", "running"))
    .map(([id, state]) => ({ do: "domain" as const, domid: id, state: state as "absent" })),
  fc
    .tuple(
      fc.nat(CONNECTIONS - 1),
      fc.constantFrom(
        ["CONTROL", "print\0x\0"] as const,
        ["CONTROL", "nonsense\0"] as const,
        ["CONTROL", ""] as const,
        ["INTRODUCE", "1\0"] as const,
        ["INTRODUCE", "9\x001\x000\0"] as const,
        ["RELEASE", "0\0"] as const,
        ["RELEASE", "77\0"] as const,
        ["RELEASE", ""] as const,
        [20, "\0"] as const,
        [15, "a\0b\0"] as const,
        [16, "EINVAL\0"] as const,
        [99, "x"] as const,
        [0xffff_ffff, ""] as const,
      ),
    )
    .map(([who, [type, body]]) => ({ do: "request" as const, who, type, body })),
);

const anyStep = fc.oneof(
  { weight: 30, arbitrary: requestStep },
  { weight: 8, arbitrary: transactionStep },
  { weight: 2, arbitrary: rareStep },
);

/** A tree that domains may use, as a toolstack makes it: without it hardly anything of theirs would succeed. */
const prepared: readonly Step[] = [
  { do: "request", who: 0, type: "MKDIR", body: "/r\0" },
  { do: "request", who: 0, type: "SET_PERMS", body: "/r\0b0\0" },
  ...DOMAINS.map((id) => ({
    do: "request" as const,
    who: 0,
    type: "MKDIR" as const,
    body: `/local/domain/${id}\0`,
  })),
  ...DOMAINS.map((id) => ({
    do: "request" as const,
    who: 0,
    type: "SET_PERMS" as const,
    body: `/local/domain/${id}\0n${id}\0`,
  })),
];

const limits = fc.oneof(
  { weight: 6, arbitrary: fc.constant({}) },
  {
    weight: 1,
    arbitrary: fc.constantFrom<Record<string, number>>(
      { nodes: 4 },
      { watches: 2 },
      { transactions: 1 },
      { permissions: 2 },
      { "node-size": 60 },
      { "path-max": 12 },
      { "transaction-nodes": 5 },
    ),
  },
);

/** A sequence. Few connections take part in one: they are to meet. */
export const sequences: fc.Arbitrary<Sequence> = fc
  .tuple(
    fc.array(anyStep, { minLength: 1, maxLength: 24 }),
    fc.boolean(),
    fc.uniqueArray(fc.nat(CONNECTIONS - 1), { minLength: 1, maxLength: 3 }),
    limits,
  )
  .map(([steps, isPrepared, connections, chosenLimits]) => ({
    steps: [
      ...(isPrepared ? prepared : []),
      ...steps.map((step) =>
        "who" in step ? { ...step, who: pick(step.who, step.do === "reconnect", connections) } : step,
      ),
    ],
    ...(Object.keys(chosenLimits).length === 0 ? {} : { limits: chosenLimits }),
  }));

function pick(who: number, mustBeSocket: boolean, connections: readonly number[]): number {
  const chosen = connections[who % connections.length] as number;
  return mustBeSocket && chosen >= SOCKETS ? 0 : chosen;
}
