// SPDX-License-Identifier: Apache-2.0
//
// blkback's rings: mapping what the frontend offers, and letting go of it, which
// waits for the thread and for every page that is still in use (Linux
// drivers/block/xen-blkback/xenbus.c, xen_blkif_map, xen_blkif_disconnect).

import { must } from "../engine/cells.ts";
import { isFailure } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { bindInterdomain, close } from "../hypervisor/event-channel-op.ts";
import { GrantStatus, mapGrantRef } from "../hypervisor/grant-table-op.ts";
import { evtchnPort } from "../hypervisor/port.ts";
import { kthreadStop } from "../xenbus/kthread.ts";
import { blkbackCell, blkbackRingCell } from "./blkback-cells.ts";
import type { PersistentGrant } from "./blkback-cells.ts";
import { pagesHeld } from "./disk.ts";
import { unmapFrontendPage } from "./unmap.ts";

/** A disk of a kernel's. */
export interface DiskArgs {
  domid: number;
  blkif: string;
}

/** The disk as the hypervisor's ledger knows it: its name on the bus, `vbd-1-51712`. */
export function diskCaller(domid: number, blkif: string): { domid: number; process: string } {
  const [, , type, frontend, device] = blkif.replace(/~\d+$/, "").split("/");
  return { domid, process: `kernel ${type}-${frontend}-${device}` };
}

/** Maps a ring and binds its event channel. The grant table's status where it does not map it. */
export function xenBlkifMap(
  host: Host,
  domid: number,
  blkif: string,
  at: number,
  ref: number,
  remotePort: number,
): void | { status: number } | Failure {
  const { frontend } = must(host, blkbackCell, blkif);
  const { status, handle, mfn } = mapGrantRef(host, diskCaller(domid, blkif), { domid: frontend, ref });
  if (status !== GrantStatus.okay) return { status };
  const bound = bindInterdomain(host, diskCaller(domid, blkif), { remoteDomid: frontend, remotePort });
  if (isFailure(bound)) {
    unmapFrontendPage(host, diskCaller(domid, blkif), { handle });
    return bound;
  }
  host.add(blkbackRingCell, `${blkif}/${at}`, {
    ring: { handle, mfn },
    port: bound.port,
    xenblkd: null,
    reqCons: 0,
    rspProd: 0,
    inflight: 0,
    persistent: [],
  });
  host.edit(blkbackCell, blkif).rings = at + 1;
}

/** Unmaps pages once nobody uses them any more: whoever still does keeps the caller waiting. */
const gnttabUnmapRefsSync = routine(
  "gnttab_unmap_refs_sync",
  (a: { domid: number; number: string; grants: readonly PersistentGrant[] }) => ({ ...a }),
  ({ waitFor, step }) => [
    waitFor("wait_for_completion", (host, l) => !pagesHeld(host, l.number), { uninterruptible: true }),
    step("gnttab_unmap_refs", (host, l) => {
      for (const { handle } of l.grants)
        unmapFrontendPage(host, { domid: l.domid, process: "kernel" }, { handle });
    }),
  ],
);

const freePersistentGnts = routine(
  "free_persistent_gnts",
  (a: DiskArgs & { ring: string }) => ({ ...a, number: "", grants: [] as PersistentGrant[] }),
  ({ step, when, call }) => [
    step("foreach_grant_safe", (host, l) => {
      l.number = must(host, blkbackCell, l.blkif).physicalDevice;
      l.grants = must(host, blkbackRingCell, l.ring).persistent.map((grant) => ({ ...grant }));
    }),
    when("some", (l) => l.grants.length > 0, [
      call("gnttab_unmap_refs_sync", gnttabUnmapRefsSync, ({ domid, number, grants }) => ({
        domid,
        number,
        grants,
      })),
    ]),
    step("persistent_gnt_c = 0", (host, l) => {
      host.edit(blkbackRingCell, l.ring).persistent = [];
    }),
  ],
);

const xenBlkbkFreeCaches = routine(
  "xen_blkbk_free_caches",
  (a: DiskArgs & { ring: string }) => ({ ...a }),
  ({ call }) => [
    call("free_persistent_gnts", freePersistentGnts, ({ blkif, domid, ring }) => ({ blkif, domid, ring })),
  ],
);

interface DisconnectLocals extends DiskArgs {
  rings: string[];
  ring: string;
  xenblkd: string | null;
  inflight: number;
  busy: boolean;
}

function releaseRing(host: Host, domid: number, id: string): void {
  const { ring, port } = must(host, blkbackRingCell, id);
  if (evtchnPort(host, domid, port) !== undefined) close(host, { domid, process: "kernel" }, { port });
  unmapFrontendPage(host, { domid, process: "kernel" }, { handle: ring.handle });
}

/**
 * Lets go of all rings. Gives true where requests were still at the disk: then
 * their rings stay. Waits for the rings' threads and for pages still in use.
 */
export const xenBlkifDisconnect = routine(
  "xen_blkif_disconnect",
  (a: DiskArgs): DisconnectLocals => ({ ...a, rings: [], ring: "", xenblkd: null, inflight: 0, busy: false }),
  ({ step, each, when, call }) => [
    step("nr_rings", (host, l) => {
      const { rings } = must(host, blkbackCell, l.blkif);
      l.rings = Array.from({ length: rings }, (_, at) => `${l.blkif}/${at}`).filter(
        (ring) => host.get(blkbackRingCell, ring) !== undefined,
      );
    }),
    each(
      "rings",
      (l) => l.rings,
      (l, ring) => {
        l.ring = ring;
      },
      [
        step("ring->xenblkd", (host, l) => {
          l.xenblkd = must(host, blkbackRingCell, l.ring).xenblkd;
        }),
        when("has a thread", (l) => l.xenblkd !== null, [
          call("kthread_stop", kthreadStop, (l) => ({ thread: l.xenblkd as string })),
        ]),
        step("atomic_read(&ring->inflight)", (host, l) => {
          const ring = host.edit(blkbackRingCell, l.ring);
          ring.xenblkd = null;
          l.inflight = ring.inflight;
          if (l.inflight > 0) l.busy = true;
          else releaseRing(host, l.domid, l.ring);
        }),
        when("nothing at the disk", (l) => l.inflight === 0, [
          call("xen_blkbk_free_caches", xenBlkbkFreeCaches, ({ blkif, domid, ring }) => ({
            blkif,
            domid,
            ring,
          })),
          step("ring->active = false", (host, l) => host.drop(blkbackRingCell, l.ring)),
        ]),
      ],
    ),
    step("kfree(blkif->rings)", (host, l) => {
      if (!l.busy) host.edit(blkbackCell, l.blkif).rings = 0;
    }),
  ],
  (l) => l.busy,
);
