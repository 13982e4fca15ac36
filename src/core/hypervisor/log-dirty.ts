// SPDX-License-Identifier: Apache-2.0
//
// Log-dirty mode: which frames of a running domain were written since somebody
// looked, for a migration that copies it meanwhile (xen/arch/x86/mm/paging.c).

import { must } from "../engine/cells.ts";
import { fail, isFailure } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { controlled, traced } from "./caller.ts";
import type { Caller } from "./caller.ts";
import { domainInfoCell, logDirtyCell } from "./domain.ts";
import type { Domain } from "./domain.ts";
import { ownedFrames } from "./frames.ts";
import { pageOf } from "./page.ts";
import { runsOf } from "./runs.ts";

/** Guest frames that were written, and how many faults told of it since they were last cleaned. */
export interface DirtyFrames {
  gfns: number[];
  faults: number;
}

interface OfDomain {
  domid: number;
}

/** The domain: EINVAL for the caller's own, a dying one, one without vCPUs (paging_domctl). */
function pagedDomain(host: Host, caller: Caller, domid: number): Domain | Failure {
  const d = controlled(host, caller, domid);
  if (isFailure(d)) return d;
  return d.domid === caller.domid || d.isDying !== "alive" || d.nrVcpus === 0 ? fail("EINVAL") : d;
}

/** Switches the mode on; everything is clean then. EINVAL where it is on. */
export function enableLogDirty(host: Host, caller: Caller, { domid }: OfDomain): 0 | Failure {
  const d = pagedDomain(host, caller, domid);
  let result: 0 | Failure = isFailure(d) ? d : 0;
  if (result === 0) {
    if (host.get(logDirtyCell, domid) !== undefined) result = fail("EINVAL");
    else {
      host.add(logDirtyCell, domid, { on: true });
      dirtyFrames(host, domid, true);
    }
  }
  return traced(host, caller, "domctl shadow_op", domid, { op: "enable_logdirty" }, result);
}

/** Switches it off. A PV domain that is not in the mode is EINVAL, others are not asked (hap_disable_log_dirty). */
export function disableLogDirty(host: Host, caller: Caller, { domid }: OfDomain): 0 | Failure {
  const d = pagedDomain(host, caller, domid);
  let result: 0 | Failure = isFailure(d) ? d : 0;
  if (!isFailure(d)) {
    if (host.get(logDirtyCell, domid) !== undefined) host.drop(logDirtyCell, domid);
    else if (d.type === "pv") result = fail("EINVAL");
  }
  return traced(host, caller, "domctl shadow_op", domid, { op: "off" }, result);
}

/** What of a domain's memory was written. A frame that somebody maps may have been written by them. */
function dirtyFrames(host: Host, domid: number, clean: boolean): number[] {
  const gfns: number[] = [];
  for (const { start, count, value } of runsOf(host, ownedFrames(domid))) {
    if (value < 0) continue;
    for (let i = 0; i < count; i++) {
      const mapped = (pageOf(host, start + i)?.count ?? 1) > 1;
      if (host.memory.dirtied(start + i, clean && !mapped) || mapped) gfns.push(value + i);
    }
  }
  return gfns;
}

function lookedAt(host: Host, caller: Caller, domid: number, clean: boolean): DirtyFrames | Failure {
  const d = pagedDomain(host, caller, domid);
  if (isFailure(d)) return d;
  if (host.get(logDirtyCell, domid) === undefined) return fail("EINVAL");
  const gfns = dirtyFrames(host, domid, clean);
  return { gfns, faults: gfns.length };
}

/** Which frames were written, by guest frame number, and from here on all are clean (…SHADOW_OP_CLEAN). */
export function cleanDirty(host: Host, caller: Caller, { domid }: OfDomain): DirtyFrames | Failure {
  const found = lookedAt(host, caller, domid, true);
  const count = isFailure(found) ? 0 : found.gfns.length;
  return traced(host, caller, "domctl shadow_op", domid, { op: "clean" }, found, () => ({ dirty: count }));
}

/** Which frames were written (…SHADOW_OP_PEEK). */
export function peekDirty(host: Host, caller: Caller, { domid }: OfDomain): DirtyFrames | Failure {
  return lookedAt(host, caller, domid, false);
}

/** MiB of a domain's paging pool (…SHADOW_OP_GET_ALLOCATION). */
export function pagingAllocation(host: Host, caller: Caller, { domid }: OfDomain): number | Failure {
  const d = pagedDomain(host, caller, domid);
  return isFailure(d) ? d : Math.ceil(must(host, domainInfoCell, domid).pagingMempool / 2 ** 20);
}
