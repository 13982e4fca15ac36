// SPDX-License-Identifier: Apache-2.0
//
// mmuext_op: pinning of page tables, one operation a call as libxc makes it.

import * as X from "../../../abi/4.17/constants.ts";
import * as abi from "../../../abi/4.17/layout.ts";
import { viewOf } from "../../../abi/struct.ts";
import { fail, isFailure } from "../../engine/errno.ts";
import * as op from "../mmuext-op.ts";
import { writeU32s } from "./caller-memory.ts";
import { operation, prepare, unknownCall } from "./operation.ts";
import type { Family } from "./operation.ts";

const pin = operation("mmuext_op pin_table", op.mmuextPin);
const unpin = operation("mmuext_op unpin_table", op.mmuextUnpin);

const levels: { readonly [command: number]: 1 | 2 | 3 | 4 } = {
  [X.MMUEXT_PIN_L1_TABLE]: 1,
  [X.MMUEXT_PIN_L2_TABLE]: 2,
  [X.MMUEXT_PIN_L3_TABLE]: 3,
  [X.MMUEXT_PIN_L4_TABLE]: 4,
};

/** `mmuext_op(uops, count, pdone, domid)` */
export const mmuextOp: Family = ({ memory, args }) => {
  const [address = 0, count = 0, doneAt = 0, domid = 0] = args;
  if (count === 0) return 0;
  if (count !== 1) return unknownCall("mmuext_op of several operations");
  const s = abi.mmuext_op;
  const bytes = memory.read(address, s.sizeof);
  if (isFailure(bytes)) return bytes;
  const view = viewOf(bytes);
  const command = s.cmd.get(view);
  const mfn = s["arg1.mfn"].get(view);
  const level = levels[command];
  const reply = (): 0 | { errno: "EFAULT" } => {
    const told = doneAt === 0 ? 0 : writeU32s(memory, doneAt, [1]);
    return isFailure(told) ? { errno: "EFAULT" } : 0;
  };
  if (level !== undefined) return prepare(pin, { domid, level, mfn }, reply);
  if (command === X.MMUEXT_UNPIN_TABLE) return prepare(unpin, { domid, mfn }, reply);
  return command > X.MMUEXT_UNMARK_SUPER ? fail("ENOSYS") : unknownCall(`mmuext_op ${command}`);
};
