// SPDX-License-Identifier: Apache-2.0
//
// Shadow page tables as Xen had them in 2005 (xen/arch/x86/shadow.c): a mode of
// the machine, off by default, for the references that current Xen no longer
// takes. A shadow is a page of the hypervisor's own that is counted for itself;
// its entry in the hash, and what its own entries map, hold pages of the guest.

import { cellType, must } from "../engine/cells.ts";
import type { Cells, DeepReadonly } from "../engine/cells.ts";
import { assert } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { bitmap, clearBit, findNextBit, setBit, testBit } from "./bitmap.ts";
import type { Bitmap } from "./bitmap.ts";
import { domainCell } from "./domain.ts";
import { forgotten } from "./forgotten-puts.ts";
import { machineOf } from "./machine.ts";
import { getPage, putPage } from "./page.ts";
import type { PageReferenceKind, ShadowReferenceKind } from "./reference-kinds.ts";

/** What a shadow is made of: a guest's table of that level, or its content at a time (PGT_*_shadow, PGT_snapshot). */
export type ShadowType = "l1" | "l2" | "hl2" | "snapshot";
const shadowTypes = ["l1", "l2", "hl2", "snapshot"] as const;

/** The reference each type's entry in the hash is. */
const hashKinds = {
  l1: "shadow l1",
  l2: "shadow l2",
  hl2: "shadow hl2",
  snapshot: "snapshot",
} as const satisfies { [type in ShadowType]: PageReferenceKind };

/** A shadow. Identifier of its cell: `domid/type/gmfn`, by the guest's frame it is the shadow of. */
export interface Shadow {
  /** Who refers to it, once for each reference: its count. */
  holders: string[];
  /** Guest frames its present entries map; for an L2 the L1 tables whose shadows it refers to. */
  entries: number[];
}

export const shadowCell = cellType<Shadow>("shadow");

/** The tables a vCPU runs on: the shadow of its own, and the monitor table that refers to it and its hl2. */
interface ShadowRoot {
  l2: number;
  /** Whether the monitor table is still there; the shadow table's reference outlives it. */
  monitored: boolean;
}

/** Identifier: `domid/vcpu`. */
export const shadowRootCell = cellType<ShadowRoot>("shadow-root");

/** Whether domains that are translated have their tables shadowed as in 2005. */
export function legacyShadow(cells: Cells): boolean {
  return machineOf(cells).paging === "legacy-shadow";
}

function shadowId(domid: number, type: ShadowType, gmfn: number): string {
  return `${domid}/${type}/${gmfn}`;
}

/** Guest frames that have a shadow of a type; that are out of sync; for which a writable PTE is predicted. */
function framesWith(domid: number, what: ShadowType | "out of sync" | "prediction"): Bitmap {
  return bitmap(`shadow/${domid}/${what}`, 6);
}

/** The shadow of a guest's frame, or undefined (__shadow_status). */
export function shadowStatus(
  cells: Cells,
  domid: number,
  type: ShadowType,
  gmfn: number,
): DeepReadonly<Shadow> | undefined {
  return cells.get(shadowCell, shadowId(domid, type, gmfn));
}

/** Makes a shadow of a guest's frame that has none of that type; its entry in the hash holds the frame. */
function allocShadow(host: Host, domid: number, type: ShadowType, gmfn: number, op: string): void {
  const held = getPage(host, gmfn, domid, { holder: `d${domid}/shadow`, kind: hashKinds[type], op });
  assert(held, `frame ${gmfn} is d${domid}'s`);
  setBit(host, framesWith(domid, type), gmfn);
  host.add(shadowCell, shadowId(domid, type, gmfn), { holders: [], entries: [] });
}

function ensureShadow(host: Host, domid: number, type: ShadowType, gmfn: number): void {
  if (shadowStatus(host, domid, type, gmfn) === undefined)
    allocShadow(host, domid, type, gmfn, `shadow_${type}_table`);
}

function getShadowRef(host: Host, domid: number, type: ShadowType, gmfn: number, holder: string): void {
  const { holders } = host.edit(shadowCell, shadowId(domid, type, gmfn));
  holders.push(holder);
  holders.sort();
}

/** Drops a reference to a shadow; one nobody refers to is freed (put_shadow_ref). */
function putShadowRef(host: Host, domid: number, type: ShadowType, gmfn: number, holder: string): void {
  const { holders } = host.edit(shadowCell, shadowId(domid, type, gmfn));
  const at = holders.indexOf(holder);
  assert(at >= 0, `${holder} drops a shadow it does not have`);
  holders.splice(at, 1);
  if (holders.length === 0) freeShadowPage(host, domid, type, gmfn);
}

