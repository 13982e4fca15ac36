// SPDX-License-Identifier: Apache-2.0
//
// Pages a vCPU refers to: its page table bases, its descriptor tables, and the
// areas the hypervisor shares with it (arch/x86/domain.c, pv/descriptor-tables.c,
// common/domain.c).

import { must } from "../engine/cells.ts";
import type { DeepReadonly } from "../engine/cells.ts";
import { fail } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { devalidatePage, getPageAndType, putPageAndType, putPageAndTypePreemptible } from "./page.ts";
import type { PageType } from "./page.ts";
import type { Budget, Progress } from "./page-table.ts";
import type { PageReferenceKind } from "./reference-kinds.ts";
import { vcpuCell, vcpuId } from "./vcpu.ts";
import type { Vcpu } from "./vcpu.ts";

/** Frames of descriptors a vCPU can have: 14 pages of 512 (FIRST_RESERVED_GDT_PAGE), 16 of the LDT. */
const GDT_FRAMES_MAX = 14;
const LDT_FRAMES_MAX = 16;

/** A vCPU in a ledger: "d1v0". */
function vcpuName(domid: number, vcpu: number): string {
  return `d${domid}v${vcpu}`;
}

function vcpuOf(host: Host, domid: number, vcpu: number): DeepReadonly<Vcpu> {
  return must(host, vcpuCell, vcpuId(domid, vcpu));
}

function editVcpu(host: Host, domid: number, vcpu: number): Vcpu {
  return host.edit(vcpuCell, vcpuId(domid, vcpu));
}

/** A vCPU's reference on a page of its own domain; false where the frame is another's or in other use. */
function take(
  host: Host,
  domid: number,
  vcpu: number,
  mfn: number,
  type: PageType,
  kind: PageReferenceKind,
  op: string,
): boolean {
  return getPageAndType(host, mfn, domid, type, { holder: vcpuName(domid, vcpu), kind, op });
}

function put(host: Host, domid: number, vcpu: number, mfn: number, kind: PageReferenceKind): void {
  putPageAndType(host, mfn, vcpuName(domid, vcpu), kind);
}

/**
 * Points a PV vCPU at its page tables and its GDT; EINVAL where a frame is not the domain's or in other use
 * (arch_set_info_guest).
 */
export function setVcpuPages(
  host: Host,
  domid: number,
  vcpu: number,
  cr3: number,
  gdt: readonly number[],
): 0 | Failure {
  vcpuDestroyPagetables(host, domid, vcpu);
  destroyDescriptorTables(host, domid, vcpu);
  const set = setGdt(host, domid, vcpu, gdt);
  if (set !== 0) return set;
  if (cr3 === 0) return 0;
  if (!take(host, domid, vcpu, cr3, "l4", "cr3", "arch_set_info_guest")) {
    destroyDescriptorTables(host, domid, vcpu);
    return fail("EINVAL");
  }
  editVcpu(host, domid, vcpu).cr3 = cr3;
  return 0;
}

/**
 * The vCPU goes on with another top page table, for its kernel or for user space; the old one is let go
 * (new_guest_cr3). EINVAL where the frame is no page table of the domain's.
 */
export function newBaseptr(
  host: Host,
  domid: number,
  vcpu: number,
  which: "cr3" | "userCr3",
  mfn: number,
): 0 | Failure {
  const old = vcpuOf(host, domid, vcpu)[which];
  if (old === mfn) return 0;
  // User space may have none: it then has the kernel's.
  const none = which === "userCr3" && mfn === 0;
  const op = which === "cr3" ? "new_guest_cr3" : "MMUEXT_NEW_USER_BASEPTR";
  if (!none && !take(host, domid, vcpu, mfn, "l4", "cr3", op)) return fail("EINVAL");
  editVcpu(host, domid, vcpu)[which] = mfn;
  if (old !== 0) put(host, domid, vcpu, old, "cr3");
  return 0;
}

/**
 * Gives a vCPU a GDT in frames of its domain, all or none, in place of the one it has (pv_set_gdt): EINVAL for
 * too many or a frame in other use.
 */
export function setGdt(host: Host, domid: number, vcpu: number, frames: readonly number[]): 0 | Failure {
  if (frames.length > GDT_FRAMES_MAX) return fail("EINVAL");
  for (const [at, mfn] of frames.entries()) {
    if (take(host, domid, vcpu, mfn, "segdesc", "gdt", "pv_set_gdt")) continue;
    for (const taken of frames.slice(0, at)) put(host, domid, vcpu, taken, "gdt");
    return fail("EINVAL");
  }
  destroyGdt(host, domid, vcpu);
  if (frames.length > 0) editVcpu(host, domid, vcpu).gdt = [...frames];
  return 0;
}

function destroyGdt(host: Host, domid: number, vcpu: number): void {
  const old = [...vcpuOf(host, domid, vcpu).gdt];
  if (old.length === 0) return;
  editVcpu(host, domid, vcpu).gdt = [];
  for (const mfn of old) put(host, domid, vcpu, mfn, "gdt");
}

