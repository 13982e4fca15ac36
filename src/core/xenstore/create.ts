// SPDX-License-Identifier: Apache-2.0
//
// Creating nodes: missing ones above come into being with them, and all inherit
// the permissions of the nearest one that exists (construct_node in xenstored_core.c).

import { type Cells, must } from "../engine/cells.ts";
import type { Caller } from "./caller.ts";
import { addNode } from "./node.ts";
import { parentOf } from "./path.ts";
import { nodeType } from "./tree.ts";
import { inherited } from "./view.ts";

/** What a new node below `path` inherits; unprivileged domains own what they create. */
export function inheritPerms(cells: Cells, caller: Caller, path: string): string {
  return inherited(caller, must(cells, nodeType, path).perms);
}

/** Adds a node to the store, and the missing ones above it. */
export function createMissing(cells: Cells, caller: Caller, path: string, value: string): void {
  const missing: string[] = [];
  let at = parentOf(path);
  for (; cells.get(nodeType, at) === undefined; at = parentOf(at)) missing.push(at);
  const perms = inheritPerms(cells, caller, at);
  for (const above of missing.toReversed()) addNode(cells, above, "", perms);
  addNode(cells, path, value, perms);
}
