// SPDX-License-Identifier: Apache-2.0
//
// Changes of the tree. Every one goes through here, so that transactions learn
// of it and domains are charged for it.

import { type Cells, must } from "../engine/cells.ts";
import { listAppend, listBytes, listDrop, listItems, listRemove } from "./list.ts";
import {
  hasObservers,
  nodeChanging,
  SEEN_CHILDREN,
  SEEN_EXISTENCE,
  SEEN_PERMS,
  SEEN_SUPPORT,
  SEEN_VALUE,
} from "./observation.ts";
import { TOUCH_MAX } from "./node-table.ts";
import { addOwned, removeOwned } from "./owned.ts";
import { childPath, nameOf, parentOf } from "./path.ts";
import { ownerOf, permCount } from "./perms.ts";
import { charge, isUnprivilegedDomid, traitsOf } from "./quota.ts";
import { StoreCells } from "./store-cells.ts";
import { childrenList, nodeType } from "./tree.ts";

/** The root, which is there before anything else. */
export function addRoot(cells: Cells, perms: string): void {
  cells.add(nodeType, "/", { value: "", perms, slot: 0 });
}

/**
 * Bytes real xenstored needs for a node's record (struct xs_tdb_record_hdr):
 * what the node-size limit is about.
 */
export function recordSize(cells: Cells, perms: string, valueBytes: number, childrenBytes: number): number {
  return traitsOf(cells).recordHeaderBytes + 8 * permCount(perms) + valueBytes + childrenBytes;
}

/** A node's record and its name are charged to its owner, or given back. */
function chargeRecord(
  cells: Cells,
  sign: 1 | -1,
  owner: number,
  path: string,
  { perms, value }: { readonly perms: string; readonly value: string },
  childrenBytes: number,
): void {
  if (!isUnprivilegedDomid(cells, owner)) return;
  const bytes = path.length + recordSize(cells, perms, value.length, childrenBytes);
  charge(cells, owner, "memory", sign * bytes);
}

/** Adds a node without children below an existing parent. */
export function addNode(cells: Cells, path: string, value: string, perms: string): void {
  const parent = parentOf(path);
  if (hasObservers(cells)) {
    nodeChanging(cells, parent, SEEN_CHILDREN);
    nodeChanging(cells, path, SEEN_EXISTENCE | SEEN_PERMS | (value === "" ? 0 : SEEN_VALUE));
  }
  const name = nameOf(path);
  const slot = listAppend(cells, childrenList, parent, name);
  cells.add(nodeType, path, { value, perms, slot });
  const owner = ownerOf(perms);
  addOwned(cells, owner, path);
  charge(cells, owner, "nodes", 1);
  chargeRecord(cells, 1, owner, path, { perms, value }, 0);
  charge(cells, ownerOf(must(cells, nodeType, parent).perms), "memory", name.length + 1);
}

/** Sets a node's value. */
export function setValue(cells: Cells, path: string, value: string): void {
  const { value: before, perms } = must(cells, nodeType, path);
  nodeChanging(cells, path, before === value ? 0 : SEEN_VALUE);
  if (before === value) return;
  charge(cells, ownerOf(perms), "memory", value.length - before.length);
  cells.edit(nodeType, path).value = value;
}

/** Sets a node's permissions, and with them its owner. */
export function setPerms(cells: Cells, path: string, perms: string): void {
  const { perms: before } = must(cells, nodeType, path);
  nodeChanging(cells, path, before === perms ? 0 : SEEN_PERMS, perms);
  if (before === perms) return;
  const owner = ownerOf(before);
  // Where domain 0 keeps what it has nothing is counted.
  if (owner !== ownerOf(perms) || isUnprivilegedDomid(cells, owner)) chargeForPerms(cells, path, perms);
  cells.edit(nodeType, path).perms = perms;
}

