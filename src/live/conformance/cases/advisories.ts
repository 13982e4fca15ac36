// SPDX-License-Identifier: Apache-2.0
//
// Xen security advisories about xenstored, each as what must hold now. The
// answers are those of daemons that have the fixes; where several are safe, all
// of them are accepted.

import type { Case } from "../case.ts";

const DEAD = "d1 is dead";
const ONE = [
  "d1 is running",
  "A WRITE /local/domain/1/x|1 => OK|",
  "A SET_PERMS /local/domain/1|n1| => OK|",
  "A SET_PERMS /local/domain/1/x|n1| => OK|",
  "A INTRODUCE 1|1|1| => OK|",
];
const TWO = [
  "d2 is running",
  "A MKDIR /local/domain/2| => OK|",
  "A SET_PERMS /local/domain/2|n2| => OK|",
  "A INTRODUCE 2|1|1| => OK|",
];
/** Domain 2 is served as if nothing had happened. */
const TWO_SERVED = ["d2 WRITE alive|1 => OK|", "d2 READ alive| => 1"];

/** A header: type, request, transaction, length, each four bytes. */
function header(type: number, length: number): string {
  return [type, 7, 0, length].map((value) => le32(value)).join("");
}
function le32(value: number): string {
  return [0, 8, 16, 24]
    .map((shift) => `\\x${((value >>> shift) & 255).toString(16).padStart(2, "0")}`)
    .join("");
}

/** A chain of nodes so deep that the path is nearly as long as it may be. */
const DEEP = Array.from({ length: 450 }, () => "a").join("/");

const ADVISORIES_RINGS: readonly Case[] = [
  {
    name: "advisories/full-ring",
    advisory: "XSA-38",
    about: "a request that fills the ring exactly is served; requests that wrap are, too",
    lines: [
      ...ONE,
      `d1 READ ${"x".repeat(1007)}| => 4.17,4.23: ENOENT; oxenstored: ENOENT or EINVAL or EACCES`,
      `d1 WRITE x|${"v".repeat(990)} => OK|`,
      `d1 READ x| => ${"v".repeat(990)}`,
      `d1 WRITE x|${"v".repeat(1700)} => OK|`,
      `d1 READ x| => ${"v".repeat(1700)}`,
    ],
  },
  {
    name: "advisories/bad-indices",
    advisory: "XSA-38",
    about: "impossible indices end that domain's conversation, and nothing else",
    lines: [
      ...ONE,
      ...TWO,
      "d1 READ x| => 1",
      "d1 producer 5000",
      "d1 READ x| => none",
      ...TWO_SERVED,
      "A READ /local/domain/1/x| => 1",
    ],
  },
  ...[0x4000_0000, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff].map((length): Case => ({
    name: `advisories/length-${length.toString(16)}`,
    advisory: "XSA-420",
    about: `a length of 0x${length.toString(16)}: the client that sent it is not served any more, and others are`,
    lines: [
      ...ONE,
      ...TWO,
      `d1 sends ${header(2, length)}`,
      "d1 READ x| => none",
      ...TWO_SERVED,
      "A READ /local/domain/1/x| => 1",
    ],
  })),
  {
    name: "advisories/length-socket",
    advisory: "XSA-72",
    about: "a socket that announces more than 4096 bytes is closed; others are not",
    only: ["4.17", "4.23"],
    lines: [`A sends ${header(2, 4097)}`, "A is closed", "B READ %/x| => ENOENT"],
  },
  {
    name: "advisories/bad-client-is-not-dead",
    advisory: "XSA-325",
    about: "breaking the protocol is no death: that is told when it comes, once",
    lines: [
      ...ONE,
      "A WATCH @releaseDomain|r| => OK|",
      "A hears @releaseDomain|r|",
      `d1 sends ${header(2, 0xffff)}`,
      "d1 READ x| => none",
      "A hears nothing",
      DEAD,
      "A READ /tool| => any",
      "A hears @releaseDomain|r|",
    ],
  },
];

