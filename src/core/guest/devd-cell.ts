// SPDX-License-Identifier: Apache-2.0
//
// What an `xl devd` looks after: gone with the process, and with its domain.

import { cellType } from "../engine/cells.ts";

/** A device it looks after (libxl__ddomain_device): its directory, and whose it is. */
type ServedDevice = { dir: string; domid: number };

/** By the process's name; `count` numbers what it does beside its loop. */
export const devdCell = cellType<{ devices: ServedDevice[]; count: number }>("devd");
