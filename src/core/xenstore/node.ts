// SPDX-License-Identifier: Apache-2.0
//
// The tree itself: nodes by path, their children in order of creation. Every
// change goes through here, so that transactions learn of it and domains are
// charged for it.

import { type Cells, cellType, must } from "../engine/cells.ts";
import {
  listAppend,
  listBytes,
  listItems,
  listRemove,
  listText,
  listType,
} from "./list.ts";
import {
  type Kept,
  nodeChanging,
  SEEN_ALL,
  SEEN_CHILDREN,
  SEEN_PERMS,
  SEEN_VALUE,
} from "./observation.ts";
import { addOwned, removeOwned } from "./owned.ts";
import { nameOf, parentOf, childPath } from "./path.ts";
import { ownerOf, permCount } from "./perms.ts";
import { charge } from "./quota.ts";

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
export const childrenList = listType("node-children");

/** The root, which is there before anything else. */
export function addRoot(cells: Cells, perms: string): void {
  cells.add(nodeType, "/", { value: "", perms, slot: 0 });
}

/**
 * Bytes real xenstored needs for a node's record (struct xs_tdb_record_hdr):
 * what the node-size limit is about.
 */
export function recordSize(perms: string, valueBytes: number, childrenBytes: number): number {
  return 24 + 8 * permCount(perms) + valueBytes + childrenBytes;
}

function keep(cells: Cells, path: string): Kept {
  const node = cells.get(nodeType, path);
  if (node === undefined) return { exists: false, value: "", perms: "", children: "" };
  return { exists: true, value: node.value, perms: node.perms, children: listText(cells, childrenList, path) };
}

/** Adds a node without children below an existing parent. */
export function addNode(cells: Cells, path: string, value: string, perms: string): void {
  const parent = parentOf(path);
  nodeChanging(cells, parent, SEEN_CHILDREN, () => keep(cells, parent));
  nodeChanging(cells, path, SEEN_ALL, () => keep(cells, path));
  const name = nameOf(path);
  const slot = listAppend(cells, childrenList, parent, name);
  cells.add(nodeType, path, { value, perms, slot });
  const owner = ownerOf(perms);
  addOwned(cells, owner, path);
  charge(cells, owner, "nodes", 1);
  charge(cells, owner, "memory", path.length + recordSize(perms, value.length, 0));
  charge(cells, ownerOf(must(cells, nodeType, parent).perms), "memory", name.length + 1);
}

/** Sets a node's value. */
export function setValue(cells: Cells, path: string, value: string): void {
  const node = must(cells, nodeType, path);
  nodeChanging(cells, path, node.value === value ? 0 : SEEN_VALUE, () => keep(cells, path));
  if (node.value === value) return;
  charge(cells, ownerOf(node.perms), "memory", value.length - node.value.length);
  cells.edit(nodeType, path).value = value;
}

/** Sets a node's permissions, and with them its owner. */
export function setPerms(cells: Cells, path: string, perms: string): void {
  const node = must(cells, nodeType, path);
  nodeChanging(cells, path, node.perms === perms ? 0 : SEEN_PERMS, () => keep(cells, path), perms);
  if (node.perms === perms) return;
  const childrenBytes = listBytes(cells, childrenList, path);
  const from = ownerOf(node.perms);
  const to = ownerOf(perms);
  charge(cells, from, "memory", -path.length - recordSize(node.perms, node.value.length, childrenBytes));
  charge(cells, to, "memory", path.length + recordSize(perms, node.value.length, childrenBytes));
  if (from !== to) {
    removeOwned(cells, from, path);
    addOwned(cells, to, path);
    charge(cells, from, "nodes", -1);
    charge(cells, to, "nodes", 1);
  }
  cells.edit(nodeType, path).perms = perms;
}

/** Removes a node that has no children (any more). Not the root. */
export function dropNode(cells: Cells, path: string): void {
  const parent = parentOf(path);
  const name = nameOf(path);
  const node = must(cells, nodeType, path);
  nodeChanging(cells, parent, SEEN_CHILDREN, () => keep(cells, parent));
  nodeChanging(cells, path, SEEN_ALL, () => keep(cells, path));
  const owner = ownerOf(node.perms);
  removeOwned(cells, owner, path);
  charge(cells, owner, "nodes", -1);
  charge(cells, owner, "memory", -path.length - recordSize(node.perms, node.value.length, 0));
  charge(cells, ownerOf(must(cells, nodeType, parent).perms), "memory", -name.length - 1);
  listRemove(cells, childrenList, parent, node.slot, name);
  cells.drop(nodeType, path);
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
    for (const name of childrenOf(next)) waiting.push(childPath(next, name));
  }
  return found.reverse();
}

/** The same for the tree in the store. */
export function storedSubtree(cells: Cells, path: string): string[] {
  return subtree(path, (of) => listItems(cells, childrenList, of));
}