const ADVISORIES_ACCESS: readonly Case[] = [
  {
    name: "advisories/console-nodes",
    advisory: "XSA-57",
    about: "a guest cannot write nodes of the toolstack in its own home",
    lines: [
      "d1 is running",
      "A WRITE /local/domain/1/console/ring-ref|7 => OK|",
      "A SET_PERMS /local/domain/1|n0|r1| => OK|",
      "A SET_PERMS /local/domain/1/console|n0|r1| => OK|",
      "A SET_PERMS /local/domain/1/console/ring-ref|n0|r1| => OK|",
      "A INTRODUCE 1|1|1| => OK|",
      "d1 READ console/ring-ref| => 7",
      "d1 WRITE console/ring-ref|8 => EACCES",
      "d1 WRITE console/new|8 => EACCES",
      "d1 RM console/ring-ref| => EACCES",
      "d1 RM console| => EACCES",
      "d1 SET_PERMS console/ring-ref|n1| => EACCES",
      "d1 MKDIR new| => EACCES",
      "A READ /local/domain/1/console/ring-ref| => 7",
    ],
  },
  {
    name: "advisories/events-of-unreadable-nodes",
    advisory: "XSA-115",
    about: "no event tells of a node that may not be read, and none of who comes",
    lines: [
      ...ONE,
      "A MKDIR %| => OK|",
      "A SET_PERMS %|n0| => OK|",
      "d1 WATCH %|t| => OK|",
      "d1 WATCH @introduceDomain|i| => OK|",
      "d1 hears %|t|, @introduceDomain|i|",
      "A WRITE %/secret|1 => OK|",
      "A RM %/secret| => OK|",
      ...TWO,
      "d1 hears nothing",
      "A SET_PERMS %|n0|r1| => OK|",
      "d1 hears %|t|",
      "A WRITE %/open|1 => OK|",
      "d1 hears %/open|t|",
      "A SET_PERMS %|n0| => OK|",
      "d1 hears %|t|",
    ],
  },
  {
    name: "advisories/introduced-is-privileged",
    advisory: "XSA-115",
    about: "who is introduced is for the privileged; [UN]WATCH does not look at a transaction",
    lines: [
      ...ONE,
      "d1 IS_DOMAIN_INTRODUCED 2| => EACCES",
      "d1 WATCH#77 x|t| => OK|",
      "d1 UNWATCH#77 x|t| => OK|",
    ],
  },
  {
    name: "advisories/owner-stays",
    advisory: "XSA-352",
    about: "a guest cannot give its node to another",
    lines: [
      ...ONE,
      "d1 SET_PERMS x|n2| => 4.17,4.23: EPERM or ENOENT; oxenstored: EACCES",
      ...TWO,
      "d1 SET_PERMS x|n2| => 4.17,4.23: EPERM; oxenstored: EACCES",
      "d1 SET_PERMS x|n0| => 4.17,4.23: EPERM; oxenstored: EACCES",
      "A GET_PERMS /local/domain/1/x| => n1|",
    ],
  },
  {
    name: "advisories/root",
    advisory: "XSA-353",
    about: "the root is protected as any other node",
    lines: [
      ...ONE,
      "d1 RM /| => EACCES",
      "d1 SET_PERMS /|n1| => EACCES",
      "d1 DIRECTORY /| => EACCES",
      "d1 WRITE /|x => EACCES",
      "d1 GET_PERMS /| => EACCES",
      "d1 READ x| => 1",
    ],
  },
  {
    name: "advisories/domid-reused",
    advisory: "XSA-322",
    about: "a new domain may nothing that the old one with its domid might",
    lines: [
      ...ONE,
      "A WRITE %/x|1 => OK|",
      "A SET_PERMS %/x|n0|r1| => OK|",
      "A SET_PERMS @introduceDomain|n0|r1| => OK|",
      "d1 READ %/x| => 1",
      DEAD,
      "A READ /tool| => any",
      "d1 is absent",
      "A READ /tool| => any",
      "d1 is running",
      "A INTRODUCE 1|1|1| => OK|",
      "d1 READ %/x| => EACCES",
      "d1 WATCH @introduceDomain|t| => OK|",
      "d1 hears @introduceDomain|t|",
      ...TWO,
      "d1 hears nothing",
      "A SET_PERMS @introduceDomain|n0| => OK|",
    ],
  },
  {
    name: "advisories/domid-reused-before-introduction",
    advisory: "XSA-417",
    about: "nor what was given to it before it was introduced, and it had died then",
    only: ["4.17", "4.23"],
    lines: [
      "d1 is running",
      "A WRITE %/x|1 => OK|",
      "A SET_PERMS %/x|n0|r1| => OK|",
      DEAD,
      "A READ /tool| => any",
      "d1 is absent",
      "A READ /tool| => any",
      "d1 is running",
      "A INTRODUCE 1|1|1| => OK|",
      "d1 READ %/x| => EACCES",
      "A SET_PERMS %/x|n0|r1| => OK|",
      "d1 READ %/x| => 1",
    ],
  },
  {
    name: "advisories/domid-reused-count",
    advisory: "XSA-483",
    about: "a new domain starts with nothing counted for it",
    lines: [
      ...ONE,
      ...Array.from({ length: 50 }, (_, at) => `d1 WRITE many/${at}|v => OK|`),
      DEAD,
      "A READ /tool| => any",
      "d1 is absent",
      "A RM /local/domain/1| => any",
      ...ONE,
      "A CONTROL quota|1| => 4.17: ~Domain 1:\nnodes +: +2\n.*; 4.23: ~Domain 1:\nnodes +: +2 .*; oxenstored: ~dom1 quota: 2/1000\\|",
    ],
  },
  {
    name: "advisories/orphans",
    advisory: "XSA-419",
    about: "what a dead domain owned is gone, wherever it was",
    lines: [
      ...ONE,
      "A MKDIR %/place| => OK|",
      "A SET_PERMS %/place|b1| => OK|",
      "d1 WRITE %/place/x/y|1 => OK|",
      "A SET_PERMS %/place|n0| => OK|",
      DEAD,
      "A READ /tool| => any",
      "A READ %/place/x| => ENOENT",
      "A READ %/place/x/y| => ENOENT",
      "A DIRECTORY %/place| => ",
      "A CONTROL check| => OK|",
    ],
  },
];

