// SPDX-License-Identifier: Apache-2.0
//
// sysctl livepatch_op (xen/common/livepatch.c): there are no patches, and no code
// that one could be for.

import * as X from "../../../abi/4.17/constants.ts";
import * as abi from "../../../abi/4.17/layout.ts";
import { fail, isFailure } from "../../engine/errno.ts";
import type { Failure } from "../../engine/errno.ts";
import { unknownCall } from "./operation.ts";
import type { SysctlCall } from "./sysctl-call.ts";

const U = abi.xen_sysctl.u.offset;
const s = abi.xen_sysctl_livepatch_op;

/** XEN_LIVEPATCH_NAME_SIZE, with the NUL that ends it. */
const NAME_BYTES = 128;
const LISTED_MAX = 1024;
/** payload_version, before the first patch. */
const VERSION = 1;

/** Names a patch: EINVAL for what is no name, EFAULT, ENOENT (get_name, find_payload). */
function named({ view, memory }: SysctlCall): Failure {
  const size = s["u.get.name.size"].get(view, U);
  if (size === 0 || size > NAME_BYTES) return fail("EINVAL");
  if (s["u.get.name.pad"].get(view, U).some((byte) => byte !== 0)) return fail("EINVAL");
  const name = memory.read(s["u.get.name.name"].get(view, U), size);
  if (isFailure(name)) return name;
  return fail(name.at(-1) === 0 ? "ENOENT" : "EINVAL");
}

/** How many there are, none of which has a name. */
function list({ view, copyBack }: SysctlCall): 0 | Failure {
  if (s["u.list.nr"].get(view, U) > LISTED_MAX) return fail("E2BIG");
  if (s["u.list.pad"].get(view, U) !== 0) return fail("EINVAL");
  for (const field of ["u.list.nr", "u.list.name_total_size", "u.list.metadata_total_size"] as const)
    s[field].set(view, 0, U);
  s["u.list.version"].set(view, VERSION, U);
  return copyBack();
}

export function livepatchOp(call: SysctlCall): 0 | Failure {
  const { view } = call;
  if (s.pad.get(view, U) !== 0) return fail("EINVAL");
  const command = s.cmd.get(view, U);
  switch (command) {
    case X.XEN_SYSCTL_LIVEPATCH_LIST:
      return list(call);
    case X.XEN_SYSCTL_LIVEPATCH_GET:
    case X.XEN_SYSCTL_LIVEPATCH_ACTION:
      return named(call);
    case X.XEN_SYSCTL_LIVEPATCH_UPLOAD:
      return unknownCall("sysctl livepatch_op upload");
    default:
      return fail("EOPNOTSUPP");
  }
}
