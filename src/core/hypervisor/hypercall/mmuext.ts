// SPDX-License-Identifier: Apache-2.0
//
// mmuext_op: pinning of page tables.

import * as X from "../../../abi/4.17/constants.ts";
import * as abi from "../../../abi/4.17/layout.ts";
import { viewOf } from "../../../abi/struct.ts";
import { fail, isFailure } from "../../engine/errno.ts";
import type { Errno } from "../../engine/errno.ts";
import * as op from "../mmuext-op.ts";
import { writeU32s } from "./caller-memory.ts";
import { operation, prepare, unknownCall } from "./operation.ts";
import type { Family, Unknown } from "./operation.ts";

/** One operation: pins a frame as a table of that level, or unpins it; none of these is refused when it is its turn. */
interface PinOrUnpin {
  level: 1 | 2 | 3 | 4 | null;
  mfn: number;
  refused?: Errno;
}

/** What became of them: how many were done, and why not the next. */
interface PinsDone {
  done: number;
  refused: Errno | null;
}

/** Pins and unpins, in order, as far as they succeed. */
const pinTables = operation(
  "mmuext_op pin_table",
  (host, caller, { domid, ops }: { domid: number; ops: readonly PinOrUnpin[] }): PinsDone => {
    for (const [done, { level, mfn, refused }] of ops.entries()) {
      if (refused !== undefined) return { done, refused };
      const result =
        level === null
          ? op.mmuextUnpin(host, caller, { domid, mfn })
          : op.mmuextPin(host, caller, { domid, level, mfn });
      if (isFailure(result)) return { done, refused: result.errno };
    }
    return { done: ops.length, refused: null };
  },
);

const levels: { readonly [command: number]: 1 | 2 | 3 | 4 } = {
  [X.MMUEXT_PIN_L1_TABLE]: 1,
  [X.MMUEXT_PIN_L2_TABLE]: 2,
  [X.MMUEXT_PIN_L3_TABLE]: 3,
  [X.MMUEXT_PIN_L4_TABLE]: 4,
};

/** Operations of one call: a restore pins a thousand tables at a time. */
const OPERATIONS_MAX = 1 << 14;

/** The operations, the last of which may be one that is not known here. */
function readOps(bytes: Uint8Array, count: number): PinOrUnpin[] | Unknown {
  const s = abi.mmuext_op;
  const view = viewOf(bytes);
  const ops: PinOrUnpin[] = [];
  for (let i = 0; i < count; i++) {
    const command = s.cmd.get(view, i * s.sizeof);
    const mfn = s["arg1.mfn"].get(view, i * s.sizeof);
    const level = levels[command] ?? null;
    if (level !== null || command === X.MMUEXT_UNPIN_TABLE) {
      ops.push({ level, mfn });
      continue;
    }
    // One that Xen has and this hypervisor has not is worth a line in the log.
    if (i === 0 && command <= X.MMUEXT_UNMARK_SUPER) return unknownCall(`mmuext_op ${command}`);
    ops.push({ level, mfn, refused: "ENOSYS" });
    break;
  }
  return ops;
}

/** `mmuext_op(uops, count, pdone, domid)` */
export const mmuextOp: Family = ({ host, caller, memory, args }) => {
  const [address = 0, count = 0, doneAt = 0, domid = 0] = args;
  if (count > OPERATIONS_MAX) return fail("E2BIG");
  const owner = op.pageOwner(host, caller, domid);
  if (isFailure(owner)) return owner;
  const bytes = memory.read(address, count * abi.mmuext_op.sizeof);
  if (isFailure(bytes)) return bytes;
  const ops = readOps(bytes, count);
  if (isFailure(ops)) return ops;
  return prepare(pinTables, { domid, ops }, ({ done, refused }) => {
    const told = doneAt === 0 ? 0 : writeU32s(memory, doneAt, [done]);
    if (isFailure(told)) return fail("EFAULT");
    return refused === null ? 0 : fail(refused);
  });
};
