// SPDX-License-Identifier: Apache-2.0
//
// DOMCTL of a vCPU's state beyond its registers: callbacks, extended state, model
// specific registers. No processor runs here, so there is none to be told of.

import { must } from "../engine/cells.ts";
import { fail, isFailure } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { controlled, traced } from "./caller.ts";
import type { Caller } from "./caller.ts";
import { domainCell } from "./domain.ts";
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

/** The same for extended state, which no vCPU has that asks: EINVAL for the caller's own. */
export function stateVcpu(host: Host, caller: Caller, asked: { domid: number; vcpu: number }): 0 | Failure {
  const found = extraVcpu(host, caller, asked);
  // Whichever of its vCPUs asks: the first, which processes' hypercalls are made by.
  const isOwn = asked.domid === caller.domid && asked.vcpu === 0;
  return isFailure(found) || !isOwn ? found : fail("EINVAL");
}

/** The same for model specific registers, which PV vCPUs alone have this way: EINVAL for others. */
export function msrVcpu(
  host: Host,
  caller: Caller,
  { domid, vcpu }: { domid: number; vcpu: number },
): 0 | Failure {
  const found = extraVcpu(host, caller, { domid, vcpu });
  return isFailure(found) || must(host, domainCell, domid).type === "pv" ? found : fail("EINVAL");
}

/**
 * Takes a vCPU's callbacks (XEN_DOMCTL_set_ext_vcpucontext): ESRCH, for one's own
 * domain too, EINVAL for a short structure.
 */
export function setExtVcpucontext(
  host: Host,
  caller: Caller,
  { domid, vcpu, size }: { domid: number; vcpu: number; size: number },
): 0 | Failure {
  const d = controlled(host, caller, domid);
  const result = isFailure(d)
    ? d
    : domainVcpu(host, domid, vcpu) === undefined || d.domid === caller.domid
      ? fail("ESRCH")
      : size < EXT_SIZE_MIN
        ? fail("EINVAL")
        : 0;
  return traced(host, caller, "domctl set_ext_vcpucontext", domid, {}, result);
}
