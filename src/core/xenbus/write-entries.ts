// SPDX-License-Identifier: Apache-2.0
//
// Several nodes of one directory written together: what drivers do once they
// have made what they offer to the other end.

import { present } from "../engine/errno.ts";
import type { Errno } from "../engine/errno.ts";
import { routine } from "../engine/routine.ts";
import type { Node, Vocabulary } from "../engine/routine.ts";
import type { DeviceArgs } from "./device.ts";
import { failFatally } from "./switch-state.ts";
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
export interface WriteEntriesArgs extends DeviceArgs {
  dir: string;
  entries: readonly Entry[];
  /** A node the driver looks at within the loop, to decide what it knows already. */
  lookAt?: string;
}

/** Where it is: what an error is told with. */
type Stage = "starting transaction" | "writing" | "completing transaction";

/** What went wrong, as drivers say it: the node by its own name. */
function problem({ stage, name }: { stage: Stage; name: string }): string {
  return stage === "writing" ? `writing ${name.split("/").at(-1)}` : stage;
}

/** Writes the nodes in one transaction, again after a conflict. An error is told and is this routine's. */
export const xenbusWriteEntries = routine(
  "xenbus_printf in a transaction",
  (a: WriteEntriesArgs) => ({
    device: a.device,
    domid: a.domid,
    dir: a.dir,
    entries: a.entries,
    lookAt: a.lookAt ?? null,
    tx: 0,
    name: "",
    value: "",
    stage: "starting transaction" as Stage,
    errno: null as Errno | null,
    done: false,
  }),
  ({ call, each, when, repeatUntil, attempt, failWith }) => [
    attempt([
      repeatUntil("err != -EAGAIN", (l) => l.done, [
        call(
          "xenbus_transaction_start",
          xenbusTransactionStart,
          (l) => ({ domid: l.domid }),
          (l, tx) => {
            l.tx = tx;
            l.stage = "writing";
          },
        ),
        when("looks", (l) => l.lookAt !== null, [
          call("xenbus_exists", xenbusExists, (l) => ({ domid: l.domid, dir: l.lookAt ?? "", name: "" })),
        ]),
        attempt([
          printEach(
            { each, call },
            ["entries", "xenbus_printf"],
            (l) => l.dir,
            (l) => l.entries,
          ),
        ]).onError(
          (l, errno) => void (l.errno = errno),
          [
            call("abort_transaction", xenbusTransactionEnd, (l) => ({
              domid: l.domid,
              tx: l.tx,
              abort: true,
            })),
            failWith("aborted", (l) => present(l.errno)),
          ],
        ),
        call(
          "xenbus_transaction_end",
          xenbusTransactionEnd,
          (l) => ({ domid: l.domid, tx: l.tx, abort: false }),
          (l, again) => {
            l.done = !again;
            l.stage = "starting transaction";
          },
        ),
      ]),
    ]).onError(
      (l, errno) => {
        if (l.stage === "writing" && l.errno === null) l.stage = "completing transaction";
        l.errno ??= errno;
      },
      failFatally({ call, failWith }, ["xenbus_dev_fatal", "told"], problem),
    ),
  ],
);
