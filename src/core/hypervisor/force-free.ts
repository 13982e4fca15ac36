// SPDX-License-Identifier: Apache-2.0
//
// Forcing a page free that is still referred to. Somebody tried in 2005: dom0
// crashed, because its device model still wrote to what was another's by then.
// Here that is refused, with who it would hit. What can be freed is a page whose
// references nobody has any more: whose drops were forgotten.

import type { Cells, DeepReadonly } from "../engine/cells.ts";
import { fail, isFailure } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { input } from "../engine/input.ts";
import { domainById, domainPagesCell } from "./domain.ts";
import { keptFor } from "./forgotten-puts.ts";
import { dropForgotten } from "./forget-put.ts";
import { ownedFrames } from "./frames.ts";
import type { LedgerEntry } from "./ledger.ts";
import { countInfo, pageOf, typeInfo } from "./page.ts";
import { referenceKindNames } from "./reference-kinds.ts";
import { runsOf } from "./runs.ts";

/** A page that is left of a dead domain. */
export interface PageLeft {
  mfn: number;
  /** The list debug key q has it on. */
  list: "DomPage" | "XenPage" | "ExtraPage";
  /** Its words as that key prints them: hexadecimal. */
  caf: string;
  taf: string;
  /** Who holds it; none where every drop that should have been was forgotten. */
  holders: DeepReadonly<LedgerEntry>[];
}

/** Why a page cannot be freed, in a sentence with what to do instead. */
export interface FreeRefusal extends Failure {
  readonly why: string;
}

function refusal(errno: Failure["errno"], why: string): FreeRefusal {
  return { ...fail(errno), why };
}

/** What is left of a dead domain: ESRCH where there is none of that number, EBUSY while it is not dead. */
export function pagesLeft(cells: Cells, domid: number): PageLeft[] | FreeRefusal {
  const d = domainById(cells, domid);
  if (d === undefined) return refusal("ESRCH", `there is no domain ${domid}: its pages are free`);
  if (d.isDying !== "dead") {
    const state =
      d.isDying === "alive" ? "alive: destroy it first" : "still being killed: wait for it to be dead";
    return refusal("EBUSY", `domain ${domid} is ${state}`);
  }
  const counts = cells.get(domainPagesCell, domid);
  const own = [...runsOf(cells, ownedFrames(domid))].flatMap(({ start, count }) =>
    Array.from({ length: count }, (_, at) => ({ mfn: start + at, list: "DomPage" as const })),
  );
  const xen = (counts?.xenpages ?? []).map((mfn) => ({ mfn, list: "XenPage" as const }));
  const extra = (counts?.extraPages ?? []).map((mfn) => ({ mfn, list: "ExtraPage" as const }));
  return [...own, ...xen, ...extra].flatMap(({ mfn, list }) => pageLeft(cells, domid, mfn, list));
}

function pageLeft(cells: Cells, domid: number, mfn: number, list: PageLeft["list"]): PageLeft[] {
  const page = pageOf(cells, mfn);
  if (page === undefined) return [];
  const lost = referenceKindNames.flatMap((kind) => keptFor(cells, domid, kind));
  const holders = page.refs.flatMap((entry) => {
    const gone = lost.filter(
      (put) => put.mfn === mfn && put.holder === entry.holder && put.kind === entry.kind,
    ).length;
    // A frame that is shared with its domain has its type from that, which keeps nothing.
    return entry.count > gone ? [{ ...entry, count: entry.count - gone }] : [];
  });
  const hex = (word: bigint): string => word.toString(16).padStart(16, "0");
  return [{ mfn, list, caf: hex(countInfo(cells, page)), taf: hex(typeInfo(page)), holders }];
}

/**
 * Frees a page of a dead domain: ENOENT where it has no such, EBUSY with the holders where somebody still uses it,
 * whom its next owner's data would hit.
 */
export function forceFreePage(host: Host, domid: number, mfn: number): 0 | FreeRefusal {
  const refused = forceFreeRefused(host, domid, mfn);
  if (refused !== null) return refused;
  for (const kind of referenceKindNames) {
    const lost = keptFor(host, domid, kind).filter((put) => put.mfn === mfn);
    for (const put of lost) dropForgotten(host, domid, put);
  }
  host.emit("forced free", { domid, mfn });
  return 0;
}

declare module "../engine/trace.ts" {
  interface TraceEvents {
    /** A page was freed whose last references had been lost. */
    "forced free": { domid: number; mfn: number };
  }
}

/** Why that page cannot be freed, or null where it can. */
export function forceFreeRefused(cells: Cells, domid: number, mfn: number): FreeRefusal | null {
  const left = pagesLeft(cells, domid);
  if (isFailure(left)) return left;
  const page = left.find((one) => one.mfn === mfn);
  const frame = `0x${mfn.toString(16)}`;
  if (page === undefined) return refusal("ENOENT", `domain ${domid} has no page ${frame} left`);
  if (page.holders.length === 0) return null;
  const who = page.holders
    .map(({ holder, kind, step }) => `${holder} (${kind}, since step ${step})`)
    .join(", ");
  return refusal(
    "EBUSY",
    `page ${frame} of domain ${domid} is in use by ${who}: freed, it would be another's while ${
      page.holders.length === 1 ? "that one" : "those"
    } can still read and write it. End the holder, or have it unmap the page`,
  );
}

/** Somebody outside asks for it; one that is refused changes nothing. */
export const forcedFree = input(
  "pages.force-free",
  (host, { domid, mfn }: { domid: number; mfn: number }) => {
    forceFreePage(host, domid, mfn);
  },
);
