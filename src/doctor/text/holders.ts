// SPDX-License-Identifier: Apache-2.0
//
// Who holds a domain, as far as captured text shows. What is shown, and what is
// only left over when all that is shown has been subtracted, are kept apart.

import type { Holder, Holding } from "../diagnosis.ts";
import type { GrantRow } from "./debug-g.ts";
import type { QDomain, QPage } from "./debug-q.ts";
import type { TextEvidence } from "./evidence.ts";
import { backendChain } from "./backends.ts";

/** Who maps the references that the toolstack reserves (GNTTAB_RESERVED_*, public/grant_table.h). */
const daemons: { readonly [ref: number]: string } = { 0: "xenconsoled (grant 0)", 1: "xenstored (grant 1)" };
/** What a holder is of whom no more is known. */
const nobody = { hint: null, domid: null, pid: null, chain: [], release: null };
const TYPE_WRITABLE = 7n;

/** The holders of a domain that is dead or dying. */
export function textHolders(evidence: TextEvidence, domain: QDomain): Holder[] {
  const rows = evidence.g?.granters.get(domain.domid) ?? null;
  return [
    ...grantHolders(evidence, rows ?? []),
    ...foreignHolder(domain, rows),
    ...sharedHolder(domain),
    ...structureHolder(domain),
  ];
}

/** One holder a mapping domain: its kernel or its programs cannot be told apart by key g. */
function grantHolders(evidence: TextEvidence, rows: readonly GrantRow[]): Holder[] {
  const mappers = Map.groupBy(rows, ({ mapper }) => mapper);
  return [...mappers].map(([domid, mapped]): Holder => {
    const holding = holdingOf("grant map", mapped);
    holding.grants = mapped.map(({ ref }) => ref);
    holding.count = mapped.reduce((sum, { mappings }) => sum + mappings, 0);
    return {
      ...nobody,
      certainty: "shown",
      name: `d${domid}`,
      who: `domain ${domid}`,
      hint: grantHint(evidence, domid, holding.grants),
      domid,
      holdings: [holding],
      chain: backendChain(evidence),
    };
  });
}

/** What the references and the mapper's own state suggest. */
function grantHint({ q }: TextEvidence, domid: number, refs: readonly number[]): string {
  if ((q?.domains.get(domid)?.dying ?? 0) > 0) return "it is itself dead or dying: look at it first";
  const known = refs.flatMap((ref) => daemons[ref] ?? []);
  if (known.length === refs.length) return `that is ${known.join(" and ")}`;
  return "a backend of its kernel (netback, blkback), or a program with /dev/xen/gntdev open";
}

/** Pages that are left and that no grant explains: only a foreign mapping keeps those. */
function foreignHolder({ nrPages, pages }: QDomain, rows: readonly GrantRow[] | null): Holder[] {
  if (rows === null || nrPages === null || nrPages === 0) return [];
  const granted = new Set(rows.map(({ mfn }) => mfn));
  const left = pages?.filter(({ list, mfn }) => list === "DomPage" && !granted.has(mfn)) ?? [];
  const count = Math.max(left.length, nrPages - granted.size);
  if (count <= 0) return [];
  const writable = left.some(({ taf }) => taf >> 61n === TYPE_WRITABLE);
  return [
    {
      ...nobody,
      certainty: "inferred",
      name: "foreign map",
      who: "a program that maps its memory",
      hint: `QEMU, or any that uses privcmd${writable ? "; it maps it writable, from a PV domain" : ""}`,
      holdings: [{ ...holdingOf("foreign map", left), count }],
    },
  ];
}

/** What Xen shared with the domain and somebody maps: shared_info, a grant frame. */
function sharedHolder({ dying, nrPages, xenheapPages, pages }: QDomain): Holder[] {
  if (dying !== 2 || nrPages !== 0 || xenheapPages === null || xenheapPages === 0) return [];
  const left = pages?.filter(({ list }) => list === "XenPage") ?? [];
  return [
    {
      ...nobody,
      certainty: "inferred",
      name: "xenheap",
      who: "a program that maps what Xen shared with it",
      hint: "shared_info, a grant frame or a status frame",
      holdings: [{ ...holdingOf("foreign map", left), count: xenheapPages }],
    },
  ];
}

/** References that no page accounts for: each kind of page counts one while there are any. */
function structureHolder({ dying, refcnt, nrPages, xenheapPages }: QDomain): Holder[] {
  if (dying !== 2 || refcnt === null || nrPages === null || xenheapPages === null) return [];
  const others = refcnt - (nrPages > 0 ? 1 : 0) - (xenheapPages > 0 ? 1 : 0);
  if (others <= 0) return [];
  return [
    {
      ...nobody,
      certainty: "inferred",
      name: "structure",
      who: "somebody with a reference on its structure",
      hint: "a stub domain that has it as its target, a global VIRQ's handler, a hypercall under way",
      holdings: [{ ...holdingOf("structure", []), count: others }],
    },
  ];
}

function holdingOf(kind: string, pages: readonly (QPage | GrantRow)[]): Holding {
  const frames = pages.slice(0, 8).map(({ mfn }) => mfn);
  return { kind, count: pages.length, op: null, since: null, frames, grants: [] };
}
