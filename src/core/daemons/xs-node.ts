// SPDX-License-Identifier: Apache-2.0
//
// A node's value, as small programs of dom0 read it: xenconsoled, xenstore-read.

import { routine } from "../engine/routine.ts";
import { xsTalk } from "./xs-client.ts";

/** A node's value, or null where it cannot be read. */
export const xsReadNode = routine(
  "xs_read(XBT_NULL)",
  (a: { process: string; path: string }) => ({
    process: a.process,
    path: a.path,
    value: null as string | null,
  }),
  ({ attempt, call }) => [
    attempt([
      call(
        "xs_single",
        xsTalk,
        (l) => ({ process: l.process, t: 0, op: "READ" as const, payload: `${l.path}\0` }),
        (l, reply) => {
          l.value = reply;
        },
      ),
    ]).onError(() => {}, []),
  ],
  (l) => l.value,
);