function freeShadowPage(host: Host, domid: number, type: ShadowType, gmfn: number): void {
  const entries = [...must(host, shadowCell, shadowId(domid, type, gmfn)).entries];
  host.drop(shadowCell, shadowId(domid, type, gmfn));
  clearBit(host, framesWith(domid, type), gmfn);
  putPage(host, gmfn, `d${domid}/shadow`, hashKinds[type]);
  for (const mapped of entries) {
    if (type === "l2") putShadowRef(host, domid, "l1", mapped, `l2 of ${gmfn}`);
    else putPage(host, mapped, `d${domid}/shadow ${type} of ${gmfn}`, hashKinds[type]);
  }
}

/** Enters a guest's frame in a shadow of tables: the entry holds it. One that is there stays as it is. */
function setEntry(host: Host, domid: number, type: "l1" | "hl2", table: number, mapped: number): void {
  const shadow = host.edit(shadowCell, shadowId(domid, type, table));
  if (shadow.entries.includes(mapped)) return;
  const holder = { holder: `d${domid}/shadow ${type} of ${table}`, kind: hashKinds[type] };
  const op = type === "l1" ? "shadow_get_page_from_l1e" : "shadow_get_page";
  assert(getPage(host, mapped, domid, { ...holder, op }), `frame ${mapped} is d${domid}'s`);
  shadow.entries.push(mapped);
}

/**
 * The guest loads CR3: its table is shadowed, with the hl2 through which the
 * hypervisor reads it; the vCPU's shadow table and its monitor table refer to
 * them, and the shadow is pinned as a root (__update_pagetables).
 */
export function updatePagetables(host: Host, domid: number, vcpu: number, l2: number): void {
  const root = `${domid}/${vcpu}`;
  const old = host.get(shadowRootCell, root)?.l2;
  if (old === l2) return;
  const isNew = shadowStatus(host, domid, "l2", l2) === undefined;
  ensureShadow(host, domid, "l2", l2);
  if (isNew) getShadowRef(host, domid, "l2", l2, "pinned root");
  ensureShadow(host, domid, "hl2", l2);
  getShadowRef(host, domid, "l2", l2, holderName("shadow table", domid, vcpu));
  for (const type of ["l2", "hl2"] as const)
    getShadowRef(host, domid, type, l2, holderName("monitor table", domid, vcpu));
  if (old !== undefined) {
    freeMonitorPagetable(host, domid, vcpu);
    putRoot(host, domid, vcpu);
  }
  host.add(shadowRootCell, root, { l2, monitored: true });
}

function holderName(kind: ShadowReferenceKind, domid: number, vcpu: number): string {
  return `${kind} of d${domid}v${vcpu}`;
}

function putRoot(host: Host, domid: number, vcpu: number): void {
  const { l2 } = must(host, shadowRootCell, `${domid}/${vcpu}`);
  host.drop(shadowRootCell, `${domid}/${vcpu}`);
  putOwned(host, domid, "l2", l2, "shadow table", vcpu);
}

function putOwned(
  host: Host,
  domid: number,
  type: ShadowType,
  gmfn: number,
  kind: ShadowReferenceKind,
  vcpu: number,
): void {
  const holder = holderName(kind, domid, vcpu);
  if (!forgotten(host, domid, { mfn: gmfn, holder, kind, typed: false, shadow: type }))
    putShadowRef(host, domid, type, gmfn, holder);
}

/** Drops a reference to a shadow that was forgotten when its time was. */
export function putForgottenShadow(
  host: Host,
  domid: number,
  type: ShadowType,
  gmfn: number,
  holder: string,
): void {
  putShadowRef(host, domid, type, gmfn, holder);
}

/** Takes what a vCPU's monitor table refers to away from it (free_monitor_pagetable). */
function freeMonitorPagetable(host: Host, domid: number, vcpu: number): void {
  const root = host.edit(shadowRootCell, `${domid}/${vcpu}`);
  if (!root.monitored) return;
  root.monitored = false;
  for (const type of ["hl2", "l2"] as const) putOwned(host, domid, type, root.l2, "monitor table", vcpu);
}

/**
 * The guest touches memory for the first time through a table of it: the L1 is
 * shadowed and linked into the L2's shadow, and the shadow's entry for the page
 * is made (shadow_fault). A vCPU must run on the L2.
 */
export function shadowFault(
  host: Host,
  domid: number,
  tables: { l2: number; l1: number },
  page: number,
): void {
  const { l2, l1 } = tables;
  ensureShadow(host, domid, "l1", l1);
  const shadow = host.edit(shadowCell, shadowId(domid, "l2", l2));
  if (!shadow.entries.includes(l1)) {
    shadow.entries.push(l1);
    getShadowRef(host, domid, "l1", l1, `l2 of ${l2}`);
    if (shadowStatus(host, domid, "hl2", l2) !== undefined) setEntry(host, domid, "hl2", l2, l1);
  }
  setEntry(host, domid, "l1", l1, page);
}

