// SPDX-License-Identifier: Apache-2.0
//
// The tree as a request sees it: the store's, or for a request in a transaction
// the store's with the transaction's own changes over it. Every look at a node
// in a transaction is an access, and accesses are kept in order: the events of
// the commit come in that order (access_node in xenstored_transaction.c).
//
// A request looks its node up once. What it found (`Place`) is handed on to all
// who do something there.

import { type Cells, type DeepReadonly, must } from "../engine/cells.ts";
import type { Caller } from "./caller.ts";
import { listBytes, listDigest, listItems, listText, listTextFrom } from "./list.ts";
import {
  accessedCount,
  addAccessed,
  noteSeen,
  SEEN_ACCESS,
  SEEN_EXISTENCE,
  SEEN_PERMS,
  SEEN_VALUE,
} from "./observation.ts";
import { ownNode } from "./own-node.ts";
import { type TransactionNode, transactionType } from "./transaction-cells.ts";
import { childPath, parentOf } from "./path.ts";
import { withOwner } from "./perms.ts";
import { exceeds, noteMaximum } from "./quota.ts";
import { childrenList, type NodeCopy, nodeType } from "./tree.ts";

/** What a node is made of, its children apart. */
export interface NodeView {
  readonly value: string;
  readonly perms: string;
}

export type Own = DeepReadonly<TransactionNode>;

/** A path, and the cells there: for the request that has looked it up, until somebody creates or removes the node. */
export interface Place {
  readonly path: string;
  /** What the store has. */
  readonly stored: NodeView | undefined;
  /** The transaction's own cell; null outside of transactions. */
  readonly own: Own | null;
}

/** A place, and the node that the request sees there. */
export interface Found<N extends NodeView | undefined = NodeView> extends Place {
  readonly node: N;
}

/** Whether there is a node where somebody has looked. */
export function isThere(found: Found<NodeView | undefined>): found is Found {
  return found.node !== undefined;
}

/** A place in a transaction. */
interface OwnPlace extends Place {
  readonly own: Own;
}

/**
 * A place in the caller's transaction, whose own cell for it is made at the first access.
 *
 * @param hidden whether it has removed a node above, where that is known
 */
export function access(cells: Cells, caller: Caller, path: string, hidden?: boolean): OwnPlace {
  const stored = cells.get(nodeType, path);
  return { path, stored, own: ownAt(cells, caller, path, stored, hidden) };
}

function ownAt(
  cells: Cells,
  caller: Caller,
  path: string,
  stored: NodeView | undefined,
  hidden?: boolean,
): Own {
  const transaction = caller.transaction as string;
  const known = ownNode(cells, transaction, path);
  if (known !== undefined) return known;
  if (!caller.privileged) {
    const count = accessedCount(cells, transaction) + 1;
    if (exceeds(cells, caller.domid, "transaction-nodes", count))
      cells.edit(transactionType, transaction).failed = true;
    else noteMaximum(cells, caller.domid, "transaction-nodes", count);
  }
  return addAccessed(cells, transaction, path, hidden ?? isHidden(cells, transaction, path), stored);
}

/** Whether the transaction has removed a node above. */
function isHidden(cells: Cells, transaction: string, path: string): boolean {
  if (must(cells, transactionType, transaction).removals === 0) return false;
  for (let at = path; at !== "/";) {
    at = parentOf(at);
    if (ownNode(cells, transaction, at)?.hidden === true) return true;
  }
  return false;
}

/** What the transaction sees of the store under its own changes; undefined where there is nothing. */
function baseOf(own: Own, stored: NodeView | undefined): NodeView | undefined {
  if (own.hidden) return undefined;
  if (own.kept !== null) return own.kept.exists ? own.kept : undefined;
  return stored;
}

/** What there is at a path, for a request. */
export function lookup(cells: Cells, caller: Caller, path: string): Found<NodeView | undefined> {
  const stored = cells.get(nodeType, path);
  if (caller.transaction === null) return { path, stored, own: null, node: stored };
  const own = ownAt(cells, caller, path, stored);
  return { path, stored, own, node: nodeIn(cells, caller, { path, stored, own }) };
}

/** The node as the transaction sees it. */
function nodeIn(cells: Cells, caller: Caller, { path, stored, own }: OwnPlace): NodeView | undefined {
  const base = baseOf(own, stored);
  if (!own.ensured) {
    if (base === undefined || (own.value === null && own.perms === null)) return base;
    return { value: own.value ?? base.value, perms: own.perms ?? base.perms };
  }
  const perms = own.perms ?? base?.perms ?? own.permsIfCreated ?? permsIfCreated(cells, caller, path);
  return { value: own.value ?? base?.value ?? "", perms };
}

/** What a node that the transaction ensures has to be created with, should the store not have it at the commit. */
export function permsIfCreated(cells: Cells, caller: Caller, path: string): string {
  const own = ownNode(cells, caller.transaction as string, path);
  if (own !== undefined && own.permsIfCreated !== null) return own.permsIfCreated;
  const above = parentOf(path);
  const ownAbove = ownNode(cells, caller.transaction as string, above);
  const stored = cells.get(nodeType, above);
  const base = ownAbove === undefined ? stored : baseOf(ownAbove, stored);
  return inherited(caller, base?.perms ?? permsIfCreated(cells, caller, above));
}

