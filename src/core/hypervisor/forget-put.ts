// SPDX-License-Identifier: Apache-2.0
//
// The fault forget-put: a reference count bug, in any place where Xen drops a
// reference.

import { must } from "../engine/cells.ts";
import type { Cells } from "../engine/cells.ts";
import { faultKind } from "../engine/fault.ts";
import type { Host } from "../engine/host.ts";
import { domainById } from "./domain.ts";
import { forgottenPutsCell, forgottenPutsId, takeKept } from "./forgotten-puts.ts";
import type { ForgottenPut } from "./forgotten-puts.ts";
import { putDomain } from "./free.ts";
import { putForgottenShadow } from "./legacy-shadow.ts";
import { putPage, putPageAllocRef, putPageAndType } from "./page.ts";
import { referenceKindNames } from "./reference-kinds.ts";
import type { DomainReferenceKind, PageReferenceKind, ReferenceKind } from "./reference-kinds.ts";

/** Kinds whose drop can be forgotten: `shared` is never dropped. */
const forgettable = referenceKindNames.filter((kind) => kind !== "shared");

/** A kind as a word on a command line. */
function wordOf(kind: ReferenceKind): string {
  return kind.replaceAll(" ", "-");
}

function kindNamed(word: string | undefined): ReferenceKind | undefined {
  return forgettable.find((kind) => wordOf(kind) === word);
}

function refuse(cells: Cells, [domid = "", word, times = ""]: readonly string[]): string | null {
  if (!/^\d+$/.test(domid) || domainById(cells, Number(domid)) === undefined)
    return `there is no domain ${domid}: \`xl list\` shows those there are`;
  if (kindNamed(word) === undefined)
    return `there are no references called ${word}; there are: ${forgettable.map(wordOf).join(", ")}`;
  return /^[1-9]\d{0,5}$/.test(times) ? null : `TIMES is a number from 1 to 999999, not ${times}`;
}

// Nothing asks whether it is injected: the cell that it makes is what counts.
faultKind({
  name: "forget-put",
  about:
    "the hypervisor forgets to drop references of a kind on a domain or its pages; clearing it drops them",
  words: [
    { name: "DOMID", about: "whose pages, or which domain's structure" },
    { name: "KIND", about: `which references: ${forgettable.map(wordOf).join(", ")}` },
    { name: "TIMES", about: "how many drops are forgotten", fallback: "1" },
  ],
  example: ["1", "grant-map"],
  refuse,
  begin: (host, [domid, word, times]) => {
    const kind = kindNamed(word) as ReferenceKind;
    host.add(forgottenPutsCell, forgottenPutsId(Number(domid), kind), { left: Number(times), kept: [] });
  },
  end: (host, [domid, word]) => {
    const id = forgottenPutsId(Number(domid), kindNamed(word) as ReferenceKind);
    host.edit(forgottenPutsCell, id).left = 0;
    for (const put of [...must(host, forgottenPutsCell, id).kept]) dropForgotten(host, Number(domid), put);
    host.drop(forgottenPutsCell, id);
  },
});

/** Drops a reference now that should have been dropped before; this time it is not forgotten. */
export function dropForgotten(host: Host, domid: number, put: ForgottenPut): void {
  const id = forgottenPutsId(domid, put.kind);
  const { left } = must(host, forgottenPutsCell, id);
  host.edit(forgottenPutsCell, id).left = 0;
  takeKept(host, domid, { ...put });
  dropNow(host, domid, put);
  if (host.get(forgottenPutsCell, id) !== undefined) host.edit(forgottenPutsCell, id).left = left;
}

function dropNow(host: Host, domid: number, { mfn, holder, kind, typed, shadow }: ForgottenPut): void {
  if (shadow !== undefined) putForgottenShadow(host, domid, shadow, mfn, holder);
  else if (mfn < 0) putDomain(host, domid, holder, kind as DomainReferenceKind);
  else if (kind === "allocated") putPageAllocRef(host, mfn);
  else if (typed) putPageAndType(host, mfn, holder, kind as PageReferenceKind);
  else putPage(host, mfn, holder, kind as PageReferenceKind);
}
