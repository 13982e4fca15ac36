// SPDX-License-Identifier: Apache-2.0
//
// sched_op: the commands tools use; the others are a guest kernel's own.

import * as X from "../../../abi/4.17/constants.ts";
import * as abi from "../../../abi/4.17/layout.ts";
import { viewOf } from "../../../abi/struct.ts";
import { isFailure } from "../../engine/errno.ts";
import type { Failure } from "../../engine/errno.ts";
import * as op from "../sched-op.ts";
import { operation, prepare, unknownCommand } from "./operation.ts";
import type { Arrived, Family } from "./operation.ts";

const remoteShutdown = operation("sched_op remote_shutdown", op.remoteShutdown);
const watchdog = operation("sched_op watchdog", op.schedopWatchdog);

function structure({ memory, args }: Arrived, { sizeof }: { sizeof: number }): DataView | Failure {
  const bytes = memory.read(args[1] ?? 0, sizeof);
  return isFailure(bytes) ? bytes : viewOf(bytes);
}

/** `sched_op(cmd, arg)` */
export const schedOp: Family = (call) => {
  const [command = 0] = call.args;
  switch (command) {
    case X.SCHEDOP_remote_shutdown: {
      const s = abi.sched_remote_shutdown;
      const view = structure(call, s);
      if (isFailure(view)) return view;
      return prepare(remoteShutdown, { domid: s.domain_id.get(view), reason: s.reason.get(view) });
    }
    case X.SCHEDOP_watchdog: {
      const s = abi.sched_watchdog;
      const view = structure(call, s);
      if (isFailure(view)) return view;
      return prepare(watchdog, { id: s.id.get(view), timeout: s.timeout.get(view) });
    }
    default:
      return unknownCommand("sched_op", "SCHEDOP_", command);
  }
};
