// SPDX-License-Identifier: Apache-2.0
//
// MMUEXT: a PV domain's page tables are pages of a type, and stay so while they
// are pinned (xen/arch/x86/mm.c, do_mmuext_op).

import { must } from "../engine/cells.ts";
import { fail, isFailure } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { targeted, traced } from "./caller.ts";
import type { Caller } from "./caller.ts";
import { domainCell } from "./domain.ts";
import { getPageAndType, pageOf, putPageAndType, setPinned } from "./page.ts";

/** Pins a frame of a PV domain as a page table: EINVAL where it is not its, is in other use, or is pinned already. */
export function mmuextPin(
  host: Host,
  caller: Caller,
  { domid, level, mfn }: { domid: number; level: 1 | 2 | 3 | 4; mfn: number },
): 0 | Failure {
  const d = targeted(host, caller, domid);
  return traced(
    host,
    caller,
    `mmuext_op pin_l${level}_table`,
    domid,
    { mfn },
    isFailure(d) ? d : pin(host, d.domid, d.type === "pv", level, mfn),
  );
}

function pin(host: Host, domid: number, pv: boolean, level: 1 | 2 | 3 | 4, mfn: number): 0 | Failure {
  if (!pv || pageOf(host, mfn)?.pinned === true) return fail("EINVAL");
  const holder = { holder: `d${domid}`, kind: "pinned", op: "mmuext_op" };
  if (!getPageAndType(host, mfn, domid, `l${level}`, holder)) return fail("EINVAL");
  // A dying domain's pins are being taken out; one that came later would never be.
  if (must(host, domainCell, domid).isDying === "alive") setPinned(host, mfn, true);
  else putPageAndType(host, mfn, holder.holder, holder.kind);
  return 0;
}

/** Ends that: EINVAL for a frame that is not the domain's or not pinned. */
export function mmuextUnpin(
  host: Host,
  caller: Caller,
  { domid, mfn }: { domid: number; mfn: number },
): 0 | Failure {
  const d = targeted(host, caller, domid);
  const page = pageOf(host, mfn);
  const result = isFailure(d) ? d : page?.owner === d.domid && page.pinned ? 0 : fail("EINVAL");
  if (result === 0 && !isFailure(d)) {
    setPinned(host, mfn, false);
    putPageAndType(host, mfn, `d${d.domid}`, "pinned");
  }
  return traced(host, caller, "mmuext_op unpin_table", domid, { mfn }, result);
}
