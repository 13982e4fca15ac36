// SPDX-License-Identifier: Apache-2.0
//
// platform_op: the machine's own registers (xen/arch/x86/platform_hypercall.c).
// Its processors have none of those that may be read this way.

import * as X from "../../../abi/4.17/constants.ts";
import * as abi from "../../../abi/4.17/layout.ts";
import { viewOf } from "../../../abi/struct.ts";
import { fail, isFailure } from "../../engine/errno.ts";
import type { Failure } from "../../engine/errno.ts";
import { isPrivileged } from "../caller.ts";
import { unknownCommand } from "./operation.ts";
import type { Arrived, Family } from "./operation.ts";

/** Where the union is. */
const U = abi.xen_platform_op.u.offset;
/** Entries of one XENPF_resource_op (RESOURCE_ACCESS_MAX_ENTRIES). */
const RESOURCES_MAX = 3;
const EPERM = 1;

/** XENPF_resource_op: how many entries were done, none of them here; the first one says why not. */
function resources({ memory }: Arrived, view: DataView): number | Failure {
  const s = abi.xenpf_resource_op;
  const count = s.nr_entries.get(view, U);
  if (count === 0) return 0;
  if (count > RESOURCES_MAX) return fail("EINVAL");
  const { sizeof, "u.ret": ret } = abi.xenpf_resource_entry;
  const address = s.entries.get(view, U);
  const bytes = memory.read(address, sizeof);
  if (isFailure(bytes)) return bytes;
  ret.set(viewOf(bytes), -EPERM);
  return memory.write(address, bytes);
}

/** `platform_op(op)`: EPERM, EACCES for a tool of another version. */
export const platformOp: Family = (call) => {
  const bytes = call.memory.read(call.args[0] ?? 0, abi.xen_platform_op.sizeof);
  if (isFailure(bytes)) return bytes;
  if (!isPrivileged(call.host, call.caller)) return fail("EPERM");
  const view = viewOf(bytes);
  if (abi.xen_platform_op.interface_version.get(view) !== X.XENPF_INTERFACE_VERSION) return fail("EACCES");
  const command = abi.xen_platform_op.cmd.get(view);
  if (command === X.XENPF_resource_op) return resources(call, view);
  // The machine's processors are of a family that takes no microcode (microcode_update).
  if (command === X.XENPF_microcode_update) return fail("EINVAL");
  return unknownCommand("platform_op", "XENPF_", command);
};
