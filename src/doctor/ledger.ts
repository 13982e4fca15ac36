// SPDX-License-Identifier: Apache-2.0
//
// Who holds what of a domain, by the ledgers of its pages and of its structure.

import type { Cells, DeepReadonly } from "../core/engine/cells.ts";
import { must } from "../core/engine/cells.ts";
import { domainCell, domainPagesCell, domainRefsCell } from "../core/hypervisor/domain.ts";
import { ownedFrames } from "../core/hypervisor/frames.ts";
import { activeGrants } from "../core/hypervisor/grant-table.ts";
import type { LedgerEntry } from "../core/hypervisor/ledger.ts";
import { nextPage, pageOf } from "../core/hypervisor/page.ts";
import { runsOf } from "../core/hypervisor/runs.ts";
import type { Holding } from "./diagnosis.ts";

/** So many frames are named of those that one holder has. */
const FRAMES_MAX = 8;

/**
 * The holders of a domain and what each has, by the ledger's names. What a
 * domain holds of itself, and Xen of it while it lives, keeps nothing.
 * Costs a look at every page of the host that is more than allocated.
 */
export function holdingsOf(cells: Cells, domid: number): ReadonlyMap<string, readonly Holding[]> {
  const found = new Map<string, Holding[]>();
  const dead = must(cells, domainCell, domid).isDying === "dead";
  for (const entry of must(cells, domainRefsCell, domid).refs) {
    if (!isBaseline(cells, domid, dead, entry.kind)) addHolding(found, entry, null, null);
  }
  const own = dead ? null : `d${domid}`;
  const grants = grantsByFrame(cells, domid);
  for (let mfn = nextPage(cells, 0); mfn >= 0; mfn = nextPage(cells, mfn + 1)) {
    const page = pageOf(cells, mfn);
    if (page?.owner !== domid) continue;
    for (const entry of page.refs) {
      if (entry.count === 0 || isOwn(entry.holder, own)) continue;
      addHolding(found, entry, mfn, entry.kind === "grant map" ? (grants.get(mfn) ?? null) : null);
    }
  }
  const allocated = dead ? allocatedFrames(cells, domid) : null;
  if (allocated !== null && allocated.count > 0) found.set("xen", [...(found.get("xen") ?? []), allocated]);
  return found;
}

/** References that are there by rights: nobody is to be asked for them. */
function isBaseline(cells: Cells, domid: number, dead: boolean, kind: string): boolean {
  const { totPages, xenheapPages } = must(cells, domainPagesCell, domid);
  if (kind === "created") return !dead;
  if (kind === "pages") return totPages > 0;
  return kind === "xenheap pages" && xenheapPages > 0;
}

/** Pages that a dead domain never gave up: PGC_allocated is still set. */
function allocatedFrames(cells: Cells, domid: number): Holding {
  const holding: Holding = { kind: "allocated", count: 0, op: null, since: null, frames: [], grants: [] };
  const look = (mfn: number): void => {
    if (pageOf(cells, mfn)?.allocated !== true) return;
    holding.count++;
    if (holding.frames.length < FRAMES_MAX) holding.frames.push(mfn);
  };
  for (const { start, count } of runsOf(cells, ownedFrames(domid))) {
    for (let mfn = start; mfn < start + count; mfn++) look(mfn);
  }
  for (const mfn of must(cells, domainPagesCell, domid).xenpages) look(mfn);
  return holding;
}

/** Whether a holder is the domain itself, or one of its vCPUs: `d1`, `d1v0`. */
function isOwn(holder: string, own: string | null): boolean {
  return own !== null && (holder === own || holder.startsWith(`${own}v`) || holder.startsWith(`${own}/`));
}

function addHolding(
  found: Map<string, Holding[]>,
  { holder, kind, count, op, at }: DeepReadonly<LedgerEntry>,
  mfn: number | null,
  grants: readonly number[] | null,
): void {
  let holdings = found.get(holder);
  if (holdings === undefined) found.set(holder, (holdings = []));
  let holding = holdings.find((other) => other.kind === kind);
  if (holding === undefined)
    holdings.push((holding = { kind, count: 0, op, since: at, frames: [], grants: [] }));
  holding.count += count;
  if (holding.since === null || at < holding.since) {
    holding.since = at;
    holding.op = op;
  }
  if (mfn !== null && holding.frames.length < FRAMES_MAX) holding.frames.push(mfn);
  for (const ref of grants ?? []) {
    if (holding.grants.length < FRAMES_MAX && !holding.grants.includes(ref)) holding.grants.push(ref);
  }
}

/** The references by which a domain's frames are mapped. */
function grantsByFrame(cells: Cells, domid: number): Map<number, number[]> {
  const found = new Map<number, number[]>();
  for (const [ref, { mfn }] of activeGrants(cells, domid)) {
    const refs = found.get(mfn);
    if (refs === undefined) found.set(mfn, [ref]);
    else refs.push(ref);
  }
  return found;
}