/**
 * The guest writes to a table that is shadowed: what it was like is kept, it is
 * out of sync from now on, and where the writable entry was found is remembered
 * (__shadow_mark_mfn_out_of_sync, increase_writable_pte_prediction).
 */
export function markOutOfSync(host: Host, domid: number, gmfn: number, ptePage: number): void {
  if (testBit(host, framesWith(domid, "out of sync"), gmfn)) return;
  const holder = `d${domid}/shadow`;
  getPage(host, gmfn, domid, { holder, kind: "out of sync", op: "shadow_mark_mfn_out_of_sync" });
  setBit(host, framesWith(domid, "out of sync"), gmfn);
  allocShadow(host, domid, "snapshot", gmfn, "shadow_make_snapshot");
  getShadowRef(host, domid, "snapshot", gmfn, "out of sync");
  if (testBit(host, framesWith(domid, "prediction"), ptePage)) return;
  const op = "increase_writable_pte_prediction";
  getPage(host, ptePage, domid, { holder, kind: "writable pte prediction", op });
  setBit(host, framesWith(domid, "prediction"), ptePage);
}

/** Brings every table that is out of sync into line again (shadow_sync_all). */
export function shadowSyncAll(host: Host, domid: number): void {
  while (releaseOutOfSync(host, domid));
}

function releaseOutOfSync(host: Host, domid: number): boolean {
  const gmfn = findNextBit(host, framesWith(domid, "out of sync"), 0);
  if (gmfn < 0) return false;
  clearBit(host, framesWith(domid, "out of sync"), gmfn);
  putPage(host, gmfn, `d${domid}/shadow`, "out of sync");
  putShadowRef(host, domid, "snapshot", gmfn, "out of sync");
  return true;
}

function releasePrediction(host: Host, domid: number): boolean {
  const page = findNextBit(host, framesWith(domid, "prediction"), 0);
  if (page < 0) return false;
  clearBit(host, framesWith(domid, "prediction"), page);
  putPage(host, page, `d${domid}/shadow`, "writable pte prediction");
  return true;
}

/** Unpins the next root that is pinned: what it alone referred to goes with it. */
function unpinRoot(host: Host, domid: number): boolean {
  const roots = framesWith(domid, "l2");
  for (let gmfn = findNextBit(host, roots, 0); gmfn >= 0; gmfn = findNextBit(host, roots, gmfn + 1)) {
    if (shadowStatus(host, domid, "l2", gmfn)?.holders.includes("pinned root") !== true) continue;
    putShadowRef(host, domid, "l2", gmfn, "pinned root");
    return true;
  }
  return false;
}

/**
 * Takes a dying domain's shadows apart, in the order of 2005: monitor tables,
 * entries out of sync, shadow tables, pinned roots, predictions
 * (free_monitor_pagetable, free_shadow_pages, free_writable_pte_predictions).
 * Up to `limit` of these a call.
 */
export function shadowModeDisable(host: Host, domid: number, limit: number): "done" | "more" {
  if (!legacyShadow(host)) return "done";
  const { nrVcpus } = must(host, domainCell, domid);
  for (let vcpu = 0; vcpu < nrVcpus; vcpu++)
    if (host.get(shadowRootCell, `${domid}/${vcpu}`) !== undefined) freeMonitorPagetable(host, domid, vcpu);
  let left = limit;
  for (; releaseOutOfSync(host, domid); left--) if (left === 0) return "more";
  for (let vcpu = 0; vcpu < nrVcpus; vcpu++)
    if (host.get(shadowRootCell, `${domid}/${vcpu}`) !== undefined) putRoot(host, domid, vcpu);
  for (; unpinRoot(host, domid); left--) if (left <= 0) return "more";
  for (; releasePrediction(host, domid); left--) if (left <= 0) return "more";
  return "done";
}

/** Every shadow of a domain that is left, with who refers to it. */
export function shadowsOf(
  cells: Cells,
  domid: number,
): { type: ShadowType; gmfn: number; holders: readonly string[] }[] {
  return shadowTypes.flatMap((type) => {
    const found = [];
    const frames = framesWith(domid, type);
    for (let gmfn = findNextBit(cells, frames, 0); gmfn >= 0; gmfn = findNextBit(cells, frames, gmfn + 1))
      found.push({ type, gmfn, holders: must(cells, shadowCell, shadowId(domid, type, gmfn)).holders });
    return found;
  });
}
