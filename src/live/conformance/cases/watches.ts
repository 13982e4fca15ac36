// SPDX-License-Identifier: Apache-2.0
//
// WATCH, UNWATCH, RESET_WATCHES, and the events they bring.

import type { Case } from "../case.ts";

export const WATCHES: readonly Case[] = [
  {
    name: "watches/first-event",
    about: "a watch brings its reply and then a first event, whether there is a node or not",
    lines: [
      "A gets WATCH %/x|tok| => WATCH OK|, WATCH_EVENT %/x|tok|",
      "A WATCH %/x|tok| => EEXIST",
      "A WATCH %/x|tok2| => OK|",
      "A hears %/x|tok2|",
    ],
  },
  {
    name: "watches/changes",
    about: "writes, creations, removals and permissions are told to watches at and above",
    lines: [
      "A WATCH %|t| => OK|",
      "A hears %|t|",
      "B WRITE %/x|1 => OK|",
      "A hears %/x|t|",
      "B WRITE %/x|1 => OK|",
      "A hears %/x|t|",
      "B SET_PERMS %/x|n0| => OK|",
      "A hears %/x|t|",
      "B MKDIR %/d/e| => OK|",
      "A hears %/d/e|t|",
      "B RM %/d| => OK|",
      "A hears %/d|t|",
      "B READ %/x| => 1",
      "A hears nothing",
    ],
  },
  {
    name: "watches/order",
    about: "an event of one's own request comes before its reply; with oxenstored after it",
    lines: [
      "A WATCH %|t| => OK|",
      "A hears %|t|",
      "A gets WRITE %/x|1 => 4.17,4.23: WATCH_EVENT %/x|t|, WRITE OK|; oxenstored: WRITE OK|, WATCH_EVENT %/x|t|",
      "A gets SET_PERMS %/x|r0| => 4.17,4.23: WATCH_EVENT %/x|t|, SET_PERMS OK|; oxenstored: SET_PERMS OK|, WATCH_EVENT %/x|t|",
      "A gets RM %/x| => 4.17,4.23: WATCH_EVENT %/x|t|, RM OK|; oxenstored: RM OK|, WATCH_EVENT %/x|t|",
    ],
  },
  {
    name: "watches/rm-tree",
    about: "removing a tree: inside it only watches of exactly the node; C tells the deepest first",
    lines: [
      "B WRITE %/x/y/z|1 => OK|",
      "A WATCH %|t| => OK|",
      "A WATCH %/x/y/z|deep| => OK|",
      "A WATCH %/x/y/z/none|never| => OK|",
      "A hears %|t|, %/x/y/z|deep|, %/x/y/z/none|never|",
      "B RM %/x| => OK|",
      // oxenstored tells all watches below what was removed.
      "A hears => 4.17,4.23: %/x/y/z|deep|, %/x|t|; oxenstored: any",
    ],
  },
  {
    name: "watches/siblings",
    about: "a path is matched in whole components",
    lines: [
      "A WATCH %/x|t| => OK|",
      "A hears %/x|t|",
      "B WRITE %/xy|1 => OK|",
      "B WRITE %/x-|1 => OK|",
      "A hears nothing",
      "B WRITE %/x/y|1 => OK|",
      "A hears %/x/y|t|",
    ],
  },
  {
    name: "watches/relative",
    about: "a relative watch has relative events",
    lines: [
      "A WATCH conformance-w|t| => OK|",
      "A hears conformance-w|t|",
      "B WRITE /local/domain/0/conformance-w/x|1 => OK|",
      "A hears conformance-w/x|t|",
      "B RM /local/domain/0/conformance-w| => OK|",
      "A hears conformance-w|t|",
      "A UNWATCH conformance-w|t| => OK|",
    ],
  },
  {
    name: "watches/unwatch",
    about: "UNWATCH takes exactly one watch away",
    lines: [
      "A WATCH %|t| => OK|",
      "A WATCH %|u| => OK|",
      "A UNWATCH %|t| => OK|",
      "A UNWATCH %|t| => ENOENT",
      "A UNWATCH %/none|u| => ENOENT",
      "A UNWATCH %| => EINVAL",
      "B WRITE %/x|1 => OK|",
      "A hears %|t|, %|u|, %/x|u|",
      "B UNWATCH %|u| => ENOENT",
    ],
  },
  {
    name: "watches/reset",
    about: "RESET_WATCHES takes all watches of the connection, and its transactions",
    lines: [
      "A WATCH %|t| => OK|",
      "A begin T",
      "A RESET_WATCHES | => OK|",
      "A commit T => 4.17,4.23: ENOENT; oxenstored: EIO",
      "B WRITE %/x|1 => OK|",
      "A hears %|t|",
    ],
  },
  {
    name: "watches/malformed",
    about: "WATCH wants two strings, and a path",
    lines: [
      "A WATCH %| => EINVAL",
      "A WATCH  => 4.17,4.23: EINVAL; oxenstored: none or EINVAL or ENOSYS",
      "A WATCH %/|t| => EINVAL",
      "A WATCH %/a b|t| => EINVAL",
      "A WATCH %|| => OK|",
      "A hears %||",
    ],
  },
  {
    name: "watches/depth",
    about: "a depth limits how far below a watch reaches (4.23)",
    lines: [
      "A WATCH %|t|1| => 4.23: OK|; else: EINVAL",
      "A WATCH %|t|-1| => EINVAL",
      "A hears => 4.23: %|t|; else: nothing",
      "B WRITE %/x|1 => OK|",
      "A hears => 4.23: %/x|t|; else: nothing",
      "B WRITE %/x/y|1 => OK|",
      "A hears nothing",
      "B WRITE %|1 => OK|",
      "A hears => 4.23: %|t|; else: nothing",
    ],
  },
  {
    name: "watches/transaction-id",
    about: "WATCH and UNWATCH do not look at the transaction, not even at one that is none",
    lines: ["A WATCH#4711 %|t| => OK|", "A UNWATCH#4711 %|t| => OK|"],
  },
  {
    name: "watches/duplicate-events",
    about: "every change brings its event where each was taken",
    lines: [
      "A WATCH %|t| => OK|",
      "A hears %|t|",
      "B WRITE %/x|1 => OK|",
      "A hears %/x|t|",
      "B WRITE %/x|2 => OK|",
      "A hears %/x|t|",
    ],
  },
];
