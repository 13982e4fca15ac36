// SPDX-License-Identifier: Apache-2.0
//
// The tree as cells: nodes by path, and the names of their children in order of
// creation. What changes them is in node.ts.

import { type Cells, cellType } from "../engine/cells.ts";
import { listItems, listText, listType } from "./list.ts";

/** A node; its identifier is its path. */
export interface Node {
  /** Bytes as a latin1 string. */
  value: string;
  /** See perms.ts. */
  perms: string;
  /** In which chunk of its parent's children it is. */
  slot: number;
}
export const nodeType = cellType<Node>("node");

/** Names of a node's children, by the node's path. */
export const childrenList = listType("node-children", { listed: true });

/** A copy of a node, or of its absence. */
export interface NodeCopy {
  exists: boolean;
  value: string;
  perms: string;
  /** Names of its children, each followed by a NUL. */
  children: string;
}

/** The node as it is now. */
export function copyNode(cells: Cells, path: string): NodeCopy {
  const node = cells.get(nodeType, path);
  if (node === undefined) return { exists: false, value: "", perms: "", children: "" };
  return {
    exists: true,
    value: node.value,
    perms: node.perms,
    children: listText(cells, childrenList, path),
  };
}

/**
 * The paths of a tree, the root of it last, children before their parents and
 * siblings in their order: the order in which real xenstored deletes it
 * (walk_node_tree in xenstored_core.c).
 */
export function subtree(path: string, childrenOf: (path: string) => readonly string[]): string[] {
  const found: string[] = [];
  const waiting = [path];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    found.push(next);
    const prefix = next === "/" ? next : `${next}/`;
    for (const name of childrenOf(next)) waiting.push(prefix + name);
  }
  return found.toReversed();
}

const nobody: readonly string[] = [];

/** The same for the tree in the store. */
export function storedSubtree(cells: Cells, path: string): string[] {
  return subtree(path, (of) =>
    cells.get(childrenList.head, of) === undefined ? nobody : listItems(cells, childrenList, of),
  );
}
