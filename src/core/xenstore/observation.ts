// SPDX-License-Identifier: Apache-2.0
//
// What open transactions have observed, and what happens to them when it
// changes: they are marked, and their commit answers EAGAIN. The index goes from
// a path to the transactions that observed something there, so a change costs
// what it affects, and no counter of all changes is needed.

import { type Cells, cellType, must } from "../engine/cells.ts";
import { connectionType } from "./connection.ts";
import { accessOf } from "./perms.ts";
import { settingsOf } from "./quota.ts";

/** What can be observed of a node, as bits. */
export const SEEN_EXISTENCE = 1;
export const SEEN_VALUE = 2;
export const SEEN_PERMS = 4;
export const SEEN_CHILDREN = 8;
/** Not the permissions, but what they allow the transaction's connection. */
export const SEEN_ACCESS = 16;
export const SEEN_ALL = SEEN_EXISTENCE | SEEN_VALUE | SEEN_PERMS | SEEN_CHILDREN;

/** An open transaction; its identifier is `<connection>/<transaction id>`. */
export interface Transaction {
  conn: number;
  id: number;
  /** Something it observed has changed. */
  conflict: boolean;
  /** It could not do what it was asked to: its commit answers ENOMEM. */
  failed: boolean;
  /** Some node was created in it. */
  created: boolean;
  /** How many times it removed a tree. */
  removals: number;
}
export const transactionType = cellType<Transaction>("transaction");

/** A node as it was when a transaction had observed it and before somebody else changed it. */
export interface Kept {
  exists: boolean;
  value: string;
  perms: string;
  /** Names of its children, each followed by a NUL. */
  children: string;
}

/**
 * A node a transaction has accessed; its identifier is the transaction's
 * followed by the path. What it did to the node lies over what is in the store.
 */
export interface TransactionNode {
  seen: number;
  /** `base`: as in the store; `absent`: not there; `fresh`: created here. */
  existence: "base" | "absent" | "fresh";
  /** New value, or null. Not null for a fresh node. */
  value: string | null;
  /** New permissions, or null. Not null for a fresh node. */
  perms: string | null;
  /** For a fresh node whose permissions were not set: the node of the store they come from. */
  inheritedFrom: string | null;
  /** Children created here, in order, and children of the store removed here. */
  added: string[];
  removed: string[];
  kept: Kept | null;
  modified: boolean;
  /** The event of the commit: none, for watches of exactly this path, or of those above, too. */
  event: "none" | "exact" | "subtree";
  /** Permissions at the first access; null where there was no node. */
  permsBefore: string | null;
}
export const transactionNodeType = cellType<TransactionNode>("transaction-node");

/** Which transactions observed something of a path. */
interface Observers {
  transactions: string[];
}
const observersType = cellType<Observers>("transaction-observers");

/** Notes that a transaction has observed `bits` of a node it has accessed. */
export function noteSeen(cells: Cells, transaction: string, path: string, bits: number): void {
  const node = must(cells, transactionNodeType, transaction + path);
  if ((node.seen & bits) === bits) return;
  if (node.seen === 0) addObserver(cells, path, transaction);
  cells.edit(transactionNodeType, transaction + path).seen |= bits;
}

function addObserver(cells: Cells, path: string, transaction: string): void {
  const observers = cells.get(observersType, path);
  if (observers === undefined) {
    cells.add(observersType, path, { transactions: [transaction] });
    return;
  }
  let at = observers.transactions.length;
  while (at > 0 && (observers.transactions[at - 1] as string) > transaction) at--;
  cells.edit(observersType, path).transactions.splice(at, 0, transaction);
}

/** A transaction no longer cares for a path. */
export function forgetSeen(cells: Cells, transaction: string, path: string): void {
  if (must(cells, transactionNodeType, transaction + path).seen === 0) return;
  const observers = must(cells, observersType, path);
  if (observers.transactions.length === 1) {
    cells.drop(observersType, path);
    return;
  }
  cells.edit(observersType, path).transactions.splice(observers.transactions.indexOf(transaction), 1);
}

/**
 * To be called before a node of the store changes: marks the transactions that
 * observed what is about to change, and keeps the node as they know it.
 *
 * @param change what changes, as SEEN bits; 0 for a write that changes nothing,
 *   which only the strict rule minds
 * @param permsAfter the new permissions where they change
 */
export function nodeChanging(
  cells: Cells,
  path: string,
  change: number,
  before: () => Kept,
  permsAfter: string | null = null,
): void {
  const observers = cells.get(observersType, path);
  if (observers === undefined) return;
  const strict = settingsOf(cells).conflicts === "strict";
  for (const transaction of observers.transactions) {
    const node = must(cells, transactionNodeType, transaction + path);
    if (node.kept !== null) continue;
    const { conn } = must(cells, transactionType, transaction);
    const accessSeen = (node.seen & SEEN_ACCESS) !== 0 && permsAfter !== null;
    const accessChanges = accessSeen && accessDiffers(cells, conn, before().perms, permsAfter);
    if (!strict && (node.seen & change) === 0 && !accessChanges) continue;
    cells.edit(transactionNodeType, transaction + path).kept = before();
    cells.edit(transactionType, transaction).conflict = true;
  }
}

function accessDiffers(cells: Cells, conn: number, before: string, after: string): boolean {
  const connection = must(cells, connectionType, conn);
  return accessOf(cells, before, connection) !== accessOf(cells, after, connection);
}
