// SPDX-License-Identifier: Apache-2.0
//
// The pool a user named on an xl command line.

import { stderr } from "../../daemons/process.ts";
import { routine } from "../../engine/routine.ts";
import { cpupoolOf } from "../cpupool.ts";
import { ERROR_INVAL } from "../rc.ts";
import * as say from "../xl/messages.ts";

/** A pool by number or name. Fails, and says so, where there is none. */
export const poolNamed = routine(
  "xl cpupool argument",
  (a: { process: string; pool: string }) => ({ ...a, poolid: -1 }),
  ({ attempt, call, step, failWith }) => [
    attempt([
      call(
        "libxl_cpupool_qualifier_to_cpupoolid",
        cpupoolOf,
        ({ process, pool }) => ({ process, pool }),
        (l, poolid) => {
          l.poolid = poolid;
        },
      ),
    ]).onError(() => {}, [
      step("complain", (host, l) => stderr(host, l.process, say.unknownCpupool(l.pool))),
      failWith("no such pool", ERROR_INVAL),
    ]),
  ],
  (l) => l.poolid,
);
