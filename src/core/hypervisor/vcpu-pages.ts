// SPDX-License-Identifier: Apache-2.0
//
// Pages a vCPU refers to: its page table base, its GDT, its vcpu_info.

import { must } from "../engine/cells.ts";
import { fail } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { getPageAndType, putPageAndType } from "./page.ts";
import { vcpuCell, vcpuId } from "./vcpu.ts";

/** A vCPU in a ledger: "d1v0". */
function vcpuName(domid: number, vcpu: number): string {
  return `d${domid}v${vcpu}`;
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
  const holder = vcpuName(domid, vcpu);
  const v = host.edit(vcpuCell, vcpuId(domid, vcpu));
  for (const mfn of gdt) {
    if (!getPageAndType(host, mfn, domid, "segdesc", { holder, kind: "gdt", op: "set_gdt" }))
      return undo(host, domid, vcpu);
    v.gdt.push(mfn);
  }
  if (
    cr3 !== 0 &&
    !getPageAndType(host, cr3, domid, "l4", { holder, kind: "cr3", op: "arch_set_info_guest" })
  )
    return undo(host, domid, vcpu);
  v.cr3 = cr3;
  return 0;
}

function undo(host: Host, domid: number, vcpu: number): Failure {
  vcpuDestroyPagetables(host, domid, vcpu);
  return fail("EINVAL");
}

/** Drops the page table base and the GDT (vcpu_destroy_pagetables, pv_destroy_gdt). */
export function vcpuDestroyPagetables(host: Host, domid: number, vcpu: number): void {
  const { cr3, gdt } = must(host, vcpuCell, vcpuId(domid, vcpu));
  if (cr3 === 0 && gdt.length === 0) return;
  const frames = [...gdt];
  const v = host.edit(vcpuCell, vcpuId(domid, vcpu));
  v.cr3 = 0;
  v.gdt = [];
  if (cr3 !== 0) putPageAndType(host, cr3, vcpuName(domid, vcpu), "cr3");
  for (const mfn of frames) putPageAndType(host, mfn, vcpuName(domid, vcpu), "gdt");
}

/**
 * Moves a vCPU's vcpu_info into a page of its domain; EINVAL where it was moved before, or the page is none
 * of its (map_vcpu_info).
 */
export function mapVcpuInfo(host: Host, domid: number, vcpu: number, mfn: number): 0 | Failure {
  if (must(host, vcpuCell, vcpuId(domid, vcpu)).vcpuInfoMfn >= 0) return fail("EINVAL");
  const holder = { holder: vcpuName(domid, vcpu), kind: "vcpu info", op: "map_vcpu_info" };
  if (!getPageAndType(host, mfn, domid, "writable", holder)) return fail("EINVAL");
  host.edit(vcpuCell, vcpuId(domid, vcpu)).vcpuInfoMfn = mfn;
  return 0;
}

/** Lets go of the page vcpu_info was moved to, if it was. */
export function unmapVcpuInfo(host: Host, domid: number, vcpu: number): void {
  const { vcpuInfoMfn } = must(host, vcpuCell, vcpuId(domid, vcpu));
  if (vcpuInfoMfn < 0) return;
  host.edit(vcpuCell, vcpuId(domid, vcpu)).vcpuInfoMfn = -1;
  putPageAndType(host, vcpuInfoMfn, vcpuName(domid, vcpu), "vcpu info");
}
