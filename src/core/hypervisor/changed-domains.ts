// SPDX-License-Identifier: Apache-2.0
//
// Which domains changed state since the handler of VIRQ_DOM_EXC last asked
// (domain_changed_state, since Xen 4.21): what spares xenstored the scan of all.

import { cellType } from "../engine/cells.ts";
import type { Cells } from "../engine/cells.ts";
import { bitmap, clearBit, findNextBit, setBit } from "./bitmap.ts";
import { forEachDomain } from "./domain.ts";
import { versionOf } from "./machine.ts";

const changed = bitmap("domain-state-changed", 3);

/** Exists while somebody has VIRQ_DOM_EXC bound: before, changes are not recorded. */
export const changedDomainsCell = cellType<{ recording: true }>("changed-domains");

/** The handler has bound VIRQ_DOM_EXC: every domain there is counts as changed (domain_init_states). */
export function initChangedDomains(cells: Cells): void {
  if (!versionOf(cells).changedDomainBitmap) return;
  cells.add(changedDomainsCell, 0, { recording: true });
  for (const d of forEachDomain(cells)) setBit(cells, changed, d.domid);
}

/** The handler has gone (domain_deinit_states). */
export function resetChangedDomains(cells: Cells): void {
  if (cells.get(changedDomainsCell, 0) === undefined) return;
  cells.drop(changedDomainsCell, 0);
  for (let domid = findNextBit(cells, changed, 0); domid >= 0; domid = findNextBit(cells, changed, 0))
    clearBit(cells, changed, domid);
}

/** A domain came, was shut down, died or went. */
export function domainChangedState(cells: Cells, domid: number): void {
  if (cells.get(changedDomainsCell, 0) !== undefined) setBit(cells, changed, domid);
}

/** The next changed domain, which is no longer changed then; -1 when there is none. */
export function nextChangedDomain(cells: Cells): number {
  const domid = findNextBit(cells, changed, 0);
  if (domid >= 0) clearBit(cells, changed, domid);
  return domid;
}
