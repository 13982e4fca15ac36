// SPDX-License-Identifier: Apache-2.0
//
// Transactions: begin, end, and changes to the tree made within one. Two rules
// decide whether a commit is refused with EAGAIN:
// - `observed`: when something the transaction observed has changed: a value it
//   read, a list it got, permissions it was told, a node it found or missed.
// - `strict`, that of the C xenstored: when any node it touched in any way was
//   written by anybody, also one above or one it only wrote itself.

import { type Cells, must } from "../engine/cells.ts";
import type { Caller } from "./caller.ts";
import { connectionType } from "./connection.ts";
import { listDrop, listItems } from "./list.ts";
import { subtree } from "./node.ts";
import { forgetSeen, type TransactionNode, transactionNodeType, transactionType } from "./observation.ts";
import { nameOf, parentOf } from "./path.ts";
import { access, accessedList, childNames } from "./view.ts";

/** The key of a connection's transaction. */
export function transactionKey(conn: number, id: number): string {
  return `${conn}/${id}`;
}

/** How many transactions are open, of all connections. */
export function openTransactions(cells: Cells): number {
  return cells.count(transactionType);
}

/** Starts a transaction; returns its identifier, unused on this connection. */
export function startTransaction(cells: Cells, conn: number): number {
  const connection = cells.edit(connectionType, conn);
  let id = connection.nextTransaction;
  while (id === 0 || connection.transactions.includes(id)) id = (id + 1) >>> 0;
  connection.nextTransaction = (id + 1) >>> 0;
  connection.transactions.push(id);
  cells.add(transactionType, transactionKey(conn, id), {
    conn,
    id,
    conflict: false,
    failed: false,
    created: false,
    removals: 0,
  });
  return id;
}

/** A transaction and all it did are forgotten: aborted, or already in the store. */
export function dropTransaction(cells: Cells, transaction: string): void {
  const { conn, id } = must(cells, transactionType, transaction);
  for (const path of listItems(cells, accessedList, transaction)) {
    forgetSeen(cells, transaction, path);
    cells.drop(transactionNodeType, transaction + path);
  }
  listDrop(cells, accessedList, transaction);
  cells.drop(transactionType, transaction);
  const { transactions } = cells.edit(connectionType, conn);
  transactions.splice(transactions.indexOf(id), 1);
}

/** Drops all transactions of a connection. */
export function dropAllTransactions(cells: Cells, conn: number): void {
  const { transactions } = must(cells, connectionType, conn);
  for (const id of [...transactions]) dropTransaction(cells, transactionKey(conn, id));
}

function editOwn(cells: Cells, caller: Caller, path: string): TransactionNode {
  access(cells, caller, path);
  return cells.edit(transactionNodeType, caller.transaction + path);
}

/** An event that reaches further replaces one that does not (queue_watches in xenstored_transaction.c). */
function queueAtCommit(own: TransactionNode, event: "exact" | "subtree"): void {
  if (own.event !== "subtree") own.event = event;
}

/** Writes the value of a node that exists in the transaction. */
export function writeInTransaction(cells: Cells, caller: Caller, path: string, value: string): void {
  const own = editOwn(cells, caller, path);
  own.value = value;
  own.modified = true;
  queueAtCommit(own, "subtree");
}

/** Sets permissions of a node that exists in the transaction. */
export function setPermsInTransaction(cells: Cells, caller: Caller, path: string, perms: string): void {
  const own = editOwn(cells, caller, path);
  own.perms = perms;
  own.inheritedFrom = null;
  own.modified = true;
  queueAtCommit(own, "subtree");
}

/**
 * Creates a node that does not exist in the transaction below one that does.
 * The caller sends events for the node it was asked to create only.
 */
export function createInTransaction(
  cells: Cells,
  caller: Caller,
  path: string,
  value: string,
  perms: string,
  event: boolean,
): void {
  const abovePath = parentOf(path);
  const above = editOwn(cells, caller, abovePath);
  above.added.push(nameOf(path));
  above.modified = true;
  const own = editOwn(cells, caller, path);
  own.existence = "fresh";
  own.value = value;
  own.perms = perms;
  own.inheritedFrom = above.existence === "fresh" ? above.inheritedFrom : above.perms === null ? abovePath : null;
  own.added = [];
  own.removed = [];
  own.modified = true;
  if (event) queueAtCommit(own, "subtree");
  cells.edit(transactionType, caller.transaction as string).created = true;
}

/** Removes a tree whose root exists in the transaction; returns its paths, children first. */
export function removeInTransaction(cells: Cells, caller: Caller, path: string): string[] {
  const abovePath = parentOf(path);
  access(cells, caller, abovePath);
  const paths = accessInOrder(cells, caller, path);
  for (const at of paths) {
    const own = editOwn(cells, caller, at);
    own.existence = "absent";
    own.value = null;
    own.perms = null;
    own.inheritedFrom = null;
    own.added = [];
    own.removed = [];
    own.modified = true;
    queueAtCommit(own, at === path ? "subtree" : "exact");
  }
  const above = editOwn(cells, caller, abovePath);
  const name = nameOf(path);
  const index = above.added.indexOf(name);
  if (index >= 0) above.added.splice(index, 1);
  else above.removed.push(name);
  above.modified = true;
  cells.edit(transactionType, caller.transaction as string).removals++;
  return paths;
}

/** The tree, children first; each node is accessed on the way down, parents first. */
function accessInOrder(cells: Cells, caller: Caller, path: string): string[] {
  const down = [path];
  for (let i = 0; i < down.length; i++) {
    const at = down[i] as string;
    access(cells, caller, at);
    const below = childNames(cells, caller, at).map((name) => (at === "/" ? `/${name}` : `${at}/${name}`));
    down.splice(i + 1, 0, ...below);
  }
  return subtree(path, (at) => childNames(cells, caller, at));
}
