// SPDX-License-Identifier: Apache-2.0
//
// Whether a domain's processors run at all. The hypervisor knows; the engine
// asks before every step of a thread that runs in a domain.

import type { Cells } from "./cells.ts";

/** Asks cells with `get` only. */
export type Gate = (cells: Cells, domid: number) => boolean;

let gate: Gate = () => true;

/** Says how to find out whether a domain runs: once, by the module that knows. */
export function defineGate(made: Gate): void {
  gate = made;
}

/** Whether threads of that domain may step; the hypervisor's own and dom0's always may. */
export function mayRun(cells: Cells, domid: number | null): boolean {
  return domid === null || domid === 0 || gate(cells, domid);
}
