// SPDX-License-Identifier: Apache-2.0
//
// The tree as a request sees it: the store's, or for a request in a transaction
// the store's with the transaction's own changes over it. Every look at a node
// in a transaction is an access, and accesses are kept in order: the events of
// the commit come in that order (access_node in xenstored_transaction.c).

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
  type TransactionNode,
  ownKey,
  transactionNodeType,
  transactionType,
} from "./observation.ts";
import { childPath, parentOf } from "./path.ts";
import { withOwner } from "./perms.ts";
import { exceeds, noteMaximum } from "./quota.ts";
import { childrenList, type NodeCopy, nodeType } from "./tree.ts";

/** What a node is made of, its children apart. */
export interface NodeView {
  readonly value: string;
  readonly perms: string;
}

type Own = DeepReadonly<TransactionNode>;

/**
 * The transaction's own cell for a node, made at the first access.
 *
 * @param hidden whether it has removed a node above, where that is known
 */
export function access(cells: Cells, caller: Caller, path: string, hidden?: boolean): Own {
  const transaction = caller.transaction as string;
  const known = cells.get(transactionNodeType, ownKey(transaction, path));
  if (known !== undefined) return known;
  if (!caller.privileged) {
    const count = accessedCount(cells, transaction) + 1;
    if (exceeds(cells, caller.domid, "transaction-nodes", count))
      cells.edit(transactionType, transaction).failed = true;
    else noteMaximum(cells, caller.domid, "transaction-nodes", count);
  }
  return addAccessed(cells, transaction, path, hidden ?? isHidden(cells, transaction, path));
}

/** Whether the transaction has removed a node above. */
function isHidden(cells: Cells, transaction: string, path: string): boolean {
  if (must(cells, transactionType, transaction).removals === 0) return false;
  for (let at = path; at !== "/";) {
    at = parentOf(at);
    if (cells.get(transactionNodeType, ownKey(transaction, at))?.hidden === true) return true;
  }
  return false;
}

/** What the transaction sees of the store under its own changes; undefined where there is nothing. */
function baseOf(cells: Cells, own: Own, path: string): NodeView | undefined {
  if (own.hidden) return undefined;
  if (own.kept !== null) return own.kept.exists ? own.kept : undefined;
  return cells.get(nodeType, path);
}

/** The node, or undefined where there is none. */
export function lookup(cells: Cells, caller: Caller, path: string): NodeView | undefined {
  if (caller.transaction === null) return cells.get(nodeType, path);
  const own = access(cells, caller, path);
  const base = baseOf(cells, own, path);
  if (!own.ensured) {
    if (base === undefined || (own.value === null && own.perms === null)) return base;
    return { value: own.value ?? base.value, perms: own.perms ?? base.perms };
  }
  const perms = own.perms ?? base?.perms ?? permsIfCreated(cells, caller, path);
  return { value: own.value ?? base?.value ?? "", perms };
}

/** What a node that the transaction ensures has to be created with, should the store not have it at the commit. */
export function permsIfCreated(cells: Cells, caller: Caller, path: string): string {
  const own = cells.get(transactionNodeType, ownKey(caller.transaction as string, path));
  if (own !== undefined && own.permsIfCreated !== null) return own.permsIfCreated;
  const above = parentOf(path);
  const ownAbove = cells.get(transactionNodeType, ownKey(caller.transaction as string, above));
  const base = ownAbove === undefined ? cells.get(nodeType, above) : baseOf(cells, ownAbove, above);
  return inherited(caller, base?.perms ?? permsIfCreated(cells, caller, above));
}

/** What a new node gets from its parent; unprivileged domains own what they create. */
export function inherited(caller: Caller, perms: string): string {
  return caller.privileged ? perms : withOwner(perms, caller.domid);
}

