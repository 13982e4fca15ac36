// SPDX-License-Identifier: Apache-2.0
//
// What this Xen was built without, or does not find in the machine, and how it
// refuses whoever wants it.

import { fail, isFailure } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { controlled, isPrivileged } from "./caller.ts";
import type { Caller } from "./caller.ts";

/** xsm_op: the security module is the dummy one, which has no operations (xsm/dummy.h, do_xsm_op). */
export function xsmOp(): Failure {
  return fail("ENOSYS");
}

/** hypfs_op: there is no file system of parameters (CONFIG_HYPFS). */
export function hypfsOp(): Failure {
  return fail("ENOSYS");
}

/**
 * Platform shared resources of the machine: no processor has any to monitor or to allocate (x86/psr.c):
 * EPERM, ENODEV.
 */
export function psrSysctl(host: Host, caller: Caller): Failure {
  return fail(isPrivileged(host, caller) ? "ENODEV" : "EPERM");
}

/** Platform shared resources for a domain: ESRCH, EPERM, ENODEV. */
export function psrDomctl(host: Host, caller: Caller, { domid }: { domid: number }): Failure {
  const d = controlled(host, caller, domid);
  return isFailure(d) ? d : fail("ENODEV");
}

/** Passing devices through: there is no IOMMU (iommu_do_domctl): EPERM, EOPNOTSUPP. */
export function iommuDomctl(host: Host, caller: Caller): Failure {
  return fail(isPrivileged(host, caller) ? "EOPNOTSUPP" : "EPERM");
}
