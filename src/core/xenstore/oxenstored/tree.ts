// SPDX-License-Identifier: Apache-2.0
//
// oxenstored's tree is immutable: a transaction has the one that was there when
// it began, and changes a copy. Here a transaction has two layers over the
// store: nodes as they were at its start, kept when somebody else changes them
// (`was`), and nodes as it has changed them itself (`own`).
//
// oxenstored also asks whether a node is the very same as before. Any change
// replaces the node and all above it, so that is whether `was` has it.

import { type Cells, cellType, must } from "../../engine/cells.ts";
import { listItems } from "../list.ts";
import { addNode, dropTree, setPerms, setValue } from "../node.ts";
import { childPath, nameOf, parentOf } from "../path.ts";
import { childrenList, nodeType, storedSubtree, subtree } from "../tree.ts";

/** A node, or its absence, in one of the layers. */
interface Layered {
  exists: boolean;
  value: string;
  perms: string;
  children: string[];
  /** It is another node than before, and not only something below it. */
  replaced: boolean;
}
/** Identified by the transaction's key followed by the path. */
const wasType = cellType<Layered>("oxenstored-was");
const ownType = cellType<Layered>("oxenstored-own");

/** What an open transaction has of the tree; identified by its key. */
interface Layers {
  was: string[];
  own: string[];
  /** Every node was replaced: permissions of a domain that is gone were taken out (reset_permissions). */
  everything: boolean;
}
const layersType = cellType<Layers>("oxenstored-layers");

/** Keys of all open transactions. */
const openType = cellType<{ transactions: string[] }>("oxenstored-open");

/** A transaction's key, or null for the store itself. */
export type View = string | null;

/** A node as a request sees it. */
export interface NodeView {
  readonly value: string;
  readonly perms: string;
}

/** A transaction begins: it sees the tree as it is now. */
export function addLayers(cells: Cells, transaction: string): void {
  if (cells.get(openType, 0) === undefined) cells.add(openType, 0, { transactions: [] });
  cells.edit(openType, 0).transactions.push(transaction);
  cells.add(layersType, transaction, { was: [], own: [], everything: false });
}

/** A transaction is over. */
export function dropLayers(cells: Cells, transaction: string): void {
  const { was, own } = must(cells, layersType, transaction);
  for (const path of was) cells.drop(wasType, transaction + path);
  for (const path of own) cells.drop(ownType, transaction + path);
  cells.drop(layersType, transaction);
  const { transactions } = cells.edit(openType, 0);
  transactions.splice(transactions.indexOf(transaction), 1);
}

function present(node: Readonly<Layered> | NodeView | undefined): NodeView | undefined {
  return node !== undefined && "exists" in node && !node.exists ? undefined : node;
}

/** The node, or undefined where there is none. */
export function nodeAt(cells: Cells, view: View, path: string): NodeView | undefined {
  const own = view === null ? undefined : cells.get(ownType, view + path);
  return own === undefined ? nodeBefore(cells, view, path) : present(own);
}

/** The node when the transaction began; without one, now. */
export function nodeBefore(cells: Cells, view: View, path: string): NodeView | undefined {
  const was = view === null ? undefined : cells.get(wasType, view + path);
  return was === undefined ? cells.get(nodeType, path) : present(was);
}

/** Names of a node's children, in no particular order. */
export function childrenAt(cells: Cells, view: View, path: string): readonly string[] {
  if (view === null) return listItems(cells, childrenList, path);
  const layered = cells.get(ownType, view + path) ?? cells.get(wasType, view + path);
  return layered?.children ?? listItems(cells, childrenList, path);
}

/** Whether the tree is the one that was there when the transaction began. */
export function isTreeSame(cells: Cells, transaction: string): boolean {
  return isNodeSame(cells, transaction, "/");
}

/** Whether a node of the store is the one that was there when the transaction began, with all below it. */
export function isNodeSame(cells: Cells, transaction: string, path: string): boolean {
  return (
    !must(cells, layersType, transaction).everything && cells.get(wasType, transaction + path) === undefined
  );
}

/** A copy of what a transaction sees, or of the store. */
function copyAt(cells: Cells, view: View, path: string, replaced: boolean): Layered {
  const node = nodeAt(cells, view, path);
  if (node === undefined) return { exists: false, value: "", perms: "", children: [], replaced };
  const children = [...childrenAt(cells, view, path)];
  return { exists: true, value: node.value, perms: node.perms, children, replaced };
}

