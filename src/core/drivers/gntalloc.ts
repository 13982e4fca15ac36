// SPDX-License-Identifier: Apache-2.0
//
// /dev/xen/gntalloc of dom0's kernel (Linux, drivers/xen/gntalloc.c): pages of its
// own that processes share with other domains.

import { cellType } from "../engine/cells.ts";
import { fail, isFailure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import type { Caller } from "../hypervisor/caller.ts";
import * as evtchn from "../hypervisor/event-channel-op.ts";
import { evtchnPut } from "../hypervisor/hypercall/evtchn-device.ts";
import type { UnmapNotice } from "../hypervisor/hypercall/gntdev-device.ts";
import { operation } from "../hypervisor/hypercall/operation.ts";
import { mapFrame, unmapFrame } from "../hypervisor/mapping.ts";
import { endForeignAccess, grantPage } from "./gnttab.ts";
import type { GrantedPage } from "./gnttab.ts";

/** Pages that all processes of a domain may share at a time (the module's parameter `limit`). */
export const GREFS_MAX = 1024;

/** How many are shared (`gref_size`), by domid; there while any is. */
export const gntallocCell = cellType<{ size: number }>("gntalloc");

const ZEROS = new Uint8Array(4096);

function changeSize(host: Host, domid: number, by: number): void {
  if (host.get(gntallocCell, domid) === undefined) host.add(gntallocCell, domid, { size: 0 });
  const cell = host.edit(gntallocCell, domid);
  cell.size += by;
  if (cell.size === 0) host.drop(gntallocCell, domid);
}

/** Takes pages and lets a domain map them: ENOSPC for more than the limit, ENOMEM. They hold zeros. */
export const allocGrefs = operation(
  "gntalloc alloc",
  (host, { domid }: Caller, { to, count, writable }: { to: number; count: number; writable: boolean }) => {
    // What was freed while others mapped it is looked at again.
    endForeignAccess(host, domid, []);
    if ((host.get(gntallocCell, domid)?.size ?? 0) + count > GREFS_MAX) return fail("ENOSPC");
    const pages: GrantedPage[] = [];
    for (let i = 0; i < count; i++) {
      const page = grantPage(host, domid, to, !writable);
      if (isFailure(page)) {
        endForeignAccess(host, domid, pages);
        return page;
      }
      host.memory.write(page.mfn, 0, ZEROS);
      pages.push(page);
    }
    if (count > 0) changeSize(host, domid, count);
    return { pages };
  },
);

/** A process maps pages it shares. */
export const mapGrefs = operation(
  "gntalloc map",
  (host, { domid, process }: Caller, { mfns }: { mfns: readonly number[] }) => {
    for (const mfn of mfns) {
      const got = mapFrame(host, domid, process, "own map", domid, mfn, false);
      if (isFailure(got)) return got;
    }
    return 0;
  },
);

/** … and maps them no longer. */
export const unmapGrefs = operation(
  "gntalloc unmap",
  (host, { domid, process }: Caller, { mfns }: { mfns: readonly number[] }) => {
    for (const mfn of mfns) unmapFrame(host, domid, process, "own map", mfn, false);
    return 0;
  },
);

/**
 * Takes pages back that no process uses, after what it wished to happen then. One
 * that another domain maps still is freed when it no longer does
 * (gnttab_end_foreign_access).
 */
export const freeGrefs = operation(
  "gntalloc free",
  (
    host,
    caller: Caller,
    { pages, notices }: { pages: readonly GrantedPage[]; notices: readonly UnmapNotice[] },
  ) => {
    for (const { clear, port } of notices) {
      if (clear !== null) host.memory.write(clear.mfn, clear.offset, Uint8Array.of(0));
      if (port === null) continue;
      evtchn.send(host, caller, { port });
      evtchnPut(host, caller, port);
    }
    if (pages.length > 0) changeSize(host, caller.domid, -pages.length);
    endForeignAccess(host, caller.domid, pages);
    return 0;
  },
);
