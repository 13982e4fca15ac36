// SPDX-License-Identifier: Apache-2.0
//
// Several nodes of one directory written together: what drivers do once they
// have made what they offer to the other end.

import { routine } from "../engine/routine.ts";
import type { Node, Vocabulary } from "../engine/routine.ts";
import { xenbusExists, xenbusPrintf, xenbusTransactionEnd, xenbusTransactionStart } from "./xs.ts";

/** A node's name below the directory, and its value. */
export type Entry = readonly [name: string, value: string];

/** What writing nodes one after another needs of a routine's locals. */
interface WritingLocals {
  domid: number;
  tx: number;
  name: string;
  value: string;
}

/**
 * Writes nodes of a directory one after another.
 *
 * @param steps what the loop and the request in it are called
 */
export function printEach<L extends WritingLocals>(
  { each, call }: Pick<Vocabulary<L>, "each" | "call">,
  steps: readonly [loop: string, request: string],
  dir: (l: L) => string,
  entries: (l: L) => readonly Entry[],
): Node<L> {
  return each(
    steps[0],
    entries,
    (l, [name, value]) => {
      l.name = name;
      l.value = value;
    },
    [
      call(steps[1], xenbusPrintf, (l) => ({
        domid: l.domid,
        tx: l.tx,
        dir: dir(l),
        name: l.name,
        value: l.value,
      })),
    ],
  );
}

/** Which nodes are written below which directory. */
export interface WriteEntriesArgs {
  domid: number;
  dir: string;
  entries: readonly Entry[];
  /** A node the driver looks at within the loop, to decide what it knows already. */
  lookAt?: string;
}

/** Writes the nodes in one transaction, again after a conflict. */
export const xenbusWriteEntries = routine(
  "xenbus_printf in a transaction",
  (a: WriteEntriesArgs) => ({
    domid: a.domid,
    dir: a.dir,
    entries: a.entries,
    lookAt: a.lookAt ?? null,
    tx: 0,
    name: "",
    value: "",
    done: false,
  }),
  ({ call, each, when, repeatUntil }) => [
    repeatUntil("err != -EAGAIN", (l) => l.done, [
      call(
        "xenbus_transaction_start",
        xenbusTransactionStart,
        (l) => ({ domid: l.domid }),
        (l, tx) => void (l.tx = tx),
      ),
      when("looks", (l) => l.lookAt !== null, [
        call("xenbus_exists", xenbusExists, (l) => ({ domid: l.domid, dir: l.lookAt ?? "", name: "" })),
      ]),
      printEach(
        { each, call },
        ["entries", "xenbus_printf"],
        (l) => l.dir,
        (l) => l.entries,
      ),
      call(
        "xenbus_transaction_end",
        xenbusTransactionEnd,
        (l) => ({ domid: l.domid, tx: l.tx, abort: false }),
        (l, again) => void (l.done = !again),
      ),
    ]),
  ],
);
