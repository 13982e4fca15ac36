// SPDX-License-Identifier: Apache-2.0
//
// XENMEM_set_pod_target, XENMEM_get_pod_target (xen/arch/x86/mm.c,
// arch_memory_op; xen/arch/x86/mm/p2m-pod.c, p2m_pod_set_mem_target): how much
// memory a domain is to have that is populated on demand. The cache grows with
// the target; it shrinks only as the balloon gives memory back.

import { must } from "../engine/cells.ts";
import { fail, isFailure } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Cells, DeepReadonly } from "../engine/cells.ts";
import type { Host } from "../engine/host.ts";
import { isPrivileged, traced } from "./caller.ts";
import type { Caller } from "./caller.ts";
import { domainById, domainPagesCell, domainTotPages, pagingModeTranslate } from "./domain.ts";
import type { Domain } from "./domain.ts";
import { DOMID_SELF } from "./domid.ts";
import { podSetCacheTarget } from "./pod-cache.ts";
import { podCounts } from "./pod-cell.ts";

/** What a domain has, in pages: all of it, what of that is in the cache, what is still to be populated. */
export type PodTarget = { totPages: number; cachePages: number; entries: number };

/** The domain that is meant: ESRCH, EINVAL for a PV one whoever asks, EPERM for who is no control domain. */
function translated(host: Host, caller: Caller, domid: number): DeepReadonly<Domain> | Failure {
  const d = domainById(host, domid === DOMID_SELF ? caller.domid : domid);
  if (d === undefined) return fail("ESRCH");
  if (!pagingModeTranslate(d)) return fail("EINVAL");
  return isPrivileged(host, caller) ? d : fail("EPERM");
}

function targetOf(cells: Cells, domid: number): PodTarget {
  const { entries, cached } = podCounts(cells, domid);
  return { totPages: domainTotPages(must(cells, domainPagesCell, domid)), cachePages: cached, entries };
}

/** Pages a translated domain has: ESRCH, EINVAL, EPERM. */
export function getPodTarget(host: Host, caller: Caller, { domid }: { domid: number }): PodTarget | Failure {
  const d = translated(host, caller, domid);
  return isFailure(d) ? d : targetOf(host, d.domid);
}

/**
 * Says how many pages a translated domain is to have: ESRCH, EPERM, EINVAL for a PV
 * domain or more than it may have, ENOMEM where the host has not so many.
 */
export function setPodTarget(
  host: Host,
  caller: Caller,
  { domid, targetPages }: { domid: number; targetPages: number },
): PodTarget | Failure {
  const d = translated(host, caller, domid);
  let result: 0 | Failure = isFailure(d) ? d : 0;
  if (!isFailure(d)) {
    const { maxPages } = must(host, domainPagesCell, d.domid);
    result = targetPages > maxPages ? fail("EINVAL") : setMemTarget(host, d, targetPages);
  }
  const out = isFailure(d) || isFailure(result) ? result : targetOf(host, d.domid);
  const shown = { target: targetPages };
  return traced(
    host,
    caller,
    "memory_op set_pod_target",
    domid,
    shown,
    out as PodTarget | Failure,
    (found) => ({
      tot: found.totPages,
      cache: found.cachePages,
      entries: found.entries,
    }),
  );
}

/**
 * Of M pages at most a guest has ballooned down to B, P of which are populated: B - P
 * entries are outstanding, and the cache has what the target T leaves beside P. It
 * is never more than the entries, except while the domain is being built, when there
 * are none yet.
 */
function setMemTarget(host: Host, { domid, isDying }: DeepReadonly<Domain>, target: number): 0 | Failure {
  const { totPages, cachePages, entries } = targetOf(host, domid);
  const populated = totPages - cachePages;
  if (populated > 0 && entries === 0) return 0;
  if (isDying !== "alive" || target < totPages) return 0;
  const wanted = target - populated;
  return podSetCacheTarget(host, domid, populated > 0 ? Math.min(wanted, entries) : wanted);
}
