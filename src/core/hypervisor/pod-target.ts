// SPDX-License-Identifier: Apache-2.0
//
// XENMEM_set_pod_target, XENMEM_get_pod_target (xen/arch/x86/mm.c,
// arch_memory_op). No domain is populated on demand here: each has all its
// memory from the start, and then a target changes nothing.

import { must } from "../engine/cells.ts";
import { fail, isFailure } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { controlled, traced } from "./caller.ts";
import type { Caller } from "./caller.ts";
import { domainPagesCell, pagingModeTranslate } from "./domain.ts";

/** Pages a translated domain has; for control domains to ask. EINVAL for a PV domain. */
export function getPodTarget(
  host: Host,
  caller: Caller,
  { domid }: { domid: number },
): { totPages: number } | Failure {
  const d = controlled(host, caller, domid);
  if (isFailure(d)) return d;
  if (!pagingModeTranslate(d)) return fail("EINVAL");
  return { totPages: must(host, domainPagesCell, d.domid).totPages };
}

/** Says how many pages a translated domain is to have; EINVAL for a PV domain, or more than it may have. */
export function setPodTarget(
  host: Host,
  caller: Caller,
  { domid, targetPages }: { domid: number; targetPages: number },
): { totPages: number } | Failure {
  const has = getPodTarget(host, caller, { domid });
  const result =
    isFailure(has) || targetPages <= must(host, domainPagesCell, domid).maxPages ? has : fail("EINVAL");
  return traced(host, caller, "memory_op set_pod_target", domid, { target: targetPages }, result);
}
