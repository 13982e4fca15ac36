// SPDX-License-Identifier: Apache-2.0
//
// What was there before a recording began and shows in it: the next domid, and
// nodes that earlier domains left in the store. Both are input, not behaviour.

import { connectionsOf } from "./connections.ts";
import { chosenDomids } from "./names.ts";
import type { Recording, SnapshotNode } from "./recording.ts";

export interface Prehistory {
  /** The domid that Xen will choose first. */
  nextDomid: number;
  /** Whether the host has had a domain: its parents in the store are there already. */
  hadDomains: boolean;
  /** What earlier domains left in the store. */
  nodes: SnapshotNode[];
}

/** What a recording shows of the time before it. */
export function prehistoryOf(recording: Recording): Prehistory {
  const [nextDomid = 1] = chosenDomids(recording);
  const roots = writtenRoots(recording);
  const nodes = new Map<string, SnapshotNode>();
  for (const node of recording.snapshots.flatMap((snapshot) => snapshot.nodes)) {
    const root = ROOT.exec(node.path)?.[0];
    if (root !== undefined && !roots.has(root) && !nodes.has(node.path)) nodes.set(node.path, node);
  }
  return { nextDomid, hadDomains: !firstRmFindsNoParent(recording), nodes: [...nodes.values()] };
}

/** The directories of one domain, and what `xl shutdown 0` leaves: the rest of dom0's is always there. */
const ROOT =
  /^(\/local\/domain\/0\/control\/shutdown|\/local\/domain\/[1-9]\d*|\/vm\/[^/ ]+|\/libxl\/[1-9]\d*)/;

/** Domains' directories that somebody wrote to during the recording. */
function writtenRoots(recording: Recording): Set<string> {
  const roots = new Set<string>();
  for (const line of recording.store) {
    const root = line.kind === "request" && line.type === "WRITE" ? ROOT.exec(line.body)?.[0] : undefined;
    if (root !== undefined) roots.add(root.trimEnd());
  }
  return roots;
}

/** Creation first removes /vm/UUID: ENOENT says that there is not even /vm. */
function firstRmFindsNoParent(recording: Recording): boolean {
  for (const connection of connectionsOf(recording.store)) {
    for (const exchange of connection.exchanges) {
      if (exchange.kind === "request" && exchange.type === "RM" && exchange.body.startsWith("/vm/"))
        return exchange.reply?.type === "ERROR";
    }
  }
  return false;
}
