// SPDX-License-Identifier: Apache-2.0
//
// What open transactions have observed, and what happens to them when it
// changes: they are marked, and their commit answers EAGAIN. The index goes from
// a path to the transactions that observed something there, so a change costs
// what it affects, and no counter of all changes is needed.

import { type Cells, type DeepReadonly, must } from "../engine/cells.ts";
import { connectionType } from "./connection.ts";
import { childPath, nameOf, parentOf } from "./path.ts";
import { accessOf } from "./perms.ts";
import { settingsOf } from "./quota.ts";
import { addOwn, dropOwn, editOwn, mustOwn, ownNode } from "./own-node.ts";
import { type TransactionNode, observersType, transactionType } from "./transaction-cells.ts";
import { copyNode, nodeType } from "./tree.ts";

/** What can be observed of a node in the store, as bits. */
export const SEEN_EXISTENCE = 1;
export const SEEN_VALUE = 2;
export const SEEN_PERMS = 4;
export const SEEN_CHILDREN = 8;
/** Not the permissions, but what they allow the transaction's connection. */
export const SEEN_ACCESS = 16;
/**
 * Nothing was observed, but something written at or below the node: if the node
 * goes, the transaction's write brings it back.
 */
export const SEEN_SUPPORT = 32;
export const SEEN_ALL = SEEN_EXISTENCE | SEEN_VALUE | SEEN_PERMS | SEEN_CHILDREN;

/** A node a transaction has accessed, with its path. */
export interface AccessedNode {
  readonly path: string;
  readonly own: DeepReadonly<TransactionNode>;
}

/**
 * Adds the transaction's cell for a node that it accesses for the first time.
 *
 * @param stored what the store has there
 */
export function addAccessed(
  cells: Cells,
  transaction: string,
  path: string,
  hidden: boolean,
  stored: { readonly perms: string } | undefined,
): TransactionNode {
  cells.edit(transactionType, transaction).paths.push(path);
  const own = addOwn(cells, transaction, path, {
    seen: 0,
    hidden,
    ensured: false,
    value: null,
    perms: null,
    permsIfCreated: null,
    rank: 0,
    added: [],
    removed: [],
    kept: null,
    modified: false,
    event: "none",
    permsBefore: hidden || stored === undefined ? null : stored.perms,
  });
  if (settingsOf(cells).conflicts === "strict") noteSeen(cells, transaction, path, own, SEEN_ALL);
  return own;
}

/** Forgets the node accessed last, which has been observed in no respect any more. */
export function dropLastAccessed(cells: Cells, transaction: string): void {
  const path = cells.edit(transactionType, transaction).paths.pop() as string;
  dropOwn(cells, transaction, path);
}

/** How many nodes a transaction has accessed; none once it is over. */
export function accessedCount(cells: Cells, transaction: string): number {
  return cells.get(transactionType, transaction)?.paths.length ?? 0;
}

/** The nodes a transaction has accessed, in order of first access. */
export function accessedNodes(cells: Cells, transaction: string): AccessedNode[] {
  return must(cells, transactionType, transaction).paths.map((path) => ({
    path,
    own: mustOwn(cells, transaction, path),
  }));
}

/** Notes that a transaction has observed `bits` of a node it has accessed. */
export function noteSeen(
  cells: Cells,
  transaction: string,
  path: string,
  own: DeepReadonly<TransactionNode>,
  bits: number,
): void {
  if ((own.seen & bits) === bits) return;
  if (own.seen === 0) addObserver(cells, path, transaction);
  editOwn(cells, transaction, path).seen |= bits;
}

/** Whether any transaction has observed anything. */
export function hasObservers(cells: Cells): boolean {
  return cells.count(observersType) > 0;
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

/** A transaction no longer cares for a node. */
export function forgetSeen(cells: Cells, transaction: string, { path, own }: AccessedNode): void {
  if (own.seen === 0) return;
  editOwn(cells, transaction, path).seen = 0;
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
  permsAfter: string | null = null,
): void {
  if (!hasObservers(cells)) return;
  const observers = cells.get(observersType, path);
  if (observers === undefined) return;
  const strict = settingsOf(cells).conflicts === "strict";
  for (const transaction of [...observers.transactions]) {
    const own = mustOwn(cells, transaction, path);
    if ((own.seen & change & SEEN_SUPPORT) !== 0 && !own.hidden) supportGoes(cells, transaction, path);
    const { conn } = must(cells, transactionType, transaction);
    const accessSeen = (own.seen & SEEN_ACCESS) !== 0 && permsAfter !== null;
    const accessChanges = accessSeen && accessDiffers(cells, conn, path, permsAfter);
    if (!strict && (own.seen & change & ~SEEN_SUPPORT) === 0 && !accessChanges) continue;
    if (own.kept === null) editOwn(cells, transaction, path).kept = copyNode(cells, path);
    if (!must(cells, transactionType, transaction).conflict)
      cells.edit(transactionType, transaction).conflict = true;
  }
}

/**
 * A node at or below which the transaction wrote goes: now the write implies the
 * node, and what is above bears it. Where the transaction has set permissions
 * above, those that the node would inherit depend on which came first: then it
 * counts as a change of something observed.
 */
function supportGoes(cells: Cells, transaction: string, path: string): void {
  for (let at = path; at !== "/";) {
    at = parentOf(at);
    if ((ownNode(cells, transaction, at)?.perms ?? null) === null) continue;
    cells.edit(transactionType, transaction).conflict = true;
  }
  const own = editOwn(cells, transaction, path);
  own.ensured = true;
  own.modified = true;
  const abovePath = parentOf(path);
  if (ownNode(cells, transaction, abovePath) === undefined)
    addAccessed(cells, transaction, abovePath, false, cells.get(nodeType, abovePath));
  const above = editOwn(cells, transaction, abovePath);
  const later = above.added.findIndex(
    (name) => (ownNode(cells, transaction, childPath(abovePath, name))?.rank ?? 0) > own.rank,
  );
  above.added.splice(later < 0 ? above.added.length : later, 0, nameOf(path));
  above.modified = true;
  if (above.rank === 0 || above.rank > own.rank) above.rank = own.rank;
  noteSeen(cells, transaction, abovePath, above, SEEN_SUPPORT);
}

function accessDiffers(cells: Cells, conn: number, path: string, permsAfter: string): boolean {
  const connection = must(cells, connectionType, conn);
  const { perms } = must(cells, nodeType, path);
  return accessOf(cells, perms, connection) !== accessOf(cells, permsAfter, connection);
}
