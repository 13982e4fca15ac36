// SPDX-License-Identifier: Apache-2.0
//
// DOMCTL of a vCPU's state beyond its registers: callbacks, extended state, model
// specific registers. No processor runs here, so there is none to be told of.

import { fail, isFailure } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { controlled, traced } from "./caller.ts";
import type { Caller } from "./caller.ts";
import { another } from "./domctl-op.ts";
import { domainVcpu } from "./vcpu.ts";

/** Bytes of struct xen_domctl_ext_vcpucontext before what only newer tools send. */
const EXT_SIZE_MIN = 32;

/** Whether there is such a vCPU to ask about: ESRCH, EPERM. */
export function extraVcpu(
  host: Host,
  caller: Caller,
  { domid, vcpu }: { domid: number; vcpu: number },
): 0 | Failure {
  const d = controlled(host, caller, domid);
  if (isFailure(d)) return d;
  return domainVcpu(host, domid, vcpu) === undefined ? fail("ESRCH") : 0;
}

/**
 * Takes a vCPU's callbacks (XEN_DOMCTL_set_ext_vcpucontext): ESRCH, EINVAL for
 * one's own domain or a short structure.
 */
export function setExtVcpucontext(
  host: Host,
  caller: Caller,
  { domid, vcpu, size }: { domid: number; vcpu: number; size: number },
): 0 | Failure {
  const d = another(host, caller, domid);
  const result = isFailure(d)
    ? d
    : domainVcpu(host, domid, vcpu) === undefined
      ? fail("ESRCH")
      : size < EXT_SIZE_MIN
        ? fail("EINVAL")
        : 0;
  return traced(host, caller, "domctl set_ext_vcpucontext", domid, {}, result);
}