const ADVISORIES_RESOURCES: readonly Case[] = [
  {
    name: "advisories/writer-flood",
    advisory: "XSA-206",
    about: "a guest that writes all the time does not keep a transaction from committing",
    lines: [
      ...ONE,
      "A WRITE %/x|0 => OK|",
      "A begin T",
      "A READ#T %/x| => 0",
      ...Array.from({ length: 40 }, (_, at) => `d1 WRITE x|${at} => OK|`),
      "A WRITE#T %/x|1 => OK|",
      "A commit T => OK|",
    ],
  },
  {
    name: "advisories/writer-flood-where-one-reads",
    advisory: "XSA-206",
    about: "nor where it writes the very node that the transaction reads, as fast as it can",
    lines: [
      ...ONE,
      "A transacts /local/domain/1/x",
      "d1 floods x",
      "A transacts /local/domain/1/x",
      "A transacts /local/domain/1/x",
      "A transacts /local/domain/1/x",
      "d1 floods off",
      "d1 READ none| => ENOENT",
    ],
  },
  {
    name: "advisories/path-length-accounting",
    advisory: "XSA-323",
    about: "a path is as long spelled absolutely as it is relatively",
    lines: [
      ...ONE,
      `d1 WRITE ${"r".repeat(1000)}|1 => OK|`,
      `d1 READ /local/domain/1/${"r".repeat(1000)}| => 1`,
      `d1 WRITE ${"r".repeat(2049)}|1 => EINVAL`,
      `d1 WRITE /local/domain/1/${"r".repeat(2049)}|1 => EINVAL`,
      `d1 WRITE ${"r".repeat(2047)}|1 => 4.17: ENOSPC or OK|; 4.23: ENOSPC or OK|; oxenstored: EINVAL`,
      `d1 WRITE /local/domain/1/${"r".repeat(2047)}|1 => 4.17: ENOSPC or OK|; 4.23: ENOSPC or OK|; oxenstored: EINVAL`,
    ],
  },
  {
    name: "advisories/long-token",
    advisory: "XSA-324",
    about: "an event that is longer than a message may be is dropped",
    lines: [
      `A WATCH %/x|${"t".repeat(4000)}| => OK|`,
      `A WRITE %/x/${"y".repeat(200)}|1 => OK|`,
      `A READ %/x/${"y".repeat(200)}| => 1`,
      "B READ %/none| => ENOENT",
    ],
  },
  {
    name: "advisories/events-not-taken",
    advisory: "XSA-326",
    about: "a guest that takes nothing can make no more requests than its share",
    lines: [
      ...ONE,
      ...TWO,
      "d1 WATCH x|t| => OK|",
      "d1 hears x|t|",
      "d1 reads off",
      ...Array.from({ length: 30 }, () => `d1 sends ${header(2, 2)}x\\x00`),
      ...TWO_SERVED,
      "A CONTROL quota|1| => 4.17: ~.*outstanding +: +(?:1?[0-9]|20)\n.*; 4.23: ~.*outstanding +: +(?:1?[0-9]|20) .*; oxenstored: any",
      "d1 reads on",
      "d1 READ x| => 1",
    ],
  },
  {
    name: "advisories/reset-watches-cycles",
    advisory: "XSA-330",
    about: "RESET_WATCHES gives back what watches were counted as",
    lines: [
      ...ONE,
      ...Array.from({ length: 5 }, () => [
        ...Array.from({ length: 60 }, (_, at) => `d1 WATCH x|${at}| => OK|`),
        "d1 RESET_WATCHES | => OK|",
      ]).flat(),
      "A CONTROL quota|1| => 4.17: ~.*watches +: +0\n.*; 4.23: ~.*watches +: +0 .*; oxenstored: any",
    ],
  },
  {
    name: "advisories/failed-creation-in-transaction",
    advisory: "XSA-414",
    about:
      "a creation that fails in a transaction, after others in it: nothing is there that was not committed",
    lines: [
      ...ONE,
      "d1 begin T",
      "d1 WRITE#T a/b|1 => OK|",
      `d1 WRITE#T a/c/d|${"v".repeat(2100)} => 4.17,4.23: ENOSPC; oxenstored: E2BIG`,
      "d1 WRITE#T e|1 => any",
      "d1 commit T => 4.17,4.23: ENOMEM; oxenstored: OK|",
      "d1 READ a/b| => 4.17,4.23: ENOENT; oxenstored: 1",
      "A READ /local/domain/1/a/c/d| => ENOENT",
      "A DIRECTORY /local/domain/1| => 4.17,4.23: x|; oxenstored: a|e|x|",
      "A CONTROL quota|1| => 4.17: ~.*nodes +: +2\n.*; 4.23: ~.*nodes +: +2 .*; oxenstored: dom1 quota: 6/1000|",
      "A CONTROL check| => OK|",
      "d1 WRITE a/b|2 => OK|",
      "d1 READ a/b| => 2",
    ],
  },
  {
    name: "advisories/failed-creation",
    advisory: "XSA-415",
    about: "a creation that fails half-way leaves nothing, and nothing counted",
    lines: [
      ...ONE,
      `d1 WRITE a/b/c|${"v".repeat(2100)} => 4.17,4.23: ENOSPC; oxenstored: E2BIG`,
      "A READ /local/domain/1/a/b/c| => ENOENT",
      "A DIRECTORY /local/domain/1| => 4.17,4.23: x|; oxenstored: any",
      "A CONTROL quota|1| => 4.17: ~.*nodes +: +2\n.*; 4.23: ~.*nodes +: +2 .*; oxenstored: any",
      "A CONTROL check| => OK|",
      "d1 WRITE a/b/c|1 => OK|",
    ],
  },
  {
    name: "advisories/deep-tree",
    advisory: "XSA-418",
    about: "the deepest tree there can be is checked and removed",
    lines: [
      `A WRITE %/${DEEP}|1 => OK|`,
      `A READ %/${DEEP}| => 1`,
      "A CONTROL check| => OK|",
      "A RM %/a| => OK|",
      "A DIRECTORY %| => ",
    ],
  },
  {
    name: "advisories/created-and-deleted",
    advisory: "XSA-421",
    about: "a node that was created and removed in one transaction: the rest is committed, all of it",
    lines: [
      ...ONE,
      "d1 begin T",
      "d1 WRITE#T a|1 => OK|",
      "d1 WRITE#T b/c|1 => OK|",
      "d1 RM#T b| => OK|",
      "d1 WRITE#T d|1 => OK|",
      "d1 commit T => OK|",
      "d1 READ a| => 1",
      "d1 READ b| => ENOENT",
      "d1 READ d| => 1",
      "A CONTROL check| => OK|",
      "A CONTROL quota|1| => 4.17: ~.*nodes +: +4\n.*; 4.23: ~.*nodes +: +4 .*; oxenstored: any",
    ],
  },
  {
    name: "advisories/release-twice",
    advisory: "XSA-425",
    about: "RELEASE, RESET_WATCHES and a death in any order leave xenstored as it was",
    lines: [
      ...ONE,
      "d1 WATCH x|t| => OK|",
      "A RELEASE 1| => OK|",
      DEAD,
      "A READ /tool| => any",
      "d1 is absent",
      "A RELEASE 1| => 4.17,4.23: ENOENT; oxenstored: EINVAL",
      "A CONTROL check| => OK|",
    ],
  },
  {
    name: "advisories/home-with-slash",
    advisory: "XSA-481",
    about: "/local/domain/ is no path",
    lines: [
      "A READ /local/domain/| => EINVAL",
      "A WRITE /local/domain/|1 => EINVAL",
      "A DIRECTORY /local/domain/| => EINVAL",
      "A WATCH /local/domain/|t| => EINVAL",
      "A READ %/x| => ENOENT",
    ],
  },
  {
    name: "advisories/reset-in-transaction",
    advisory: "XSA-484",
    about: "RESET_WATCHES within a transaction takes that away, too",
    lines: [
      ...ONE,
      "d1 begin T",
      "d1 WRITE#T a|1 => OK|",
      "d1 RESET_WATCHES#T | => OK|",
      "d1 READ#T a| => 4.17,4.23: ENOENT; oxenstored: EIO",
      "d1 commit T => 4.17,4.23: ENOENT; oxenstored: EIO",
      "d1 READ a| => ENOENT",
      "A CONTROL check| => OK|",
    ],
  },
];

export const ADVISORIES: readonly Case[] = [
  ...ADVISORIES_RINGS,
  ...ADVISORIES_ACCESS,
  ...ADVISORIES_RESOURCES,
];
