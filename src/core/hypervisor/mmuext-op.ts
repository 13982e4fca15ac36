// SPDX-License-Identifier: Apache-2.0
//
// MMUEXT: a PV domain's page tables are pages of a type, and stay so while they
// are pinned (xen/arch/x86/mm.c, do_mmuext_op).

import { must } from "../engine/cells.ts";
import type { DeepReadonly } from "../engine/cells.ts";
import { fail, isFailure } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { targeted, traced } from "./caller.ts";
import type { Caller } from "./caller.ts";
import { domainById, domainCell } from "./domain.ts";
import type { Domain } from "./domain.ts";
import { DOMID_SELF } from "./domid.ts";
import { getPageAndType, pageOf, putPageAndType, setPinned } from "./page.ts";
import type { PageHolder } from "./page.ts";
import { writeEntry } from "./page-table.ts";
import { domainVcpu } from "./vcpu.ts";
import { newBaseptr, setGdt, setLdt } from "./vcpu-pages.ts";

/**
 * Whose page tables are meant: ESRCH for no domain and for the caller's own by its
 * number, EINVAL for one that is not PV, EPERM (get_pg_owner, do_mmuext_op).
 */
export function pageOwner(host: Host, caller: Caller, domid: number): DeepReadonly<Domain> | Failure {
  const d =
    domid === caller.domid ? undefined : domainById(host, domid === DOMID_SELF ? caller.domid : domid);
  if (d === undefined) return fail("ESRCH");
  return d.type === "pv" ? targeted(host, caller, domid) : fail("EINVAL");
}

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
  const holder: PageHolder = { holder: `d${domid}`, kind: "pinned", op: "mmuext_op" };
  if (!getPageAndType(host, mfn, domid, `l${level}`, holder)) return fail("EINVAL");
  // A dying domain's pins are being taken out; one that came later would never be.
  if (must(host, domainCell, domid).isDying === "alive") setPinned(host, mfn, true);
  else putPageAndType(host, mfn, holder.holder, holder.kind);
  return 0;
}

/** A vCPU of the caller's that was made; EINVAL else, and for a domain that is not PV. */
function ownVcpu(host: Host, { domid }: Caller, vcpu: number): 0 | Failure {
  const pv = must(host, domainCell, domid).type === "pv";
  return pv && domainVcpu(host, domid, vcpu) !== undefined ? 0 : fail("EINVAL");
}

/** MMUEXT_NEW_BASEPTR and, for user space, MMUEXT_NEW_USER_BASEPTR: the vCPU's top page table. EINVAL. */
export function mmuextNewBaseptr(
  host: Host,
  caller: Caller,
  { vcpu, mfn, user = false }: { vcpu: number; mfn: number; user?: boolean },
): 0 | Failure {
  const own = ownVcpu(host, caller, vcpu);
  const result = own === 0 ? newBaseptr(host, caller.domid, vcpu, user ? "userCr3" : "cr3", mfn) : own;
  return traced(host, caller, `mmuext_op new_${user ? "user_" : ""}baseptr`, caller.domid, { mfn }, result);
}

/** MMUEXT_SET_LDT; Xen is given an address and a size, here the frames behind them. EINVAL. */
export function mmuextSetLdt(
  host: Host,
  caller: Caller,
  { vcpu, frames }: { vcpu: number; frames: readonly number[] },
): 0 | Failure {
  const own = ownVcpu(host, caller, vcpu);
  const result = own === 0 ? setLdt(host, caller.domid, vcpu, frames) : own;
  return traced(host, caller, "mmuext_op set_ldt", caller.domid, { nr: frames.length }, result);
}

/** HYPERVISOR_set_gdt: the frames of the vCPU's GDT. EINVAL. */
export function setGdtOf(
  host: Host,
  caller: Caller,
  { vcpu, frames }: { vcpu: number; frames: readonly number[] },
): 0 | Failure {
  const own = ownVcpu(host, caller, vcpu);
  const result = own === 0 ? setGdt(host, caller.domid, vcpu, frames) : own;
  return traced(host, caller, "set_gdt", caller.domid, { nr: frames.length }, result);
}

/**
 * mmu_update of an entry of one of the caller's page tables (MMU_NORMAL_PT_UPDATE): which table it refers to, 0 for
 * none. EINVAL where it cannot.
 */
export function mmuUpdate(
  host: Host,
  caller: Caller,
  { table, index, mfn }: { table: number; index: number; mfn: number },
): 0 | Failure {
  const pv = must(host, domainCell, caller.domid).type === "pv";
  const result = pv ? writeEntry(host, caller.domid, table, index, mfn) : fail("EINVAL");
  return traced(host, caller, "mmu_update normal_pt_update", caller.domid, { table, index, mfn }, result);
}

/** Ends a pin: EINVAL for a frame that is not the domain's or not pinned. */
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
