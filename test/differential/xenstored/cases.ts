// SPDX-License-Identifier: Apache-2.0
//
// Sequences worth keeping: every disagreement that was found, shrunk; and the
// orders of events and the conflicts that the daemons are known to differ in.

import { edges } from "./edges.ts";
import { ask, type Sequence, type Step } from "./steps.ts";

/** A named sequence. */
export interface Case extends Sequence {
  readonly name: string;
}

/** Connection 0 has a transaction, does `inside`, connection 1 does `outside`, and 0 commits. */
function conflict(name: string, inside: readonly Step[], outside: readonly Step[]): Case {
  return {
    name: `conflict: ${name}`,
    steps: [
      ...["/o/x", "/o/y", "/o/n1", "/o/n2", "/o/n4"].map((path) => ask(1, "WRITE", `${path}|0`)),
      ask(0, "TRANSACTION_START", "|", 0),
      ...inside,
      ...outside,
      ask(0, "TRANSACTION_END", "T|", 0),
      ask(1, "READ", "/o/x|"),
      ask(1, "DIRECTORY", "/o|"),
    ],
  };
}

const inTx = (type: "READ" | "WRITE" | "DIRECTORY" | "RM", body: string): Step => ask(0, type, body, 0);

/** The order of replies and events on one connection. */
const orders: readonly Case[] = [
  {
    name: "order: a watch, then writes, mkdir, permissions, and the removal of a tree",
    steps: [
      ask(0, "WATCH", "/o|tok|"),
      ask(0, "WRITE", "/o/a/b/c|1"),
      ask(0, "WRITE", "/o/a/b/c|2"),
      ask(0, "MKDIR", "/o/a|"),
      ask(0, "SET_PERMS", "/o/a|n0|r1|"),
      ask(0, "WRITE", "/o/a/b/d|1"),
      ask(0, "WATCH", "/o/a/b/c|deep|"),
      ask(0, "RM", "/o/a|"),
    ],
  },
  {
    name: "order: the events of a commit",
    steps: [
      ask(0, "WATCH", "/o|tok|"),
      ...["x", "y", "z"].map((name) => ask(0, "WRITE", `/o/${name}|0`)),
      ask(0, "TRANSACTION_START", "|", 0),
      ...["z|1", "x|1", "z|2", "y|1", "new|1"].map((body) => ask(0, "WRITE", `/o/${body}`, 0)),
      ask(0, "RM", "/o/y|", 0),
      ask(0, "TRANSACTION_END", "T|", 0),
    ],
  },
  {
    name: "order: one event for two watches with the same token",
    steps: [
      ask(0, "WATCH", "/o|t|"),
      ask(0, "WATCH", "/o/a|t|"),
      ask(0, "WRITE", "/o/a|1"),
      ask(0, "RM", "/o/a|"),
    ],
  },
];

const conflicts: readonly Case[] = [
  conflict(
    "read x; other writes x",
    [inTx("READ", "/o/x|"), inTx("WRITE", "/o/q|1")],
    [ask(1, "WRITE", "/o/x|9")],
  ),
  conflict("only read x; other writes x", [inTx("READ", "/o/x|")], [ask(1, "WRITE", "/o/x|10")]),
  conflict(
    "read x; other writes the same value",
    [inTx("READ", "/o/x|"), inTx("WRITE", "/o/q|1")],
    [ask(1, "WRITE", "/o/x|0")],
  ),
  conflict("write x; other writes x", [inTx("WRITE", "/o/x|5")], [ask(1, "WRITE", "/o/x|6")]),
  conflict(
    "read x, write x; other writes x",
    [inTx("READ", "/o/x|"), inTx("WRITE", "/o/x|5")],
    [ask(1, "WRITE", "/o/x|7")],
  ),
  conflict(
    "create a node; other creates its sibling",
    [inTx("WRITE", "/o/m1|1")],
    [ask(1, "WRITE", "/o/m2|1")],
  ),
  conflict(
    "list, write q; other creates a child",
    [inTx("DIRECTORY", "/o|"), inTx("WRITE", "/o/q|2")],
    [ask(1, "WRITE", "/o/n3|1")],
  ),
  conflict(
    "read x, write q; other sets permissions of x",
    [inTx("READ", "/o/x|"), inTx("WRITE", "/o/q|3")],
    [ask(1, "SET_PERMS", "/o/x|n0|r3|")],
  ),
  conflict(
    "read x, write q; other creates a child of x",
    [inTx("READ", "/o/x|"), inTx("WRITE", "/o/q|3")],
    [ask(1, "WRITE", "/o/x/kid|1")],
  ),
  conflict(
    "miss m, write q; other creates m",
    [inTx("READ", "/o/m|"), inTx("WRITE", "/o/q|4")],
    [ask(1, "WRITE", "/o/m|1")],
  ),
  conflict("remove n1; other creates n5", [inTx("RM", "/o/n1|")], [ask(1, "WRITE", "/o/n5|1")]),
  conflict("remove n2; other writes n2", [inTx("RM", "/o/n2|")], [ask(1, "WRITE", "/o/n2|2")]),
  conflict("write below n4; other removes n4", [inTx("WRITE", "/o/n4/k|1")], [ask(1, "RM", "/o/n4|")]),
  conflict("nothing; other writes", [], [ask(1, "WRITE", "/o/x|8")]),
];

