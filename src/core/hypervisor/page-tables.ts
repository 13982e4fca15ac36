// SPDX-License-Identifier: Apache-2.0
//
// A PV domain's page tables, as a toolstack that saves the domain is told of
// them. Xen types every table when it validates the one above it; here only a
// table that is pinned or loaded has a type of its own, and what lies below it is
// found when somebody asks.

import { viewOf } from "../../abi/struct.ts";
import { fail, isFailure } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Cells, DeepReadonly } from "../engine/cells.ts";
import type { Host } from "../engine/host.ts";
import { controlled } from "./caller.ts";
import type { Caller } from "./caller.ts";
import { pagingModeTranslate } from "./domain.ts";
import type { Domain } from "./domain.ts";
import { ownedFrames } from "./frames.ts";
import { p2m } from "./p2m.ts";
import { nextPage, pageOf } from "./page.ts";
import { getGfn } from "./pod-populate.ts";
import { NO_FRAME, runFrom, runsOf } from "./runs.ts";

const ENTRIES = 512;
/** Bits of a page table entry: present, a large page; and the frame. */
const PTE_PRESENT = 1;
const PTE_LARGE = 1 << 7;
const PTE_FRAME = 0xfffffffffn;
/** Slots of a top table that are Xen's own (ROOT_PAGETABLE_FIRST_XEN_SLOT, …LAST_XEN_SLOT). */
const XEN_SLOT_FIRST = 256;
const XEN_SLOT_LAST = 271;
/** Frames one call may ask about. */
const FRAMES_MAX = 1024;

/** What a frame is to its domain: nothing of it, plain memory, or a page table of a level. */
export interface FrameUse {
  table: 0 | 1 | 2 | 3 | 4;
  pinned: boolean;
  present: boolean;
}

/** A domain's frames that have a type of a page table, with their levels. */
function typedTables(cells: Cells, domid: number): Map<number, 1 | 2 | 3 | 4> {
  const levels = { l1: 1, l2: 2, l3: 3, l4: 4 } as const;
  const found = new Map<number, 1 | 2 | 3 | 4>();
  for (const { start, count } of runsOf(cells, ownedFrames(domid))) {
    for (let mfn = nextPage(cells, start); mfn >= 0 && mfn < start + count; mfn = nextPage(cells, mfn + 1)) {
      const page = pageOf(cells, mfn);
      if (page === undefined || page.typeCount === 0) continue;
      if (page.type in levels) found.set(mfn, levels[page.type as keyof typeof levels]);
    }
  }
  return found;
}

/** Frames of the tables one level below a table. */
function tablesBelow(host: Host, mfn: number, level: number): number[] {
  const view = viewOf(host.memory.read(mfn, 0, ENTRIES * 8));
  const below: number[] = [];
  for (let slot = 0; slot < ENTRIES; slot++) {
    if (level === 4 && slot >= XEN_SLOT_FIRST && slot <= XEN_SLOT_LAST) continue;
    const low = view.getUint32(slot * 8, true);
    if ((low & PTE_PRESENT) === 0 || (level < 4 && (low & PTE_LARGE) !== 0)) continue;
    below.push(Number((view.getBigUint64(slot * 8, true) >> 12n) & PTE_FRAME));
  }
  return below;
}

/** All page tables a domain's typed ones lead to, themselves among them, with their levels. */
export function pageTables(host: Host, domid: number): ReadonlyMap<number, 1 | 2 | 3 | 4> {
  const found = typedTables(host, domid);
  let tables = [...found];
  while (tables.length > 0) {
    const next: [number, 1 | 2 | 3 | 4][] = [];
    for (const [mfn, level] of tables) {
      if (level === 1) continue;
      for (const below of tablesBelow(host, mfn, level)) {
        if (found.has(below) || pageOf(host, below)?.owner !== domid) continue;
        const entry = [below, (level - 1) as 1 | 2 | 3] as const;
        found.set(...entry);
        next.push([...entry]);
      }
    }
    tables = next;
  }
  return found;
}

/** Finds the machine frames behind guest frames that mostly follow one another: a save asks for a million. */
function frameFinder(host: Host, d: DeepReadonly<Domain>): (gfn: number) => number {
  let [start, end, value] = [0, 0, NO_FRAME];
  return (gfn) => {
    if (!pagingModeTranslate(d)) return gfn;
    if (gfn < start || gfn >= end) {
      const run = runFrom(host, p2m(d.domid), gfn);
      if (run === undefined || run.start > gfn) [start, end, value] = [gfn, run?.start ?? Infinity, NO_FRAME];
      else [start, end, value] = [run.start, run.start + run.count, run.value];
    }
    return value === NO_FRAME ? NO_FRAME : value + gfn - start;
  };
}

const ABSENT: FrameUse = { table: 0, pinned: false, present: false };

function useOf(host: Host, domid: number, tables: ReadonlyMap<number, 1 | 2 | 3 | 4>, mfn: number): FrameUse {
  const page = mfn < 0 ? undefined : pageOf(host, mfn);
  if (page?.owner !== domid || page.xenheap) return ABSENT;
  return { table: tables.get(mfn) ?? 0, pinned: page.pinned, present: true };
}

interface OfFrames {
  domid: number;
  gfns: readonly number[];
}

function frameUses(
  host: Host,
  d: DeepReadonly<Domain>,
  gfns: readonly number[],
  frameOf: (gfn: number) => number,
): FrameUse[] | Failure {
  if (gfns.length > FRAMES_MAX) return fail("E2BIG");
  const tables = d.type === "pv" ? pageTables(host, d.domid) : new Map<number, 1>();
  return gfns.map((gfn) => useOf(host, d.domid, tables, frameOf(gfn)));
}

/**
 * What frames of a domain are (XEN_DOMCTL_getpageframeinfo3): guest frames of a
 * translated domain, machine frames of a PV one.
 *
 * @returns one for each; ESRCH, EPERM, E2BIG for more than 1024
 */
export function getpageframeinfo3(
  host: Host,
  caller: Caller,
  { domid, gfns }: OfFrames,
): FrameUse[] | Failure {
  const d = controlled(host, caller, domid);
  return isFailure(d) ? d : frameUses(host, d, gfns, frameFinder(host, d));
}

/** The same of a domain that has frames to be populated on demand: who is asked for is (P2M_ALLOC). */
export function populateFramesAsked(
  host: Host,
  caller: Caller,
  { domid, gfns }: OfFrames,
): FrameUse[] | Failure {
  const d = controlled(host, caller, domid);
  if (isFailure(d)) return d;
  return frameUses(host, d, gfns, (gfn) => getGfn(host, d, gfn, caller.domid));
}
