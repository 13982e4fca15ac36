// SPDX-License-Identifier: Apache-2.0
//
// A driver domain that is no more: what its backends kept and what it had for
// them goes, without anybody being told. What they mapped the hypervisor unmaps.

import type { CellType } from "../engine/cells.ts";
import type { Host } from "../engine/host.ts";
import { fileCell } from "../daemons/files.ts";
import {
  blockDeviceCell,
  blockNodeCell,
  bridgeCell,
  bridgesCell,
  loopCell,
  netDeviceCell,
  nicCell,
  ofDomain,
} from "./backend-devices.ts";
import { bioCell, blkbackCell, blkbackRingCell } from "./blkback-cells.ts";
import { tagsCell } from "./disk.ts";
import { netbackQueueCell, netbackStatsCell } from "./netback-cells.ts";
import { skbCell } from "./packets.ts";

/** Cells of backends: their identifiers begin with that of a device, which begins with the domid. */
const ofBackends: readonly CellType<object>[] = [
  netbackQueueCell,
  netbackStatsCell,
  blkbackCell,
  blkbackRingCell,
  bioCell,
];

/** Cells of what a domain has: their identifiers are `ofDomain`'s. */
const ofMachine: readonly CellType<object>[] = [
  blockDeviceCell,
  blockNodeCell,
  loopCell,
  bridgeCell,
  nicCell,
  netDeviceCell,
  tagsCell,
  fileCell,
];

function dropBeginning(host: Host, types: readonly CellType<object>[], beginning: string): void {
  for (const type of types)
    for (const id of host.ids(type)) if (String(id).startsWith(beginning)) host.drop(type, id);
}

/** Forgets them: the domain's threads must have been ended, its devices taken off their bus. */
export function forgetBackends(host: Host, domid: number): void {
  dropBeginning(host, ofBackends, `${domid}/`);
  for (const id of host.ids(skbCell))
    if (host.get(skbCell, id)?.queue.startsWith(`${domid}/`) === true) host.drop(skbCell, id);
  dropBeginning(host, ofMachine, ofDomain(domid, ""));
  if (host.get(bridgesCell, domid) !== undefined) host.drop(bridgesCell, domid);
}