/** What differential runs have found. */
const found: readonly Case[] = [
  {
    name: "a node more than a transaction may access: that request fails, and the commit",
    limits: { "transaction-nodes": 5 },
    steps: [
      ask(0, "MKDIR", "/r/a/b/c|"),
      ask(0, "SET_PERMS", "/r|b0|"),
      ask(3, "TRANSACTION_START", "|", 0),
      ask(3, "READ", "/r/a/b/c|", 0),
      ask(3, "READ", "/r/x|", 0),
      ask(3, "READ", "/r/y|", 0),
      ask(3, "SET_PERMS", "/r/z|w2|", 0),
      ask(3, "READ", "/r|", 0),
      ask(3, "READ", "/r/z|", 0),
      ask(3, "TRANSACTION_END", "T|", 0),
    ],
  },
  {
    name: "nodes created in a transaction count at its commit",
    limits: { nodes: 4 },
    steps: [
      ask(0, "MKDIR", "/r|"),
      ask(0, "SET_PERMS", "/r|b0|"),
      ask(0, "MKDIR", "/local/domain/1|"),
      ask(0, "SET_PERMS", "/local/domain/1|n1|"),
      ask(3, "TRANSACTION_START", "|", 0),
      ask(3, "WRITE", "/r/b/a|1"),
      ask(3, "WRITE", "a/c/a|1", 0),
      ask(3, "WRITE", "a/c/b|1", 0),
      ask(3, "TRANSACTION_END", "T|", 0),
      ask(3, "WRITE", "a/c/a|1"),
      ask(3, "WRITE", "a|1"),
    ],
  },
];

/** What only a transaction at the limit, or one that removed nothing, can show. */
const later: readonly Case[] = [
  {
    name: "a node too many in a transaction is refused, and the rest of it is committed",
    limits: { nodes: 4 },
    steps: [
      ask(0, "MKDIR", "/r|"),
      ask(0, "SET_PERMS", "/r|b0|"),
      ask(0, "MKDIR", "/local/domain/1|"),
      ask(0, "SET_PERMS", "/local/domain/1|n1|"),
      ask(3, "TRANSACTION_START", "|", 0),
      ask(3, "WRITE", "/r/a/b/c|"),
      ask(3, "WRITE", "/r/a|in the transaction", 0),
      ask(3, "WRITE", "/r/d|", 0),
      ask(3, "TRANSACTION_END", "T|", 0),
      ask(3, "READ", "/r/a|"),
    ],
  },
  {
    name: "below a node that was removed while it was missing, a transaction sees what has come",
    steps: [
      ask(1, "TRANSACTION_START", "|", 0),
      ask(1, "RM", "/r|", 0),
      ask(0, "WRITE", "/r/b|1"),
      ask(1, "READ", "/r/b|", 0),
      ask(1, "TRANSACTION_END", "T|", 0),
    ],
  },
];

/** All of them. */
export const cases: readonly Case[] = [...orders, ...conflicts, ...found, ...later, ...edges];
