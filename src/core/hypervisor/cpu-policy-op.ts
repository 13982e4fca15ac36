// SPDX-License-Identifier: Apache-2.0
//
// DOMCTL and SYSCTL of CPU policies.

import { must } from "../engine/cells.ts";
import { fail, isFailure } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { controlled, isPrivileged, traced } from "./caller.ts";
import type { Caller } from "./caller.ts";
import { domainPolicy, featureset, machinePolicy, mergePolicy } from "./cpu-policy.ts";
import type { CpuPolicy, PolicyError } from "./cpu-policy.ts";
import { domainCell } from "./domain.ts";
import { another } from "./domctl-op.ts";

/** A policy that was not taken: why, and where it is wrong. */
export interface PolicyRefused extends Failure {
  readonly refused: PolicyError;
}

/** Raw, host, and maximum and default for PV and HVM: all are the machine's own. */
const POLICIES = 6;

/** One of the machine's policies: EINVAL for an index there is not. */
export function systemPolicy(host: Host, caller: Caller, { index }: { index: number }): CpuPolicy | Failure {
  if (!isPrivileged(host, caller)) return fail("EPERM");
  return index < POLICIES ? machinePolicy() : fail("EINVAL");
}

/** How many feature words a policy has. */
export const FEATURE_WORDS = featureset.length;

/** The feature words of one of the machine's policies. */
export function systemFeatureset(
  host: Host,
  caller: Caller,
  { index }: { index: number },
): number[] | Failure {
  if (!isPrivileged(host, caller)) return fail("EPERM");
  return index < POLICIES ? [...featureset] : fail("EINVAL");
}

/** What a domain's processors say of themselves. */
export function getCpuPolicy(host: Host, caller: Caller, { domid }: { domid: number }): CpuPolicy | Failure {
  const d = controlled(host, caller, domid);
  return isFailure(d) ? d : domainPolicy(host, domid);
}

/** Whether a domain's policy can be set: EINVAL for the caller's own, EEXIST for one that has run. */
export function policyTarget(host: Host, caller: Caller, { domid }: { domid: number }): 0 | Failure {
  const d = another(host, caller, domid);
  if (isFailure(d)) return d;
  return must(host, domainCell, domid).creationFinished ? fail("EEXIST") : 0;
}

/**
 * Changes what a domain's processors say of themselves, before it first runs
 * (EEXIST afterwards); leaves that are not given stay as they are. E2BIG, ERANGE
 * with the leaf or register that has no place.
 */
export function setCpuPolicy(
  host: Host,
  caller: Caller,
  { domid, policy = { leaves: [], msrs: [] } }: { domid: number; policy?: CpuPolicy },
): 0 | Failure | PolicyRefused {
  const target = policyTarget(host, caller, { domid });
  const result = isFailure(target) ? target : merge(host, domid, policy);
  traced(host, caller, "domctl set_cpu_policy", domid, {}, result);
  return result;
}

function merge(host: Host, domid: number, policy: CpuPolicy): 0 | PolicyRefused {
  const wrong = mergePolicy(host, domid, policy);
  return wrong === null ? 0 : { errno: wrong.failure.errno, refused: wrong.refused };
}
