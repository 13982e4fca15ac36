// SPDX-License-Identifier: Apache-2.0
//
// Do counts and ledgers agree? For tests after every step, and for a doctor who
// wants to know whether to trust what he reads.

import { must } from "../engine/cells.ts";
import type { Cells } from "../engine/cells.ts";
import { findNextBit } from "./bitmap.ts";
import { domainCell, domainPagesCell, domainRefsCell, domainTotPages } from "./domain.ts";
import { keptFor } from "./forgotten-puts.ts";
import { frameOwner, ownedFrames } from "./frames.ts";
import { handlesInUse, maptrackCell } from "./grant-cells.ts";
import { activeGrants } from "./grant-table.ts";
import type { LedgerEntry } from "./ledger.ts";
import { isPod, p2m } from "./p2m.ts";
import { nextPage, pageOf } from "./page.ts";
import { podSingle, podSuper } from "./pod-cache.ts";
import { podCounts } from "./pod-cell.ts";
import type { DomainReferenceKind } from "./reference-kinds.ts";
import { runsOf } from "./runs.ts";

/** Every disagreement between what a domain counts and who says to hold it; none is an empty list. */
export function checkLedger(cells: Cells, domid: number): string[] {
  if (cells.get(domainCell, domid) === undefined) return [];
  return [...checkDomainRefs(cells, domid), ...checkPages(cells, domid), ...checkGrants(cells, domid)];
}

function sum(refs: readonly Readonly<LedgerEntry>[], field: "count" | "typed"): number {
  return refs.reduce((total, entry) => total + entry[field], 0);
}

function differ(what: string, counted: number, known: number): string[] {
  return counted === known ? [] : [`${what}: counted ${counted}, known ${known}`];
}

function checkDomainRefs(cells: Cells, domid: number): string[] {
  const { refcnt, refs } = must(cells, domainRefsCell, domid);
  // What a fault keeps is known to be there without its reason.
  const has = (kind: DomainReferenceKind): number =>
    (refs.find((entry) => entry.kind === kind)?.count ?? 0) - keptFor(cells, domid, kind).length;
  const pages = must(cells, domainPagesCell, domid);
  const alive = must(cells, domainCell, domid).isDying !== "dead";
  return [
    ...differ(`d${domid} refcnt`, refcnt, sum(refs, "count")),
    ...differ(`d${domid} reference of its creation`, has("created"), alive ? 1 : 0),
    ...differ(`d${domid} reference for its pages`, has("pages"), pages.totPages > 0 ? 1 : 0),
    ...differ(`d${domid} reference for Xen heap pages`, has("xenheap pages"), pages.xenheapPages > 0 ? 1 : 0),
  ];
}

function checkPages(cells: Cells, domid: number): string[] {
  const counts = must(cells, domainPagesCell, domid);
  const { xenheapPages, xenpages } = counts;
  let owned = 0;
  for (const { count } of runsOf(cells, ownedFrames(domid))) owned += count;
  const problems = [
    ...checkPod(cells, domid),
    ...differ(`d${domid} tot_pages`, domainTotPages(counts), owned),
    ...differ(`d${domid} xenheap_pages`, xenheapPages, xenpages.length),
  ];
  for (let mfn = nextPage(cells, 0); mfn >= 0; mfn = nextPage(cells, mfn + 1)) {
    const page = pageOf(cells, mfn);
    if (page?.owner !== domid) continue;
    const allocated = page.allocated ? 1 : 0;
    problems.push(...differ(`page ${mfn} count`, page.count, allocated + sum(page.refs, "count")));
    problems.push(...differ(`page ${mfn} type count`, page.typeCount, sum(page.refs, "typed")));
  }
  return problems;
}

/** The cache has the frames it counts, all of them the domain's; while it lives, its p2m has the entries. */
function checkPod(cells: Cells, domid: number): string[] {
  const { entries, cached } = podCounts(cells, domid);
  let [inCache, owned, marked] = [0, 0, 0];
  for (const list of [podSuper(domid), podSingle(domid)]) {
    for (const { start, count } of runsOf(cells, list)) {
      inCache += count;
      for (let mfn = start; mfn < start + count; mfn++) if (frameOwner(cells, mfn) === domid) owned++;
    }
  }
  for (const { count, tag } of runsOf(cells, p2m(domid))) if (isPod(tag)) marked += count;
  const alive = must(cells, domainCell, domid).isDying === "alive";
  return [
    ...differ(`d${domid} PoD cache`, cached, inCache),
    ...differ(`d${domid} frames of the PoD cache`, inCache, owned),
    ...(alive ? differ(`d${domid} PoD entries`, entries, marked) : []),
  ];
}

/** Every pin of the domain's entries belongs to a handle of the domain that maps it. */
function checkGrants(cells: Cells, domid: number): string[] {
  const problems: string[] = [];
  for (const [ref, { domid: mapper, pin }] of activeGrants(cells, domid)) {
    const pins = [0, 8, 16, 24].reduce((total, shift) => total + ((pin >>> shift) & 0xff), 0);
    problems.push(...differ(`d${domid} grant ${ref} pins`, pins, handlesOf(cells, mapper, domid, ref)));
  }
  return problems;
}

function handlesOf(cells: Cells, mapper: number, granter: number, ref: number): number {
  const handles = handlesInUse(mapper);
  let parts = 0;
  for (
    let handle = findNextBit(cells, handles, 0);
    handle >= 0;
    handle = findNextBit(cells, handles, handle + 1)
  ) {
    const track = must(cells, maptrackCell, `${mapper}/${handle}`);
    if (track.domid === granter && track.ref === ref) parts += (track.flags & 1) + ((track.flags >> 1) & 1);
  }
  return parts;
}
