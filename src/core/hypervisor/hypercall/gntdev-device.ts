// SPDX-License-Identifier: Apache-2.0
//
// /dev/xen/gntdev of dom0's kernel (Linux, drivers/xen/gntdev.c): maps what
// other domains grant into a process.

import { fail } from "../../engine/errno.ts";
import { readGranted, writeGranted } from "../grant-copy.ts";
import type { GrantedPlace } from "../grant-copy.ts";
import * as evtchn from "../event-channel-op.ts";
import { gntdevMap, gntdevUnmap } from "../gntdev.ts";
import type { GrantRef } from "../gntdev.ts";
import { GrantStatus, copy } from "../grant-table-op.ts";
import { evtchnPut } from "./evtchn-device.ts";
import { operation } from "./operation.ts";

/** Maps all of the grants or none: EINVAL as mmap() of the device gives it (gntdev_map_grant_pages). */
export const mapGrants = operation(
  "gntdev map",
  (host, caller, { refs, readonly }: { refs: readonly GrantRef[]; readonly: boolean }) => {
    const made = gntdevMap(host, caller, refs, readonly);
    if (made.some(({ status }) => status !== GrantStatus.okay)) return fail("EINVAL");
    return { handles: made.map(({ handle }) => handle), mfns: made.map(({ mfn }) => mfn) };
  },
);

/** What is to happen when a mapping ends: a byte of it cleared, an event sent. */
export interface UnmapNotice {
  /** Where the byte is, or null. */
  clear: { mfn: number; offset: number } | null;
  /** The port to signal, held until then, or null. */
  port: number | null;
}

/** Ends mappings, after what their user wished to happen then. */
export const unmapGrants = operation(
  "gntdev unmap",
  (host, caller, { handles, notice }: { handles: readonly number[]; notice: UnmapNotice | null }) => {
    if (notice?.clear) host.memory.write(notice.clear.mfn, notice.clear.offset, Uint8Array.of(0));
    if (notice !== null && notice.port !== null) {
      evtchn.send(host, caller, { port: notice.port });
      evtchnPut(host, caller, notice.port);
    }
    gntdevUnmap(host, caller, handles);
    return 0;
  },
);

/** A part of IOCTL_GNTDEV_GRANT_COPY: from a granted page into the process. */
export const copyOut = operation(
  "gntdev copy from grant",
  (host, caller, { source, length }: { source: GrantedPlace; length: number }) =>
    readGranted(host, caller.domid, source, length),
);

/** … from the process into a granted page. */
export const copyIn = operation(
  "gntdev copy to grant",
  (host, caller, { dest, bytes }: { dest: GrantedPlace; bytes: Uint8Array }) =>
    writeGranted(host, caller.domid, dest, bytes),
);

/** … from one granted page to another. */
export const copyBetween = operation("gntdev copy between grants", copy);
