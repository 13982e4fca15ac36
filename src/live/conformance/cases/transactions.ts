// SPDX-License-Identifier: Apache-2.0
//
// Transactions: what they see, what commits, and what conflicts. C refuses where
// anything a transaction touched was written; oxenstored and we only where an
// answer would now be another.

import type { Case } from "../case.ts";

/** A transaction of A does `inside`, meanwhile B does `outside`; then A commits. */
function conflict(
  name: string,
  about: string,
  inside: readonly string[],
  outside: readonly string[],
  expected: string,
): Case {
  return {
    name: `transactions/${name}`,
    about,
    lines: [
      "B WRITE %/x|1 => OK|",
      "B WRITE %/y|1 => OK|",
      "B WRITE %/d/e|1 => OK|",
      "A begin T",
      ...inside.map((line) => line.replace(/^(\w+) /, "A $1#T ")),
      ...outside.map((line) => `B ${line}`),
      `A commit T => ${expected}`,
    ],
  };
}

/** What our rule allows and C's does not. */
const ALLOWED = "EAGAIN or OK|";

export const TRANSACTIONS: readonly Case[] = [
  {
    name: "transactions/isolation",
    about: "nobody sees a transaction before its commit, and it sees what it did",
    lines: [
      "A begin T",
      "A WRITE#T %/x|1 => OK|",
      "A READ#T %/x| => 1",
      "A DIRECTORY#T %| => x|",
      "B READ %/x| => ENOENT",
      "A READ %/x| => ENOENT",
      "A commit T => OK|",
      "B READ %/x| => 1",
    ],
  },
  {
    name: "transactions/abort",
    about: "an aborted transaction has done nothing",
    lines: [
      "A begin T",
      "A WRITE#T %/x|1 => OK|",
      "A abort T => OK|",
      "A READ %/x| => ENOENT",
      "A READ#T %/x| => 4.17,4.23: ENOENT; oxenstored: EIO",
    ],
  },
  {
    name: "transactions/identifiers",
    about: "what is no transaction, and one within another",
    lines: [
      "A READ#99 %/x| => 4.17,4.23: ENOENT; oxenstored: EIO",
      "A TRANSACTION_END T| => 4.17,4.23: ENOENT; oxenstored: any",
      "A TRANSACTION_END#99 T| => 4.17,4.23: ENOENT; oxenstored: EIO",
      "A begin T",
      "A TRANSACTION_START#T | => EBUSY",
      "A TRANSACTION_START#99 | => 4.17,4.23: ENOENT; oxenstored: EIO",
      "A TRANSACTION_END#T X| => EINVAL",
      "A TRANSACTION_END#T T => 4.17,4.23: EINVAL; oxenstored: any",
      "B READ#1 %/x| => 4.17,4.23: ENOENT; oxenstored: EIO",
    ],
  },
  {
    name: "transactions/events",
    about: "the events of a commit come with it, one a node in C, one an operation in oxenstored",
    lines: [
      "B WATCH %|t| => OK|",
      "B hears %|t|",
      "A begin T",
      "A WRITE#T %/x|1 => OK|",
      "A WRITE#T %/x|2 => OK|",
      "A WRITE#T %/y|1 => OK|",
      "B hears nothing",
      "A commit T => OK|",
      "B hears => 4.17,4.23: %/x|t|, %/y|t|; oxenstored: %/x|t|, %/x|t|, %/y|t|",
    ],
  },
  {
    name: "transactions/rm",
    about: "a tree that a transaction removes is gone for it, and for all after the commit",
    lines: [
      "A WRITE %/x/y|1 => OK|",
      "A begin T",
      "A RM#T %/x| => OK|",
      "A READ#T %/x/y| => ENOENT",
      "B READ %/x/y| => 1",
      "A WRITE#T %/x/z|2 => OK|",
      "A commit T => OK|",
      "B DIRECTORY %/x| => z|",
    ],
  },
  conflict(
    "read-changed",
    "a value it read was changed",
    ["READ %/x| => 1", "WRITE %/q|1 => OK|"],
    ["WRITE %/x|2 => OK|"],
    "EAGAIN",
  ),
  conflict(
    "listed-changed",
    "a directory it listed has a child more",
    ["DIRECTORY %/d| => e|", "WRITE %/q|1 => OK|"],
    ["WRITE %/d/f|1 => OK|"],
    "EAGAIN",
  ),
  conflict(
    "only-read",
    "it only read, and that has changed",
    ["READ %/x| => 1"],
    ["WRITE %/x|2 => OK|"],
    "4.17,4.23: EAGAIN; oxenstored: OK|",
  ),
  conflict(
    "same-value",
    "the value it read was written again",
    ["READ %/x| => 1", "WRITE %/q|1 => OK|"],
    ["WRITE %/x|1 => OK|"],
    ALLOWED,
  ),
  conflict(
    "blind-writes",
    "both write, neither reads",
    ["WRITE %/x|3 => OK|"],
    ["WRITE %/x|2 => OK|"],
    ALLOWED,
  ),
  conflict(
    "siblings",
    "both create a child of one node",
    ["WRITE %/d/f|1 => OK|"],
    ["WRITE %/d/g|1 => OK|"],
    ALLOWED,
  ),
  conflict(
    "permissions-changed",
    "permissions of what it read were changed",
    ["READ %/x| => 1", "WRITE %/q|1 => OK|"],
    ["SET_PERMS %/x|r0| => OK|"],
    ALLOWED,
  ),
  conflict(
    "child-added",
    "what it read has a child more",
    ["READ %/x| => 1", "WRITE %/q|1 => OK|"],
    ["WRITE %/x/k|1 => OK|"],
    ALLOWED,
  ),
  conflict(
    "missing-created",
    "what it did not find is there now",
    ["READ %/m| => ENOENT", "WRITE %/q|1 => OK|"],
    ["WRITE %/m|1 => OK|"],
    "4.17,4.23: EAGAIN; oxenstored: any",
  ),
  conflict(
    "unrelated",
    "nothing it touched was changed",
    ["READ %/d/e| => 1", "WRITE %/d/e|2 => OK|"],
    ["WRITE %/y|2 => OK|"],
    "OK|",
  ),
  conflict("empty", "it did nothing", [], ["WRITE %/x|2 => OK|"], "OK|"),
];
