// SPDX-License-Identifier: Apache-2.0
//
// Grants mapped for processes by their domain's kernel (Linux drivers/xen/gntdev.c).
// In a PV domain it maps each page twice: where the process wants it, by the
// process's page table entry, and at its own address of it, so that the page is
// one the kernel can work with (gntdev_map_grant_pages, set_foreign_p2m_mapping).

import { cellType, must } from "../engine/cells.ts";
import type { Host } from "../engine/host.ts";
import type { Caller } from "./caller.ts";
import { domainCell } from "./domain.ts";
import { mapGrantRef, unmapGrantRef } from "./grant-table-op.ts";
import { GrantStatus } from "./grant-status.ts";
import { GNTMAP_host_map, GNTMAP_readonly } from "./grant-table.ts";
import type { GrantMapping } from "./grant-table.ts";

/** The kernel's handle of a page that a process maps. Identifier: `domid/handle` of the process's mapping. */
const kernelMapCell = cellType<{ handle: number }>("gntdev-kernel-map");

/** Forgets what a domain's kernel had mapped for its processes: it is no more, and the hypervisor has unmapped it. */
export function forgetGntdev(host: Host, domid: number): void {
  for (const id of host.ids(kernelMapCell))
    if (String(id).startsWith(`${domid}/`)) host.drop(kernelMapCell, id);
}

/** One grant, by who grants it. */
export interface GrantRef {
  readonly domid: number;
  readonly ref: number;
}

/** Who makes the hypercall for the kernel's own mapping, which is the process's all the same: it ends with it. */
function kernelOf({ domid }: Caller): Caller {
  return { domid, process: "kernel" };
}

/** Maps grants for a process, all or none: what each came to, up to the first that failed. */
export function gntdevMap(
  host: Host,
  caller: Caller,
  refs: readonly GrantRef[],
  readonly = false,
): readonly GrantMapping[] {
  const flags = GNTMAP_host_map | (readonly ? GNTMAP_readonly : 0);
  const isPv = must(host, domainCell, caller.domid).type === "pv";
  const made: GrantMapping[] = [];
  const kernels: GrantMapping[] = [];
  for (const list of isPv ? [made, kernels] : [made]) {
    const by = list === kernels ? kernelOf(caller) : caller;
    for (const { domid, ref } of refs) {
      const mapping = mapGrantRef(host, caller, { domid, ref, flags }, by);
      if (mapping.status === GrantStatus.okay) list.push(mapping);
      else {
        for (const { handle } of [...made, ...kernels]) unmapGrantRef(host, caller, { handle });
        return [mapping];
      }
    }
  }
  for (const [at, { handle }] of kernels.entries())
    host.add(kernelMapCell, `${caller.domid}/${made[at]?.handle}`, { handle });
  return made;
}

/** Maps one grant for a process, to write to. */
export function gntdevMapOne(host: Host, caller: Caller, domid: number, ref: number): GrantMapping {
  return gntdevMap(host, caller, [{ domid, ref }])[0] as GrantMapping;
}

/** Ends mappings of a process, the kernel's of the same pages too. */
export function gntdevUnmap(host: Host, caller: Caller, handles: readonly number[]): void {
  const ids = handles.map((handle) => `${caller.domid}/${handle}`);
  const kernels = ids.flatMap((id) => host.get(kernelMapCell, id)?.handle ?? []);
  for (const handle of handles) unmapGrantRef(host, caller, { handle });
  for (const handle of kernels) unmapGrantRef(host, kernelOf(caller), { handle });
  for (const id of ids) if (host.get(kernelMapCell, id) !== undefined) host.drop(kernelMapCell, id);
}
