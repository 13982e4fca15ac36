// SPDX-License-Identifier: Apache-2.0
//
// Transactions: begin, end, and changes to the tree made within one. Two rules
// decide whether a commit is refused with EAGAIN:
// - `observed`: when something the transaction observed has changed: a value it
//   read, a list it got, permissions it was told, a node it found or missed.
//   What it only wrote, it did not observe; two that write the same do not mind
//   each other, nor do two that create children of one node. Four times it is
//   more careful than it would have to be: permissions it was told and that are
//   inherited count as changed when another node they could be inherited from
//   comes, a list when a child comes that it will remove, the parent of what it
//   removed when that goes, though it wrote elsewhere below it, and a node that it
//   wrote when that goes, though it has set permissions above.
// - `strict`, that of the C xenstored: when any node it touched in any way was
//   written by anybody, also one above or one it only wrote itself.
// Either way a commit has the effect of doing all of the transaction's requests
// at that moment, and they would be answered as they were.

import { type Cells, must } from "../engine/cells.ts";
import type { Caller } from "./caller.ts";
import { connectionType } from "./connection.ts";
import {
  accessedCount,
  type AccessedNode,
  accessedNodes,
  dropLastAccessed,
  forgetSeen,
  noteSeen,
  SEEN_SUPPORT,
} from "./observation.ts";
import { dropOwn, editOwn, mustOwn, ownNode } from "./own-node.ts";
import { type TransactionNode, transactionKey, transactionType } from "./transaction-cells.ts";
import { dropProgress } from "./oxenstored/transaction.ts";
import { childPath, nameOf, parentOf } from "./path.ts";
import { settingsOf } from "./quota.ts";
import { nodeType } from "./tree.ts";
import { access, childNames, inherited, type Own, type Place } from "./view.ts";

/** Starts a transaction; returns its identifier, unused on this connection. */
export function startTransaction(cells: Cells, conn: number): number {
  const connection = cells.edit(connectionType, conn);
  let id = connection.nextTransaction;
  while (id === 0 || connection.transactions.includes(id)) id = (id + 1) >>> 0;
  connection.nextTransaction = (id + 1) >>> 0;
  openTransaction(cells, conn, id);
  return id;
}

/** A transaction of that identifier begins. */
export function openTransaction(cells: Cells, conn: number, id: number): void {
  cells.edit(connectionType, conn).transactions.push(id);
  cells.add(transactionType, transactionKey(conn, id), {
    conn,
    id,
    conflict: false,
    failed: false,
    created: false,
    removals: 0,
    rank: 0,
    paths: [],
  });
}

/**
 * A transaction and all it did are forgotten: aborted, or already in the store.
 *
 * @param accessed what it has accessed, where that is known already
 */
export function dropTransaction(
  cells: Cells,
  transaction: string,
  accessed: readonly AccessedNode[] = accessedNodes(cells, transaction),
): void {
  const { conn, id } = must(cells, transactionType, transaction);
  for (const node of accessed) {
    forgetSeen(cells, transaction, node);
    dropOwn(cells, transaction, node.path);
  }
  dropProgress(cells, transaction);
  cells.drop(transactionType, transaction);
  const { transactions } = cells.edit(connectionType, conn);
  transactions.splice(transactions.indexOf(id), 1);
}

/** The node accessed last was one too many: it is no part of the transaction. */
export function forgetLastAccess(cells: Cells, transaction: string): void {
  const path = must(cells, transactionType, transaction).paths.at(-1) as string;
  const own = mustOwn(cells, transaction, path);
  forgetSeen(cells, transaction, { path, own });
  dropLastAccessed(cells, transaction);
}

/** Drops all transactions of a connection. */
export function dropAllTransactions(cells: Cells, conn: number): void {
  const { transactions } = must(cells, connectionType, conn);
  for (const id of [...transactions]) dropTransaction(cells, transactionKey(conn, id));
}

/** The own cell of the caller's transaction for a node that it has accessed. */
function editIn(cells: Cells, caller: Caller, path: string): TransactionNode {
  return editOwn(cells, caller.transaction as string, path);
}

/** An event that reaches further replaces one that does not (queue_watches in xenstored_transaction.c). */
function queueAtCommit(own: TransactionNode, event: "exact" | "subtree"): void {
  if (own.event !== "subtree") own.event = event;
}

/**
 * What a request made sure of rests on the nearest node the store has there or
 * above; see SEEN_SUPPORT. Under the strict rule no transaction outlives its going.
 */
export function leanOn(cells: Cells, caller: Caller, place: Place): void {
  if (settingsOf(cells).conflicts === "strict") return;
  const transaction = caller.transaction as string;
  let { path } = place;
  let own = place.own ?? undefined;
  let isStored = place.stored !== undefined;
  while (own?.hidden !== true) {
    if (isStored) {
      if (path !== "/") leanOnStored(cells, transaction, path, own ?? access(cells, caller, path).own);
      return;
    }
    path = parentOf(path);
    own = ownNode(cells, transaction, path);
    isStored = cells.get(nodeType, path) !== undefined;
  }
}

function leanOnStored(cells: Cells, transaction: string, path: string, own: Own): void {
  noteSeen(cells, transaction, path, own, SEEN_SUPPORT);
  takeRank(cells, transaction, path, own);
}

