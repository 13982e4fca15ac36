// SPDX-License-Identifier: Apache-2.0
//
// grant_table_op: arrays of operations, each with a status of its own.

import * as X from "../../../abi/4.17/constants.ts";
import * as abi from "../../../abi/4.17/layout.ts";
import { viewOf } from "../../../abi/struct.ts";
import { isFailure } from "../../engine/errno.ts";
import * as op from "../grant-table-op.ts";
import { writeU64s } from "./caller-memory.ts";
import { operation, prepare, query, unknownCommand } from "./operation.ts";
import type { Family } from "./operation.ts";

const setupTable = operation("grant_table_op setup_table", op.setupTable);
const querySize = query("grant_table_op query_size", op.querySize);

const setup: Family = ({ memory, args }) => {
  const address = args[1] ?? 0;
  const s = abi.gnttab_setup_table;
  const bytes = memory.read(address, s.sizeof);
  if (isFailure(bytes)) return bytes;
  const view = viewOf(bytes);
  const asked = { domid: s.dom.get(view), nrFrames: s.nr_frames.get(view) };
  return prepare(setupTable, asked, ({ status, frames }) => {
    s.status.set(view, status);
    const listed = writeU64s(memory, s.frame_list.get(view), frames);
    return isFailure(listed) ? listed : memory.write(address, bytes);
  });
};

const size: Family = ({ memory, args }) => {
  const address = args[1] ?? 0;
  const s = abi.gnttab_query_size;
  const bytes = memory.read(address, s.sizeof);
  if (isFailure(bytes)) return bytes;
  const view = viewOf(bytes);
  return prepare(querySize, { domid: s.dom.get(view) }, (found) => {
    s.status.set(view, found.status);
    s.nr_frames.set(view, found.nrFrames);
    s.max_nr_frames.set(view, found.maxNrFrames);
    return memory.write(address, bytes);
  });
};

/** `grant_table_op(cmd, uop, count)`: what tools ask for, one at a time. Mapping is the kernel's (gntdev). */
export const grantTableOp: Family = (call) => {
  const [command = 0, , count = 0] = call.args;
  if (command !== X.GNTTABOP_setup_table && command !== X.GNTTABOP_query_size) {
    return unknownCommand("grant_table_op", "GNTTABOP_", command);
  }
  if (count !== 1) return { errno: "EINVAL" };
  return command === X.GNTTABOP_setup_table ? setup(call) : size(call);
};
