// SPDX-License-Identifier: Apache-2.0
//
// Guest frame numbers: the same as machine frames for PV, translated for others.

import type { Cells, DeepReadonly } from "../engine/cells.ts";
import { pagingModeTranslate } from "./domain.ts";
import type { Domain } from "./domain.ts";
import { editPod, podCell } from "./pod-cell.ts";
import {
  FRAMES_MAX,
  NO_FRAME,
  runFind,
  runFrom,
  runInsert,
  runMap,
  runRemove,
  runValue,
  runsOf,
} from "./runs.ts";
import type { RunMap } from "./runs.ts";

/** Frames of an entry of 2 MiB, and their order (SUPERPAGE_PAGES, SUPERPAGE_ORDER). */
export const SUPERPAGE_ORDER = 9;
export const SUPERPAGE_PAGES = 1 << SUPERPAGE_ORDER;

/**
 * What a guest frame is: the domain's memory, maybe read only or with writes
 * that go to a device model, a frame of the hypervisor's shared with it, another
 * domain's; or memory that is to be populated on demand, frame by frame or 2 MiB
 * at once, and has no machine frame yet.
 */
export type P2mType = "ram" | "ram_ro" | "ioreq_server" | "xen" | "foreign" | "pod" | "pod_2m";

/** Whether that is memory of the domain's own (p2m_is_ram). */
export function isRam(type: P2mType | number | string | undefined): boolean {
  return type === "ram" || type === "ram_ro" || type === "ioreq_server";
}

/** Whether that is memory that is to be populated on demand (p2m_is_pod). */
export function isPod(type: P2mType | number | string | undefined): boolean {
  return type === "pod" || type === "pod_2m";
}

/** A translated domain's frames. */
export function p2m(domid: number): RunMap {
  return runMap(`p2m/${domid}`);
}

/**
 * Whether a translated domain can have these guest frames. Beyond what its tables reach Xen answers EINVAL
 * (ept_set_entry); they reach 4 TiB here.
 */
export function p2mReaches(gfn: number, count: number): boolean {
  return gfn + count <= FRAMES_MAX;
}

/** The machine frame behind a guest frame, or NO_FRAME. */
export function gfnToMfn(cells: Cells, d: DeepReadonly<Domain>, gfn: number): number {
  return pagingModeTranslate(d) ? runValue(cells, p2m(d.domid), gfn) : gfn;
}

/** What a guest frame of a translated domain is, or undefined where nothing is there. */
export function p2mType(cells: Cells, domid: number, gfn: number): P2mType | undefined {
  return runFind(cells, p2m(domid), gfn)?.tag as P2mType | undefined;
}

/** Puts machine frames behind guest frames of a translated domain, in place of what was there. */
export function physmapAdd(
  cells: Cells,
  domid: number,
  gfn: number,
  mfn: number,
  count: number,
  type: P2mType,
): void {
  physmapRemove(cells, domid, gfn, count);
  runInsert(cells, p2m(domid), { start: gfn, count, value: mfn, tag: type });
}

/** Takes guest frames of a translated domain away. Entries that were still to be populated are no more. */
export function physmapRemove(cells: Cells, domid: number, gfn: number, count: number): void {
  if (cells.get(podCell, domid) !== undefined) podEntriesGo(cells, domid, gfn, gfn + count);
  runRemove(cells, p2m(domid), gfn, count);
}

function podEntriesGo(cells: Cells, domid: number, gfn: number, end: number): void {
  for (const edge of [gfn, end]) if (edge % SUPERPAGE_PAGES !== 0) splinterPod(cells, domid, edge);
  let entries = 0;
  for (let run = runFrom(cells, p2m(domid), gfn); run !== undefined && run.start < end;) {
    const next = run.start + run.count;
    if (isPod(run.tag)) entries += Math.min(end, next) - Math.max(gfn, run.start);
    run = runFrom(cells, p2m(domid), next);
  }
  if (entries > 0) editPod(cells, domid).entries -= entries;
}

/** The entry of 2 MiB that a guest frame is in, if it is one to be populated at once, becomes single ones. */
export function splinterPod(cells: Cells, domid: number, gfn: number): void {
  if (runFind(cells, p2m(domid), gfn)?.tag !== "pod_2m") return;
  const start = gfn - (gfn % SUPERPAGE_PAGES);
  runRemove(cells, p2m(domid), start, SUPERPAGE_PAGES);
  runInsert(cells, p2m(domid), { start, count: SUPERPAGE_PAGES, value: NO_FRAME, tag: "pod" });
}

/** Makes guest frames of a translated domain such that are populated on demand, in place of what was there. */
export function physmapAddPod(
  cells: Cells,
  domid: number,
  gfn: number,
  count: number,
  superpages: boolean,
): void {
  editPod(cells, domid).entries += count;
  physmapAdd(cells, domid, gfn, NO_FRAME, count, superpages ? "pod_2m" : "pod");
}

/** Forgets up to `limit` runs of a domain's guest frames; says whether any are left. */
export function physmapDestroy(cells: Cells, domid: number, limit: number): "done" | "more" {
  for (let done = 0; done < limit; done++) {
    const run = runFrom(cells, p2m(domid), 0);
    if (run === undefined) return "done";
    runRemove(cells, p2m(domid), run.start, run.count);
  }
  return runFrom(cells, p2m(domid), 0) === undefined ? "done" : "more";
}

/** The highest guest frame a translated domain has, or NO_FRAME. */
export function maximumGpfn(cells: Cells, domid: number): number {
  let highest = NO_FRAME;
  for (const { start, count } of runsOf(cells, p2m(domid))) highest = start + count - 1;
  return highest;
}
