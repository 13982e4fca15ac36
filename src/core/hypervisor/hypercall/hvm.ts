// SPDX-License-Identifier: Apache-2.0
//
// hvm_op: parameters of translated domains.

import * as X from "../../../abi/4.17/constants.ts";
import * as abi from "../../../abi/4.17/layout.ts";
import { getBig, setBig, viewOf } from "../../../abi/struct.ts";
import { isFailure } from "../../engine/errno.ts";
import * as op from "../hvm-op.ts";
import { operation, prepare, query, unknownCall } from "./operation.ts";
import type { Family } from "./operation.ts";

const setParam = operation("hvm_op set_param", op.setParam);
const getParam = query("hvm_op get_param", op.getParam);

/** `hvm_op(op, arg)` */
export const hvmOp: Family = ({ memory, args }) => {
  const [command = 0, address = 0] = args;
  if (command !== X.HVMOP_set_param && command !== X.HVMOP_get_param) return unknownCall(`hvm_op ${command}`);
  const s = abi.xen_hvm_param;
  const bytes = memory.read(address, s.sizeof);
  if (isFailure(bytes)) return bytes;
  const view = viewOf(bytes);
  const asked = { domid: s.domid.get(view), index: s.index.get(view) };
  if (command === X.HVMOP_set_param)
    return prepare(setParam, { ...asked, value: getBig(view, s.value) }, () => 0);
  return prepare(getParam, asked, (value) => {
    setBig(view, s.value, value);
    return memory.write(address, bytes);
  });
};
