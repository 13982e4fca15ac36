// SPDX-License-Identifier: Apache-2.0
//
// The two grants a domain starts with: its console's ring for xenconsoled, its
// store's for xenstored (tools/libs/guest/xg_dom_boot.c, xc_dom_gnttab_seed).

import { isFailure } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { grantAccess } from "../hypervisor/grant-table-op.ts";
import { acquireGrantFrames } from "../hypervisor/memory-op.ts";
import { dom0 } from "./libxl-ctx.ts";

/** References every domain keeps for them (public/grant_table.h). */
const GNTTAB_RESERVED_CONSOLE = 0;
const GNTTAB_RESERVED_XENSTORE = 1;

/** Writes the two entries into the table's first frame. */
export function seedGrantTable(
  host: Host,
  process: string,
  domid: number,
  console: number,
  store: number,
): void | Failure {
  const table = acquireGrantFrames(host, dom0(process), { domid, frame: 0, nrFrames: 1 });
  if (isFailure(table)) return table;
  grantAccess(host, domid, GNTTAB_RESERVED_CONSOLE, 0, console);
  grantAccess(host, domid, GNTTAB_RESERVED_XENSTORE, 0, store);
}