/** What a new node gets from its parent; unprivileged domains own what they create. */
export function inherited(caller: Caller, perms: string): string {
  return caller.privileged ? perms : withOwner(perms, caller.domid);
}

/** Notes what the answer to a request told about a node. */
export function seen(cells: Cells, caller: Caller, { path, stored, own }: Place, bits: number): void {
  if (caller.transaction === null || own === null) return;
  let told = caller.privileged ? bits : bits | SEEN_EXISTENCE | SEEN_ACCESS;
  // What the transaction did itself cannot be changed by others.
  if (own.hidden) told &= SEEN_PERMS;
  if (own.ensured || own.rank !== 0) told &= ~SEEN_EXISTENCE;
  if (own.value !== null) told &= ~SEEN_VALUE;
  if (own.perms !== null) told &= ~(SEEN_PERMS | SEEN_ACCESS);
  if (own.kept === null && told !== 0 && !own.hidden) noteSeen(cells, caller.transaction, path, own, told);
  const creates = own.ensured && baseOf(own, stored) === undefined;
  if (creates && (told & SEEN_PERMS) !== 0 && own.permsIfCreated === null)
    inheritanceSeen(cells, caller, parentOf(path));
}

/** A node's permissions were told, and they are inherited from this one above it. */
function inheritanceSeen(cells: Cells, caller: Caller, path: string): void {
  const { own, stored } = access(cells, caller, path);
  if (!own.hidden) noteSeen(cells, caller.transaction as string, path, own, SEEN_PERMS);
  if (baseOf(own, stored) === undefined && own.permsIfCreated === null) {
    inheritanceSeen(cells, caller, parentOf(path));
  }
}

/** The transaction's own cell where what it sees of the children is not just what the store has, else undefined. */
function ownChildren({ own }: Place): Own | undefined {
  if (own === null) return undefined;
  const asInStore = !own.hidden && own.kept === null && own.added.length === 0 && own.removed.length === 0;
  return asInStore ? undefined : own;
}

/** Names of an existing node's children, in order. */
export function childNames(cells: Cells, place: Place): string[] {
  const { path } = place;
  const own = ownChildren(place);
  if (own === undefined) return listItems(cells, childrenList, path);
  if (own.hidden) return [...own.added];
  const stored = own.kept === null ? listItems(cells, childrenList, path) : splitNames(own.kept);
  const base = stored.filter((name) => !own.removed.includes(name));
  return [...base, ...own.added.filter((name) => !base.includes(name))];
}

function splitNames({ children }: NodeCopy): string[] {
  return children === "" ? [] : children.slice(0, -1).split("\0");
}

/** Names of an existing node's children, each followed by a NUL. */
export function childText(cells: Cells, place: Place): string {
  if (ownChildren(place) === undefined) return listText(cells, childrenList, place.path);
  return childNames(cells, place)
    .map((name) => `${name}\0`)
    .join("");
}

/** Bytes of names, each with its NUL. */
function namesBytes(names: readonly string[]): number {
  return names.reduce((sum, name) => sum + name.length + 1, 0);
}

/** Bytes of `childText`; made from what the transaction has changed, not from all there is. */
export function childBytes(cells: Cells, place: Place): number {
  const { path } = place;
  const own = ownChildren(place);
  const bytes = listBytes(cells, childrenList, path);
  if (own === undefined) return bytes;
  if (own.hidden || own.kept !== null) return childText(cells, place).length;
  const isStored = (name: string): boolean => cells.get(nodeType, childPath(path, name)) !== undefined;
  const removed = own.removed.filter(isStored);
  const added = own.added.filter((name) => !isStored(name) || removed.includes(name));
  return bytes + namesBytes(added) - namesBytes(removed);
}

/** Part of `childText`: from byte `offset`, whole names that fit into `bytesMax`. */
export function childTextFrom(cells: Cells, place: Place, offset: number, bytesMax: number): string {
  if (ownChildren(place) === undefined)
    return listTextFrom(cells, childrenList, place.path, offset, bytesMax);
  const text = childText(cells, place).slice(offset);
  let end = 0;
  for (let nul = text.indexOf("\0"); nul >= 0 && nul < bytesMax; nul = text.indexOf("\0", nul + 1))
    end = nul + 1;
  return text.slice(0, end);
}

/** A number that differs where the children differ: the generation of DIRECTORY_PART. */
export function childGeneration(cells: Cells, place: Place): number {
  if (ownChildren(place) === undefined) return listDigest(cells, childrenList, place.path);
  const text = childText(cells, place);
  let hash = 1;
  for (let i = 0; i < text.length; i++) hash = (Math.imul(hash, 31) + text.charCodeAt(i)) | 0;
  return hash >>> 0;
}
