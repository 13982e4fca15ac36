// SPDX-License-Identifier: Apache-2.0
//
// Guest frame numbers: the same as machine frames for PV, translated for others.

import type { Cells, DeepReadonly } from "../engine/cells.ts";
import { pagingModeTranslate } from "./domain.ts";
import type { Domain } from "./domain.ts";
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

/**
 * What a guest frame is: the domain's memory, maybe read only or with writes
 * that go to a device model, a frame of the hypervisor's shared with it, another
 * domain's.
 */
export type P2mType = "ram" | "ram_ro" | "ioreq_server" | "xen" | "foreign";

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
  runRemove(cells, p2m(domid), gfn, count);
  runInsert(cells, p2m(domid), { start: gfn, count, value: mfn, tag: type });
}

/** Takes guest frames of a translated domain away. */
export function physmapRemove(cells: Cells, domid: number, gfn: number, count: number): void {
  runRemove(cells, p2m(domid), gfn, count);
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
