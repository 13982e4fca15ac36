// SPDX-License-Identifier: Apache-2.0
//
// HVMOP: what HVM and PVH domains and their device models agree on through the
// hypervisor (xen/arch/x86/hvm/hvm.c).

import { fail, isFailure } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { targeted, traced } from "./caller.ts";
import type { Caller } from "./caller.ts";
import { HVM_NR_PARAMS, hvmParam, setHvmParam } from "./hvm-params.ts";

/** HVMOP_set_param: EINVAL for a PV domain or an index there is not. A domain may set its own. */
export function setParam(
  host: Host,
  caller: Caller,
  { domid, index, value }: { domid: number; index: number; value: bigint },
): 0 | Failure {
  const d = targeted(host, caller, domid);
  const result = isFailure(d)
    ? d
    : d.type === "pv" || index < 0 || index >= HVM_NR_PARAMS
      ? fail("EINVAL")
      : 0;
  if (result === 0 && !isFailure(d)) setHvmParam(host, d.domid, index, value);
  return traced(host, caller, "hvm_op set_param", domid, { index, value: String(value) }, result);
}

/** HVMOP_get_param: EINVAL for a PV domain or an index there is not. */
export function getParam(
  host: Host,
  caller: Caller,
  { domid, index }: { domid: number; index: number },
): bigint | Failure {
  const d = targeted(host, caller, domid);
  if (isFailure(d)) return d;
  return d.type === "pv" || index < 0 || index >= HVM_NR_PARAMS
    ? fail("EINVAL")
    : hvmParam(host, d.domid, index);
}