/** Notes what the answer to a request told about a node it has looked up. */
export function seen(cells: Cells, caller: Caller, path: string, bits: number): void {
  if (caller.transaction === null) return;
  const own = must(cells, transactionNodeType, ownKey(caller.transaction, path));
  let told = caller.privileged ? bits : bits | SEEN_EXISTENCE | SEEN_ACCESS;
  // What the transaction did itself cannot be changed by others.
  if (own.hidden) told &= SEEN_PERMS;
  if (own.ensured || own.rank !== 0) told &= ~SEEN_EXISTENCE;
  if (own.value !== null) told &= ~SEEN_VALUE;
  if (own.perms !== null) told &= ~(SEEN_PERMS | SEEN_ACCESS);
  if (own.kept === null && told !== 0 && !own.hidden) noteSeen(cells, caller.transaction, path, told);
  const creates = own.ensured && baseOf(cells, own, path) === undefined;
  if (creates && (told & SEEN_PERMS) !== 0 && own.permsIfCreated === null) {
    access(cells, caller, parentOf(path));
    inheritanceSeen(cells, caller, parentOf(path));
  }
}

/** A node's permissions were told, and they are inherited from this one above it. */
function inheritanceSeen(cells: Cells, caller: Caller, path: string): void {
  const own = access(cells, caller, path);
  if (!own.hidden) noteSeen(cells, caller.transaction as string, path, SEEN_PERMS);
  if (baseOf(cells, own, path) === undefined && own.permsIfCreated === null) {
    inheritanceSeen(cells, caller, parentOf(path));
  }
}

/** The transaction's own cell where what it sees of the children is not just what the store has, else undefined. */
function ownChildren(cells: Cells, caller: Caller, path: string): Own | undefined {
  if (caller.transaction === null) return undefined;
  const own = access(cells, caller, path);
  const asInStore = !own.hidden && own.kept === null && own.added.length === 0 && own.removed.length === 0;
  return asInStore ? undefined : own;
}

/** Names of an existing node's children, in order. */
export function childNames(cells: Cells, caller: Caller, path: string): string[] {
  const own = ownChildren(cells, caller, path);
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
export function childText(cells: Cells, caller: Caller, path: string): string {
  if (ownChildren(cells, caller, path) === undefined) return listText(cells, childrenList, path);
  return childNames(cells, caller, path)
    .map((name) => `${name}\0`)
    .join("");
}

/** Bytes of names, each with its NUL. */
function namesBytes(names: readonly string[]): number {
  return names.reduce((sum, name) => sum + name.length + 1, 0);
}

/** Bytes of `childText`; made from what the transaction has changed, not from all there is. */
export function childBytes(cells: Cells, caller: Caller, path: string): number {
  const own = ownChildren(cells, caller, path);
  const bytes = listBytes(cells, childrenList, path);
  if (own === undefined) return bytes;
  if (own.hidden || own.kept !== null) return childText(cells, caller, path).length;
  const isStored = (name: string): boolean => cells.get(nodeType, childPath(path, name)) !== undefined;
  const removed = own.removed.filter(isStored);
  const added = own.added.filter((name) => !isStored(name) || removed.includes(name));
  return bytes + namesBytes(added) - namesBytes(removed);
}

/** Part of `childText`: from byte `offset`, whole names that fit into `bytesMax`. */
export function childTextFrom(
  cells: Cells,
  caller: Caller,
  path: string,
  offset: number,
  bytesMax: number,
): string {
  if (ownChildren(cells, caller, path) === undefined) {
    return listTextFrom(cells, childrenList, path, offset, bytesMax);
  }
  const text = childText(cells, caller, path).slice(offset);
  let end = 0;
  for (let nul = text.indexOf("\0"); nul >= 0 && nul < bytesMax; nul = text.indexOf("\0", nul + 1))
    end = nul + 1;
  return text.slice(0, end);
}

/** A number that differs where the children differ: the generation of DIRECTORY_PART. */
export function childGeneration(cells: Cells, caller: Caller, path: string): number {
  if (ownChildren(cells, caller, path) === undefined) return listDigest(cells, childrenList, path);
  const text = childText(cells, caller, path);
  let hash = 1;
  for (let i = 0; i < text.length; i++) hash = (Math.imul(hash, 31) + text.charCodeAt(i)) | 0;
  return hash >>> 0;
}
