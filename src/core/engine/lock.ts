// SPDX-License-Identifier: Apache-2.0
//
// Named locks that routines take with `locked`. A lock that is held is a cell.

import { cellType } from "./cells.ts";
import type { Cells } from "./cells.ts";

/** A held lock, by name. A free one has no cell. */
export const lockCell = cellType<{ locked: true }>("lock");

/** Lets go of a held lock. */
export function releaseLock(cells: Cells, name: string): void {
  cells.drop(lockCell, name);
}
