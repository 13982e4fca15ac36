// SPDX-License-Identifier: Apache-2.0
//
// sched_op: the one command tools use; the others are a guest kernel's own.

import * as X from "../../../abi/4.17/constants.ts";
import * as abi from "../../../abi/4.17/layout.ts";
import { viewOf } from "../../../abi/struct.ts";
import { isFailure } from "../../engine/errno.ts";
import * as op from "../sched-op.ts";
import { operation, prepare, unknownCommand } from "./operation.ts";
import type { Family } from "./operation.ts";

const remoteShutdown = operation("sched_op remote_shutdown", op.remoteShutdown);

/** `sched_op(cmd, arg)` */
export const schedOp: Family = ({ memory, args }) => {
  const [command = 0, address = 0] = args;
  if (command !== X.SCHEDOP_remote_shutdown) return unknownCommand("sched_op", "SCHEDOP_", command);
  const s = abi.sched_remote_shutdown;
  const bytes = memory.read(address, s.sizeof);
  if (isFailure(bytes)) return bytes;
  const view = viewOf(bytes);
  return prepare(remoteShutdown, { domid: s.domain_id.get(view), reason: s.reason.get(view) });
};