/** To be called before a node of the store is replaced, or with `above` those above it: open transactions keep them. */
function replacing(cells: Cells, path: string, above = false): void {
  const open = cells.get(openType, 0)?.transactions ?? [];
  for (const transaction of open) {
    for (let at = above ? parentOf(path) : path; ; at = parentOf(at)) {
      // Where one is kept, so are those above it.
      if (cells.get(wasType, transaction + at) !== undefined) break;
      cells.add(wasType, transaction + at, copyAt(cells, null, at, true));
      cells.edit(layersType, transaction).was.push(at);
      if (at === "/") break;
    }
  }
}

/** All nodes of the store are to be replaced. */
export function replacingAll(cells: Cells): void {
  for (const transaction of cells.get(openType, 0)?.transactions ?? [])
    cells.edit(layersType, transaction).everything = true;
}

function ownAt(cells: Cells, transaction: string, path: string): Layered {
  if (cells.get(ownType, transaction + path) === undefined) {
    cells.add(ownType, transaction + path, copyAt(cells, transaction, path, false));
    cells.edit(layersType, transaction).own.push(path);
  }
  return cells.edit(ownType, transaction + path);
}

/** Adds a node that is not there below one that is. */
export function addAt(cells: Cells, view: View, path: string, value: string, perms: string): void {
  if (view === null) {
    replacing(cells, path);
    addNode(cells, path, value, perms);
    return;
  }
  ownAt(cells, view, parentOf(path)).children.push(nameOf(path));
  Object.assign(ownAt(cells, view, path), { exists: true, value, perms, children: [], replaced: true });
}

/** Sets the value of a node that is there. The same value replaces only what is above. */
export function setValueAt(cells: Cells, view: View, path: string, value: string): void {
  const same = nodeAt(cells, view, path)?.value === value;
  if (view === null) {
    // But for the root: nothing is above it.
    if (same && path === "/") return;
    replacing(cells, path, same);
    setValue(cells, path, value);
    return;
  }
  const own = ownAt(cells, view, path);
  own.value = value;
  own.replaced ||= !same;
}

/** Sets the permissions of a node that is there. */
export function setPermsAt(cells: Cells, view: View, path: string, perms: string): void {
  if (view === null) {
    replacing(cells, path);
    setPerms(cells, path, perms);
    return;
  }
  const own = ownAt(cells, view, path);
  own.perms = perms;
  own.replaced = true;
}

/** The paths of a tree, children before their parents. */
export function treeAt(cells: Cells, view: View, path: string): string[] {
  return view === null ? storedSubtree(cells, path) : subtree(path, (of) => childrenAt(cells, view, of));
}

/** Removes a tree that is there, and not the root. */
export function removeAt(cells: Cells, view: View, path: string): void {
  const paths = treeAt(cells, view, path);
  if (view === null) {
    for (const at of paths) replacing(cells, at);
    dropTree(cells, path);
    return;
  }
  for (const at of paths)
    Object.assign(ownAt(cells, view, at), {
      exists: false,
      value: "",
      perms: "",
      children: [],
      replaced: true,
    });
  const above = ownAt(cells, view, parentOf(path));
  above.children = above.children.filter((name) => name !== nameOf(path));
}

/** Puts what a transaction has changed at and below a node into the store, which is as it was there at its start. */
export function applyLayers(cells: Cells, transaction: string, root: string): void {
  const below = root === "/" ? "/" : `${root}/`;
  const paths = must(cells, layersType, transaction)
    .own.filter((path) => path === root || path.startsWith(below))
    .toSorted((a, b) => a.length - b.length);
  for (const path of paths) {
    const { exists, replaced } = must(cells, ownType, transaction + path);
    if (exists && !(path === "/" && !replaced)) replacing(cells, path, !replaced);
    if (!exists && cells.get(nodeType, path) !== undefined) removeAt(cells, null, path);
  }
  for (const path of paths) {
    const { exists, value, perms } = must(cells, ownType, transaction + path);
    if (!exists) continue;
    const node = cells.get(nodeType, path);
    if (node === undefined) addAt(cells, null, path, value, perms);
    else {
      if (node.value !== value) setValueAt(cells, null, path, value);
      if (node.perms !== perms) setPermsAt(cells, null, path, perms);
    }
  }
}

/** Names of a node's children as paths. */
export function childPathsAt(cells: Cells, view: View, path: string): string[] {
  return childrenAt(cells, view, path).map((name) => childPath(path, name));
}