/** Says in which frames a vCPU's LDT lies; none is held before it is used (MMUEXT_SET_LDT). EINVAL for too many. */
export function setLdt(host: Host, domid: number, vcpu: number, frames: readonly number[]): 0 | Failure {
  if (frames.length > LDT_FRAMES_MAX) return fail("EINVAL");
  destroyLdt(host, domid, vcpu);
  editVcpu(host, domid, vcpu).ldt = frames.map((mfn) => ({ mfn, mapped: false }));
  return 0;
}

/**
 * A selector of the LDT was used: the hypervisor maps that frame of it (pv_map_ldt_shadow_page). False where
 * there is none or it is in other use: the guest gets its fault.
 */
export function mapLdtShadowPage(host: Host, domid: number, vcpu: number, index: number): boolean {
  const entry = vcpuOf(host, domid, vcpu).ldt[index];
  if (entry === undefined) return false;
  if (entry.mapped) return true;
  if (!take(host, domid, vcpu, entry.mfn, "segdesc", "ldt", "pv_map_ldt_shadow_page")) return false;
  const edited = editVcpu(host, domid, vcpu).ldt[index];
  if (edited !== undefined) edited.mapped = true;
  return true;
}

function destroyLdt(host: Host, domid: number, vcpu: number): void {
  const old = vcpuOf(host, domid, vcpu).ldt.filter(({ mapped }) => mapped);
  if (vcpuOf(host, domid, vcpu).ldt.length > 0) editVcpu(host, domid, vcpu).ldt = [];
  for (const { mfn } of old) put(host, domid, vcpu, mfn, "ldt");
}

/**
 * Drops the page table bases, and the time area with them. A table whose last use that was is taken apart within
 * the budget, the rest when this is called again (vcpu_destroy_pagetables, put_old_guest_table).
 */
export function vcpuDestroyPagetables(
  host: Host,
  domid: number,
  vcpu: number,
  budget: Budget = { left: Infinity },
): Progress {
  const { oldGuestTable } = vcpuOf(host, domid, vcpu);
  if (oldGuestTable !== 0) {
    if (devalidatePage(host, oldGuestTable, budget) === "ERESTART") return "ERESTART";
    editVcpu(host, domid, vcpu).oldGuestTable = 0;
  }
  for (const base of ["cr3", "userCr3"] as const) {
    const mfn = vcpuOf(host, domid, vcpu)[base];
    if (mfn === 0) continue;
    editVcpu(host, domid, vcpu)[base] = 0;
    if (putPageAndTypePreemptible(host, mfn, vcpuName(domid, vcpu), "cr3", budget) === "done") continue;
    editVcpu(host, domid, vcpu).oldGuestTable = mfn;
    return "ERESTART";
  }
  unmapGuestArea(host, domid, vcpu, "timeMfn");
  return "done";
}

/** Drops the LDT and the GDT (pv_destroy_ldt, pv_destroy_gdt). */
export function destroyDescriptorTables(host: Host, domid: number, vcpu: number): void {
  destroyLdt(host, domid, vcpu);
  destroyGdt(host, domid, vcpu);
}

/** Areas of the guest's memory that the hypervisor writes for a vCPU. */
const areas = {
  vcpuInfoMfn: { kind: "vcpu info", op: "map_vcpu_info" },
  runstateMfn: { kind: "runstate", op: "map_guest_area" },
  timeMfn: { kind: "vcpu time", op: "map_guest_area" },
} as const;
type GuestArea = keyof typeof areas;

/**
 * Moves a vCPU's vcpu_info into a page of its domain; EINVAL where it was moved before, or the page is none
 * of its (map_vcpu_info).
 */
export function mapVcpuInfo(host: Host, domid: number, vcpu: number, mfn: number): 0 | Failure {
  if (vcpuOf(host, domid, vcpu).vcpuInfoMfn >= 0) return fail("EINVAL");
  return mapGuestArea(host, domid, vcpu, "vcpuInfoMfn", mfn) === 0 ? 0 : fail("EINVAL");
}

/** Puts an area in a page of the domain; EACCES where that is in other use (map_guest_area). */
export function mapGuestArea(
  host: Host,
  domid: number,
  vcpu: number,
  area: GuestArea,
  mfn: number,
): 0 | Failure {
  const { kind, op } = areas[area];
  if (!take(host, domid, vcpu, mfn, "writable", kind, op)) return fail("EACCES");
  unmapGuestArea(host, domid, vcpu, area);
  editVcpu(host, domid, vcpu)[area] = mfn;
  return 0;
}

/** Lets go of an area's page, where it has one (unmap_guest_area). */
export function unmapGuestArea(host: Host, domid: number, vcpu: number, area: GuestArea): void {
  const mfn = vcpuOf(host, domid, vcpu)[area];
  if (mfn < 0) return;
  editVcpu(host, domid, vcpu)[area] = -1;
  put(host, domid, vcpu, mfn, areas[area].kind);
}

/** Lets go of what outlives a domain's memory: vcpu_info and the runstate area (domain_kill). */
export function unmapGuestAreas(host: Host, domid: number, vcpu: number): void {
  unmapGuestArea(host, domid, vcpu, "vcpuInfoMfn");
  unmapGuestArea(host, domid, vcpu, "runstateMfn");
}
