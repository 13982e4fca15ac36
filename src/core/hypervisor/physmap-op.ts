// SPDX-License-Identifier: Apache-2.0
//
// Moving guest frames of a translated domain about (XENMAPSPACE_gmfn and
// gmfn_range of xenmem_add_to_physmap; XEN_DMOP_relocate_memory).

import type { DeepReadonly } from "../engine/cells.ts";
import { fail, isFailure } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { traced } from "./caller.ts";
import type { Caller } from "./caller.ts";
import type { Domain } from "./domain.ts";
import { frameOwner, setM2p } from "./frames.ts";
import { guestRemovePage, mfnToGfn, translated } from "./memory-op.ts";
import { p2mReaches, p2mType, physmapAdd, physmapRemove } from "./p2m.ts";
import { getGfn } from "./pod-populate.ts";
import { NO_FRAME } from "./runs.ts";

/** Which frames go where. */
export interface Relocation {
  domid: number;
  from: number;
  to: number;
  nr: number;
}

/**
 * Puts guest frames elsewhere; what was there is the domain's no more. `translated`'s
 * errors; stops at the first frame that cannot be moved: EINVAL where there is none,
 * EXDEV where it is known by another number.
 */
export function relocateMemory(host: Host, caller: Caller, { domid, from, to, nr }: Relocation): 0 | Failure {
  const d = translated(host, caller, domid);
  const result = isFailure(d) ? d : relocate(host, d, caller.domid, { from, to, nr });
  const shown = { space: "gmfn_range", idx: from, gpfn: to, size: nr };
  return traced(host, caller, "memory_op add_to_physmap", domid, shown, result);
}

function relocate(
  host: Host,
  d: DeepReadonly<Domain>,
  by: number,
  { from, to, nr }: Omit<Relocation, "domid">,
): 0 | Failure {
  for (let at = 0; at < nr; at++) {
    const moved = relocateOne(host, d, by, from + at, to + at);
    if (isFailure(moved)) return moved;
  }
  return 0;
}

function relocateOne(host: Host, d: DeepReadonly<Domain>, by: number, from: number, to: number): 0 | Failure {
  const mfn = getGfn(host, d, from, by);
  if (mfn === NO_FRAME || frameOwner(host, mfn) !== d.domid) return fail("EINVAL");
  if (mfnToGfn(host, mfn) !== from) return fail("EXDEV");
  if (from === to) return 0;
  if (!p2mReaches(to, 1)) return fail("EINVAL");
  if (getGfn(host, d, to, by) !== NO_FRAME) {
    if (p2mType(host, d.domid, to) === "xen") physmapRemove(host, d.domid, to, 1);
    else if (!guestRemovePage(host, d, to)) return fail("EINVAL");
  }
  physmapRemove(host, d.domid, from, 1);
  physmapAdd(host, d.domid, to, mfn, 1, "ram");
  setM2p(host, d.domid, mfn, 1, to);
  return 0;
}
