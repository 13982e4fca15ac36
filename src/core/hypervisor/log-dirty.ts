// SPDX-License-Identifier: Apache-2.0
//
// Log-dirty mode: which frames of a running domain were written since somebody
// looked, for a migration that copies it meanwhile (xen/arch/x86/mm/paging.c).

import { XEN_DOMCTL_SHADOW_LOGDIRTY_FINAL } from "../../abi/4.17/constants.ts";
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

const MIB = 2 ** 20;

/** How a paging operation on a domain begins: EINVAL for the caller's own and one without vCPUs (paging_domctl). */
function pagedDomain(host: Host, caller: Caller, domid: number): Domain | "dying" | Failure {
  const d = controlled(host, caller, domid);
  if (isFailure(d)) return d;
  if (d.domid === caller.domid) return fail("EINVAL");
  // What is asked of a dying domain is ignored, and succeeds.
  if (d.isDying !== "alive") return "dying";
  return d.nrVcpus === 0 ? fail("EINVAL") : d;
}

/** Performs an operation on a domain's paging and records it. */
function pagingOp(
  host: Host,
  caller: Caller,
  domid: number,
  op: string,
  run: (d: Domain) => 0 | Failure,
): 0 | Failure {
  const d = pagedDomain(host, caller, domid);
  const result = isFailure(d) ? d : d === "dying" ? 0 : run(d);
  return traced(host, caller, "domctl shadow_op", domid, { op }, result);
}

/** Switches the mode on; everything is clean then. EINVAL where it is on. */
export function enableLogDirty(host: Host, caller: Caller, { domid }: OfDomain): 0 | Failure {
  return pagingOp(host, caller, domid, "enable_logdirty", () => {
    if (host.get(logDirtyCell, domid) !== undefined) return fail("EINVAL");
    host.add(logDirtyCell, domid, { on: true });
    dirtyFrames(host, domid, true);
    return 0;
  });
}

/**
 * Switches it off. A PV domain that is not in the mode is EINVAL: the recorded
 * Xen was built without shadow paging, which is all that a PV domain could have
 * (shadow_domctl); others are asked for nothing (hap_domctl).
 */
export function disableLogDirty(host: Host, caller: Caller, { domid }: OfDomain): 0 | Failure {
  return pagingOp(host, caller, domid, "off", (d) => {
    if (host.get(logDirtyCell, domid) !== undefined) host.drop(logDirtyCell, domid);
    else if (d.type === "pv") return fail("EINVAL");
    return 0;
  });
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

/** Which frames, and in which way they are looked at: bits of XEN_DOMCTL_SHADOW_LOGDIRTY_*. */
interface Looked extends OfDomain {
  mode?: number;
}

function lookedAt(
  host: Host,
  caller: Caller,
  { domid, mode = 0 }: Looked,
  clean: boolean,
): DirtyFrames | "dying" | Failure {
  const d = pagedDomain(host, caller, domid);
  if (isFailure(d) || d === "dying") return d;
  if ((mode & ~XEN_DOMCTL_SHADOW_LOGDIRTY_FINAL) !== 0) return fail("EINVAL");
  // Out of the mode nothing was kept: no frame is dirty (paging_log_dirty_op).
  if (host.get(logDirtyCell, domid) === undefined) return { gfns: [], faults: 0 };
  const gfns = dirtyFrames(host, domid, clean);
  return { gfns, faults: gfns.length };
}

/** Which frames were written, by guest frame number, and from here on all are clean (…SHADOW_OP_CLEAN). */
export function cleanDirty(host: Host, caller: Caller, asked: Looked): DirtyFrames | "dying" | Failure {
  const found = lookedAt(host, caller, asked, true);
  const count = isFailure(found) || found === "dying" ? 0 : found.gfns.length;
  return traced(host, caller, "domctl shadow_op", asked.domid, { op: "clean" }, found, () => ({
    dirty: count,
  }));
}

/** Which frames were written (…SHADOW_OP_PEEK). */
export function peekDirty(host: Host, caller: Caller, asked: Looked): DirtyFrames | "dying" | Failure {
  return lookedAt(host, caller, asked, false);
}

/** MiB of a domain's paging pool (…SHADOW_OP_GET_ALLOCATION). */
export function pagingAllocation(host: Host, caller: Caller, { domid }: OfDomain): number | Failure {
  const d = pagedDomain(host, caller, domid);
  return isFailure(d) ? d : allocationOf(host, domid);
}

/** Sets it, and says what it is then (…SHADOW_OP_SET_ALLOCATION). */
export function setPagingAllocation(
  host: Host,
  caller: Caller,
  { domid, mib }: { domid: number; mib: number },
): number | Failure {
  const result = pagingOp(host, caller, domid, "set_allocation", () => {
    host.edit(domainInfoCell, domid).pagingMempool = mib * MIB;
    return 0;
  });
  return isFailure(result) ? result : allocationOf(host, domid);
}

function allocationOf(host: Host, domid: number): number {
  return Math.ceil(must(host, domainInfoCell, domid).pagingMempool / MIB);
}
