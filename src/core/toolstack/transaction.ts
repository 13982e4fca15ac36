// SPDX-License-Identifier: Apache-2.0
//
// A word for xenstore transactions, as libxl runs them: again from the start
// when somebody else came in between, given up when something in them fails.

import type { Node, Vocabulary } from "../engine/routine.ts";
import { xsTransactionAbort, xsTransactionCommit, xsTransactionStart } from "./xs.ts";
import { sameProcess } from "./same.ts";

/** The transaction is lost to a conflict and has to be started again. */
const LOST = -1;

/** What a routine with a transaction keeps in its locals: `t`, from 0, is the open transaction's number. */
export interface Transacting {
  process: string;
  t: number;
}

/** A transaction around a body; its requests take `t` from the locals. A body that gives it up sets `t` to 0. */
export function transaction<L extends Transacting>(words: Vocabulary<L>, body: Node<L>[]): Node<L> {
  const { always, repeatUntil, call, when } = words;
  return always(
    [
      repeatUntil("transaction committed", (l) => l.t === 0, [
        call("transaction start", xsTransactionStart, sameProcess, (l, t) => void (l.t = t)),
        ...body,
        when("not given up", (l) => l.t !== 0, [
          call(
            "transaction end",
            xsTransactionCommit,
            (l) => ({ process: l.process, t: l.t }),
            (l, committed) => void (l.t = committed ? 0 : LOST),
          ),
        ]),
      ]),
    ],
    [
      when("transaction open", (l) => l.t > 0, [
        call(
          "transaction abort",
          xsTransactionAbort,
          (l) => ({ process: l.process, t: l.t }),
          (l) => void (l.t = 0),
        ),
      ]),
    ],
  );
}
