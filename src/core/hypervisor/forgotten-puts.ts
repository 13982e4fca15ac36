// SPDX-License-Identifier: Apache-2.0
//
// References that somebody should have dropped and did not: what a missing
// put_page leaves. The fault forget-put makes the next ones of a kind be
// forgotten, and drops what it kept when it is cleared.

import { cellType } from "../engine/cells.ts";
import type { Cells } from "../engine/cells.ts";
import type { Host } from "../engine/host.ts";
import type { ReferenceKind } from "./reference-kinds.ts";

/** A drop that did not happen. */
export interface ForgottenPut {
  /** The page, or -1 for the domain's structure. */
  readonly mfn: number;
  readonly holder: string;
  readonly kind: ReferenceKind;
  /** Whether a type reference would have been dropped too. */
  readonly typed: boolean;
  /** The shadow of the page that is meant, not the page itself. */
  readonly shadow?: "l1" | "l2" | "hl2" | "snapshot";
}

/** How many drops of a kind are still to be forgotten, and those that were. Identifier: `domid/kind`. */
export const forgottenPutsCell = cellType<{ left: number; kept: ForgottenPut[] }>("forgotten-puts");

/** The identifier of a kind's cell. */
export function forgottenPutsId(domid: number, kind: ReferenceKind): string {
  return `${domid}/${kind}`;
}

/** Drops of a kind that were forgotten, on a domain or its pages. */
export function keptFor(cells: Cells, domid: number, kind: ReferenceKind): readonly ForgottenPut[] {
  return cells.get(forgottenPutsCell, forgottenPutsId(domid, kind))?.kept ?? [];
}

/** Takes one of them off the list: it is made up for. */
export function takeKept(host: Host, domid: number, put: ForgottenPut): void {
  const { kept } = host.edit(forgottenPutsCell, forgottenPutsId(domid, put.kind));
  const at = kept.findIndex(
    (one) => one.mfn === put.mfn && one.holder === put.holder && one.typed === put.typed,
  );
  kept.splice(at, 1);
}

/** Whether the next drop of that kind will be forgotten. */
export function willForget(host: Host, domid: number, kind: ReferenceKind): boolean {
  return (host.get(forgottenPutsCell, forgottenPutsId(domid, kind))?.left ?? 0) > 0;
}

/** Whether this drop of a reference on something of that domain is forgotten: then it must not be done. */
export function forgotten(host: Host, domid: number, put: ForgottenPut): boolean {
  if (!willForget(host, domid, put.kind)) return false;
  const cell = host.edit(forgottenPutsCell, forgottenPutsId(domid, put.kind));
  cell.left--;
  cell.kept.push({ ...put });
  return true;
}

/** A page's allocation was given up in another way after all: there is nothing left to make up for. */
export function allocationGone(host: Host, domid: number, mfn: number): void {
  const id = forgottenPutsId(domid, "allocated");
  if (host.get(forgottenPutsCell, id)?.kept.some((put) => put.mfn === mfn) !== true) return;
  const cell = host.edit(forgottenPutsCell, id);
  cell.kept = cell.kept.filter((put) => put.mfn !== mfn);
}
