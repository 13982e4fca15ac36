// SPDX-License-Identifier: Apache-2.0
//
// Creating nodes: missing ones above come into being with them, and all inherit
// the permissions of the nearest one that exists (construct_node in xenstored_core.c).

import { type Cells, must } from "../engine/cells.ts";
import type { Caller } from "./caller.ts";
import { addNode, nodeType } from "./node.ts";
import { parentOf } from "./path.ts";
import { withOwner } from "./perms.ts";

/** `path` or the nearest node above it that is in the store. */
export function nearestExisting(cells: Cells, path: string): string {
  let at = path;
  while (cells.get(nodeType, at) === undefined) at = parentOf(at);
  return at;
}

/** What a new node below `path` inherits; unprivileged domains own what they create. */
export function inheritPerms(cells: Cells, caller: Caller, path: string): string {
  const { perms } = must(cells, nodeType, path);
  return caller.privileged ? perms : withOwner(perms, caller.domid);
}

/**
 * Adds a node to the store, and the missing ones above it.
 *
 * @param perms the new node's permissions, or null to inherit
 */
export function createMissing(cells: Cells, caller: Caller, path: string, value: string, perms: string | null): void {
  const missing: string[] = [];
  let at = parentOf(path);
  for (; cells.get(nodeType, at) === undefined; at = parentOf(at)) missing.push(at);
  const inherited = inheritPerms(cells, caller, at);
  for (const above of missing.toReversed()) addNode(cells, above, "", inherited);
  addNode(cells, path, value, perms ?? inherited);
}