/** A node is about to have other permissions, and with them perhaps another owner. */
function chargeForPerms(cells: Cells, path: string, perms: string): void {
  const node = must(cells, nodeType, path);
  const childrenBytes = listBytes(cells, childrenList, path);
  const from = ownerOf(node.perms);
  const to = ownerOf(perms);
  chargeRecord(cells, -1, from, path, node, childrenBytes);
  chargeRecord(cells, 1, to, path, { perms, value: node.value }, childrenBytes);
  if (from === to) return;
  removeOwned(cells, from, path);
  addOwned(cells, to, path);
  charge(cells, from, "nodes", -1);
  charge(cells, to, "nodes", 1);
}

/**
 * Removes a tree, and not the root of all: children before their parents and
 * siblings in their order (walk_node_tree in xenstored_core.c).
 *
 * @param dropping called before each goes; it may be left out for one that nobody watches
 * @returns how many nodes there were
 */
export function dropTree(cells: Cells, top: string, dropping?: (path: string) => void): number {
  const { slot } = must(cells, nodeType, top);
  const parent = parentOf(top);
  const name = nameOf(top);
  const count = dropWithChildren(cells, top, dropping);
  charge(cells, ownerOf(must(cells, nodeType, parent).perms), "memory", -name.length - 1);
  listRemove(cells, childrenList, parent, slot, name);
  return count;
}

function dropWithChildren(cells: Cells, path: string, dropping?: (path: string) => void): number {
  let count = 1;
  if (cells.get(childrenList.head, path) !== undefined) {
    const quiet = quietLeaves(cells, dropping !== undefined);
    // Each leaf that goes would be told of; after the first there is nothing new.
    if (quiet !== undefined) nodeChanging(cells, path, SEEN_CHILDREN);
    quiet?.enter(path);
    const names = listItems(cells, childrenList, path);
    for (const [at, name] of names.entries()) {
      if (at % TOUCH_MAX === 0) quiet?.readAhead(names, at);
      if (quiet?.drop(name) === true) count++;
      else {
        count += dropWithChildren(cells, childPath(path, name), dropping);
        quiet?.enter(path);
      }
    }
  }
  dropping?.(path);
  dropInner(cells, path);
  return count;
}

/** Removes children of a node of whose going nobody has to know. */
interface QuietLeaves {
  enter(path: string): void;
  /** Those from a place on are about to go: what is read of each is read of some together, which waits less. */
  readAhead(names: readonly string[], from: number): void;
  /** Whether it is gone. */
  drop(name: string): boolean;
}

/** How leaves may go without a look at each; undefined where they may not. */
function quietLeaves(cells: Cells, told: boolean): QuietLeaves | undefined {
  if (!(cells instanceof StoreCells) || !cells.dropsQuietly) return undefined;
  const { nodes, watches, observers } = cells;
  const minds = (hash: number, perms: string): boolean =>
    (told && watches.mayHave(hash)) || observers.mayHave(hash) || isUnprivilegedDomid(cells, ownerOf(perms));
  return {
    enter: (path) => nodes.enter(path),
    readAhead: (names, from) => nodes.touchLeaves(names, from),
    drop: (name) => nodes.dropLeaf(name, minds),
  };
}

/** Removes a node whose children have gone. It stays in its parent's list, which goes with the parent. */
function dropInner(cells: Cells, path: string): void {
  const node = must(cells, nodeType, path);
  const { perms } = node;
  if (hasObservers(cells)) {
    const valueGoes = node.value === "" ? 0 : SEEN_VALUE;
    nodeChanging(cells, parentOf(path), SEEN_CHILDREN);
    nodeChanging(cells, path, SEEN_EXISTENCE | SEEN_PERMS | SEEN_SUPPORT | valueGoes);
  }
  const owner = ownerOf(perms);
  const childrenBytes = listDrop(cells, childrenList, path);
  if (isUnprivilegedDomid(cells, owner)) {
    removeOwned(cells, owner, path);
    charge(cells, owner, "nodes", -1);
    chargeRecord(cells, -1, owner, path, { perms, value: node.value }, childrenBytes);
  }
  cells.drop(nodeType, path);
}
