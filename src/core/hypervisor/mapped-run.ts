// SPDX-License-Identifier: Apache-2.0
//
// Consecutive pages of a domain that one process maps and nobody else holds: one
// cell stands for all of them, for their page and for their entries in the
// mapper's page tables. A process that maps a domain's memory by the thousand
// pages costs what its runs cost. As soon as anything else happens to a page of
// a run, it becomes a page like others (`isolate`).
//
// Only batches make runs, and batches come from processes outside: what is
// explored maps page by page, so that equal hosts have equal cells.

import { cellType, must } from "../engine/cells.ts";
import type { Cells, DeepReadonly } from "../engine/cells.ts";
import { assert } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { bitmap, bitmapEmpty, clearBit, findNextBit, setBit } from "./bitmap.ts";

/** Why a process has its references; the kind is always "foreign map". */
interface Provenance {
  op: string;
  step: number;
  at: number;
}

/** A run; its cell's identifier is its last frame. */
export interface MappedRun extends Provenance {
  first: number;
  /** Whose pages they are. */
  owner: number;
  /** Which domain's process maps them. */
  mapper: number;
  process: string;
  readonly: boolean;
  /** Whether the references are type references too, as writable. */
  typed: boolean;
}

export const mappedRunCell = cellType<MappedRun>("mapped-run", { provenance: ["op", "step", "at"] });

/** The last frames of all runs. */
const lasts = bitmap("mapped-runs", 6);

/** A run and its last frame. */
export interface FoundRun {
  readonly last: number;
  readonly run: DeepReadonly<MappedRun>;
}

/** The first run that has frames at `from` or after it. */
export function mappedRunFrom(cells: Cells, from: number): FoundRun | undefined {
  if (bitmapEmpty(cells, lasts)) return undefined;
  const last = findNextBit(cells, lasts, from);
  return last < 0 ? undefined : { last, run: must(cells, mappedRunCell, last) };
}

/** The run a frame is in. */
export function mappedRunAt(cells: Cells, mfn: number): FoundRun | undefined {
  const ending = cells.get(mappedRunCell, mfn);
  if (ending !== undefined) return { last: mfn, run: ending };
  const found = mappedRunFrom(cells, mfn);
  return found === undefined || mfn < found.run.first ? undefined : found;
}

/** A process maps plain pages: none of them has a cell, nor is in a run. */
export function addMappedRun(host: Host, run: Omit<MappedRun, keyof Provenance>, count: number): void {
  const last = run.first + count - 1;
  host.add(mappedRunCell, last, { ...run, op: "mmu_update", step: host.step, at: host.now });
  setBit(host, lasts, last);
}

/** Frames of a run are no longer in it; what is left of it stays. */
export function takeOutOfRun(host: Host, { last, run }: FoundRun, mfn: number, count: number): void {
  const before = { ...run };
  assert(mfn >= before.first && mfn + count - 1 <= last, `${count} frames at ${mfn} leave their run`);
  if (mfn + count - 1 < last) host.edit(mappedRunCell, last).first = mfn + count;
  else {
    host.drop(mappedRunCell, last);
    clearBit(host, lasts, last);
  }
  if (mfn === before.first) return;
  host.add(mappedRunCell, mfn - 1, before);
  setBit(host, lasts, mfn - 1);
}