function takeRank(cells: Cells, transaction: string, path: string, own: Own): void {
  if (own.rank !== 0) return;
  const rank = ++cells.edit(transactionType, transaction).rank;
  editOwn(cells, transaction, path).rank = rank;
}

/** Writes the value of a node that exists in the transaction. */
export function writeInTransaction(cells: Cells, caller: Caller, place: Place, value: string): void {
  const own = editIn(cells, caller, place.path);
  own.value = value;
  own.ensured = true;
  own.modified = true;
  queueAtCommit(own, "subtree");
  leanOn(cells, caller, place);
}

/** Sets permissions of a node that exists in the transaction. */
export function setPermsInTransaction(cells: Cells, caller: Caller, path: string, perms: string): void {
  const own = editIn(cells, caller, path);
  own.perms = perms;
  own.modified = true;
  queueAtCommit(own, "subtree");
}

/**
 * Creates a node that does not exist in the transaction below one that does.
 *
 * @param above where that one is
 * @param value null for a node that comes into being because one below it does
 * @param event whether somebody asked for this very node
 */
export function createInTransaction(
  cells: Cells,
  caller: Caller,
  above: Place,
  path: string,
  value: string | null,
  event: boolean,
): void {
  const parent = editIn(cells, caller, above.path);
  const name = nameOf(path);
  if (!parent.added.includes(name)) parent.added.push(name);
  parent.modified = true;
  const own = editIn(cells, caller, path);
  own.ensured = true;
  own.value = value;
  own.permsIfCreated = parent.perms === null ? null : inherited(caller, parent.perms);
  own.modified = true;
  if (event) queueAtCommit(own, "subtree");
  takeRank(cells, caller.transaction as string, path, own);
  cells.edit(transactionType, caller.transaction as string).created = true;
  leanOn(cells, caller, above);
}

/**
 * Removes a tree: what the transaction sees of it, and what the store may have of it
 * at the commit. Returns the place above.
 */
export function removeInTransaction(cells: Cells, caller: Caller, path: string): Place {
  const above = access(cells, caller, parentOf(path));
  let madeSure = false;
  const found: string[] = [];
  accessInOrder(cells, caller, path, found);
  for (const at of found) {
    const own = editIn(cells, caller, at);
    madeSure ||= own.rank !== 0;
    hide(own);
    queueAtCommit(own, at === path ? "subtree" : "exact");
  }
  hideMissingBelow(cells, caller, path, found.length);
  removeFromParent(cells, caller, path);
  if (madeSure) leanOn(cells, caller, above);
  return above;
}

/**
 * A removal of what is not there: it becomes one if the store has it at the
 * commit. So nothing below is there from now on, also where the transaction has
 * looked for it already.
 */
export function removeMissingInTransaction(cells: Cells, caller: Caller, path: string): void {
  // Under the strict rule it will not: C goes on looking at what the store has there.
  if (settingsOf(cells).conflicts === "strict") return;
  hide(editIn(cells, caller, path));
  for (const at of accessedBelow(cells, caller, path)) hide(editIn(cells, caller, at));
  removeFromParent(cells, caller, path);
}

/**
 * What a tree did not have when it was removed, though the transaction has looked for
 * it, is not there either if somebody makes it before the commit. Under the strict
 * rule there is no commit then.
 */
function hideMissingBelow(cells: Cells, caller: Caller, path: string, found: number): void {
  const transaction = caller.transaction as string;
  if (settingsOf(cells).conflicts === "strict") return;
  // The parent of the tree, and all of the tree that is there, have been accessed by now.
  if (accessedCount(cells, transaction) <= found + 1) return;
  for (const at of accessedBelow(cells, caller, path)) {
    if (!mustOwn(cells, transaction, at).hidden) hide(editIn(cells, caller, at));
  }
}

/** Those of the nodes that the transaction has accessed that are below a path. */
function accessedBelow(cells: Cells, caller: Caller, path: string): string[] {
  const below = `${path}/`;
  const { paths } = must(cells, transactionType, caller.transaction as string);
  return paths.filter((at) => at.length > below.length && at.startsWith(below));
}

function hide(own: TransactionNode): void {
  own.hidden = true;
  own.ensured = false;
  own.value = null;
  own.perms = null;
  own.permsIfCreated = null;
  own.rank = 0;
  own.added = [];
  own.removed = [];
  own.modified = true;
}

function removeFromParent(cells: Cells, caller: Caller, path: string): void {
  const above = editIn(cells, caller, parentOf(path));
  const name = nameOf(path);
  const index = above.added.indexOf(name);
  if (index >= 0) above.added.splice(index, 1);
  if (!above.removed.includes(name)) above.removed.push(name);
  above.modified = true;
  cells.edit(transactionType, caller.transaction as string).removals++;
}

/** Finds a tree that the transaction sees, children first; each node is accessed on the way down, parents first. */
function accessInOrder(
  cells: Cells,
  caller: Caller,
  path: string,
  found: string[],
  hiddenAbove?: boolean,
): void {
  const place = access(cells, caller, path, hiddenAbove);
  for (const name of childNames(cells, place))
    accessInOrder(cells, caller, childPath(path, name), found, place.own.hidden);
  found.push(path);
}
