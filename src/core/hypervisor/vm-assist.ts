// SPDX-License-Identifier: Apache-2.0
//
// vm_assist: conveniences a PV kernel switches on early in its boot; debug key q
// shows which (xen/common/kernel.c, vm_assist).

import { fail } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { traced } from "./caller.ts";
import type { Caller } from "./caller.ts";
import { domainInfoCell } from "./domain.ts";

/** VMASST_TYPE_*: 32-bit segments, writable page tables, page tables above 4 GiB, the runstate flag. */
export const VMASST_TYPE_4gb_segments = 0;
export const VMASST_TYPE_writable_pagetables = 2;
export const VMASST_TYPE_pae_extended_cr3 = 3;
export const VMASST_TYPE_runstate_update_flag = 5;

/** Types there are, as bits (VM_ASSIST_VALID): also 4gb_segments_notify, architectural_iopl, m2p_strict. */
const VALID = 0x3f | (1 << 31);

/** Switches a convenience of the caller's domain on or off: EINVAL for one there is not. */
export function vmAssist(
  host: Host,
  caller: Caller,
  { type, enable }: { type: number; enable: boolean },
): 0 | Failure {
  const bit = type >= 0 && type < 32 ? 1 << type : 0;
  const result = (VALID & bit) === 0 ? fail("EINVAL") : 0;
  if (result === 0) {
    const info = host.edit(domainInfoCell, caller.domid);
    info.vmAssist = (enable ? info.vmAssist | bit : info.vmAssist & ~bit) >>> 0;
  }
  return traced(host, caller, `vm_assist ${enable ? "enable" : "disable"}`, caller.domid, { type }, result);
}
