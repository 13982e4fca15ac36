// SPDX-License-Identifier: Apache-2.0
//
// The tree as a request sees it: the store's, or for a request in a transaction
// the store's with the transaction's own changes over it. Every look at a node
// in a transaction is an access, and accesses are kept in order: the events of
// the commit come in that order (access_node in xenstored_transaction.c).

import { type Cells, type DeepReadonly, must } from "../engine/cells.ts";
import type { Caller } from "./caller.ts";
import {
  listAppend,
  listBytes,
  listCount,
  listDigest,
  listItems,
  listText,
  listTextFrom,
  listType,
} from "./list.ts";
import { childrenList, nodeType } from "./node.ts";
import {
  noteSeen,
  SEEN_ACCESS,
  SEEN_ALL,
  SEEN_EXISTENCE,
  type TransactionNode,
  transactionNodeType,
  transactionType,
} from "./observation.ts";
import { parentOf } from "./path.ts";
import { settingsOf } from "./quota.ts";

/** What a node is made of, its children apart. */
export interface NodeView {
  readonly value: string;
  readonly perms: string;
}

/** Paths a transaction has accessed, in order of first access; by the transaction's key. */
export const accessedList = listType("transaction-accessed");

/** How many nodes a transaction has accessed. */
export function accessedCount(cells: Cells, transaction: string): number {
  return listCount(cells, accessedList, transaction);
}

/** The transaction's own cell for a node, made at the first access. */
export function access(cells: Cells, caller: Caller, path: string): DeepReadonly<TransactionNode> {
  const transaction = caller.transaction as string;
  const known = cells.get(transactionNodeType, transaction + path);
  if (known !== undefined) return known;
  const limit = settingsOf(cells).limits["transaction-nodes"];
  if (!caller.privileged && accessedCount(cells, transaction) >= limit) {
    cells.edit(transactionType, transaction).failed = true;
  }
  const hidden = isHidden(cells, transaction, path);
  cells.add(transactionNodeType, transaction + path, {
    seen: 0,
    existence: hidden ? "absent" : "base",
    value: null,
    perms: null,
    inheritedFrom: null,
    added: [],
    removed: [],
    kept: null,
    modified: false,
    event: "none",
    permsBefore: hidden ? null : (cells.get(nodeType, path)?.perms ?? null),
  });
  listAppend(cells, accessedList, transaction, path);
  if (settingsOf(cells).conflicts === "strict") noteSeen(cells, transaction, path, SEEN_ALL);
  return must(cells, transactionNodeType, transaction + path);
}

/** Whether the transaction has removed, or replaced, a node above. */
function isHidden(cells: Cells, transaction: string, path: string): boolean {
  if (must(cells, transactionType, transaction).removals === 0) return false;
  for (let at = path; at !== "/"; ) {
    at = parentOf(at);
    const above = cells.get(transactionNodeType, transaction + at);
    if (above !== undefined && above.existence !== "base") return true;
  }
  return false;
}

/** The node, or undefined where there is none. */
export function lookup(cells: Cells, caller: Caller, path: string): NodeView | undefined {
  if (caller.transaction === null) return cells.get(nodeType, path);
  const own = access(cells, caller, path);
  if (own.existence === "absent") return undefined;
  if (own.existence === "fresh") return { value: own.value as string, perms: own.perms as string };
  const base = own.kept ?? cells.get(nodeType, path);
  if (base === undefined || ("exists" in base && !base.exists)) return undefined;
  return { value: own.value ?? base.value, perms: own.perms ?? base.perms };
}

/** Notes what the answer to a request told about a node it has looked up. */
export function seen(cells: Cells, caller: Caller, path: string, bits: number): void {
  if (caller.transaction === null) return;
  const own = must(cells, transactionNodeType, caller.transaction + path);
  // What the transaction did itself cannot be changed by others.
  if (own.existence !== "base") return;
  noteSeen(cells, caller.transaction, path, caller.privileged ? bits : bits | SEEN_EXISTENCE | SEEN_ACCESS);
}

/** The transaction's own cell where it has children of its own making or unmaking, else undefined. */
function ownChildren(cells: Cells, caller: Caller, path: string): DeepReadonly<TransactionNode> | undefined {
  if (caller.transaction === null) return undefined;
  const own = access(cells, caller, path);
  const asInStore = own.existence === "base" && own.kept === null && own.added.length === 0 && own.removed.length === 0;
  return asInStore ? undefined : own;
}

/** Names of an existing node's children, in order. */
export function childNames(cells: Cells, caller: Caller, path: string): string[] {
  const own = ownChildren(cells, caller, path);
  if (own === undefined) return listItems(cells, childrenList, path);
  if (own.existence === "absent") return [];
  if (own.existence === "fresh") return [...own.added];
  const base = own.kept === null ? listItems(cells, childrenList, path) : splitNames(own.kept.children);
  return [...base.filter((name) => !own.removed.includes(name)), ...own.added];
}

function splitNames(text: string): string[] {
  return text === "" ? [] : text.slice(0, -1).split("\0");
}

/** Names of an existing node's children, each followed by a NUL. */
export function childText(cells: Cells, caller: Caller, path: string): string {
  if (ownChildren(cells, caller, path) === undefined) return listText(cells, childrenList, path);
  return childNames(cells, caller, path)
    .map((name) => `${name}\0`)
    .join("");
}

/** Bytes of `childText`. */
export function childBytes(cells: Cells, caller: Caller, path: string): number {
  if (ownChildren(cells, caller, path) === undefined) return listBytes(cells, childrenList, path);
  return childText(cells, caller, path).length;
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
  for (let nul = text.indexOf("\0"); nul >= 0 && nul < bytesMax; nul = text.indexOf("\0", nul + 1)) end = nul + 1;
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
