import { transactionKey } from "../transaction-cells.ts";
// SPDX-License-Identifier: Apache-2.0
//
// Transactions as oxenstored has them (transaction.ml, process.ml
// transaction_replay). A commit succeeds where the tree is still the one the
// transaction began with; else where what it read and wrote lies below nodes that
// are still the same; else where all its requests, made again now, are answered
// as they were.

import { type Cells, cellType, must } from "../../engine/cells.ts";
import { connectionType } from "../connection.ts";
import { settingsOf } from "../quota.ts";
import { copyEntries, dropEntries, mergeEntries, takeEntries } from "./entries.ts";
import { commonPath, hierarchy } from "./path.ts";
import {
  addLayers,
  applyLayers,
  dropLayers,
  isNodeSame,
  isTreeSame,
  nodeAt,
  nodeBefore,
  type View,
} from "./tree.ts";
import { parentOf } from "../path.ts";

/** A change, for the events of the commit. */
export interface Change {
  what: "write" | "mkdir" | "rm" | "setperms";
  path: string;
}

/** A request that was made in the transaction, and its answer. */
export interface Operation {
  type: number;
  body: string;
  answer: string;
}

/** What a transaction has done; identified as the transaction is. */
interface Progress {
  changes: Change[];
  operations: Operation[];
  /** The lowest node above all it read, and above all it wrote; null for nothing. */
  readLow: string | null;
  writeLow: string | null;
  /** It has had a request too many. */
  full: boolean;
}
const progressType = cellType<Progress>("oxenstored-transaction");

/** The next transaction identifier of a connection that is free (valid_transaction_id). */
export function takeTransactionId(cells: Cells, conn: number): number {
  const connection = cells.edit(connectionType, conn);
  const clipped = (id: number): number => (id <= 0 || id >= 0x3fff_ffff ? 1 : id);
  let id = clipped(connection.nextTransaction);
  while (connection.transactions.includes(id)) id = clipped(id + 1);
  connection.nextTransaction = id + 1;
  return id;
}

/** A transaction begins with the tree as it is. */
export function addProgress(cells: Cells, transaction: string): void {
  cells.add(progressType, transaction, {
    changes: [],
    operations: [],
    readLow: null,
    writeLow: null,
    full: false,
  });
  addLayers(cells, transaction);
  copyEntries(cells, transaction);
}

/** A transaction is over, whatever becomes of it. Nothing where it is none of oxenstored's. */
export function dropProgress(cells: Cells, transaction: string): void {
  if (cells.get(progressType, transaction) === undefined) return;
  cells.drop(progressType, transaction);
  dropLayers(cells, transaction);
  dropEntries(cells, transaction);
}

/** What a request has read, if it is in a transaction. */
export function noteRead(cells: Cells, view: View, path: string): void {
  if (view === null) return;
  const progress = cells.edit(progressType, view);
  progress.readLow = progress.readLow === null ? path : commonPath(path, progress.readLow);
}

/** Below what a request has written, if it is in a transaction. */
export function noteWrite(cells: Cells, view: View, path: string): void {
  if (view === null) return;
  const progress = cells.edit(progressType, view);
  progress.writeLow = progress.writeLow === null ? path : commonPath(path, progress.writeLow);
}

/** A change that is to be told. */
export function noteChange(cells: Cells, view: View, change: Change): void {
  if (view !== null) cells.edit(progressType, view).changes.push(change);
}

/** What a transaction has changed, in order. */
export function changesOf(cells: Cells, transaction: string): readonly Change[] {
  return must(cells, progressType, transaction).changes;
}

/** Whether a transaction may not have a request more; then it may never have one again (check_quota_exn). */
export function isFull(cells: Cells, transaction: string): boolean {
  const progress = cells.get(progressType, transaction);
  const most = settingsOf(cells).limits["transaction-nodes"];
  if (progress === undefined || most === 0) return false;
  if (!progress.full && progress.operations.length < most) return false;
  if (!progress.full) cells.edit(progressType, transaction).full = true;
  return true;
}

/** Remembers a request and its answer, if the transaction is still there. */
export function noteOperation(cells: Cells, transaction: string, operation: Operation): void {
  if (cells.get(progressType, transaction) !== undefined)
    cells.edit(progressType, transaction).operations.push(operation);
}

/** The requests a transaction has made. */
export function operationsOf(cells: Cells, transaction: string): readonly Operation[] {
  return must(cells, progressType, transaction).operations;
}

/** Puts a transaction into the store, if the tree or what it used of it is as it was (commit). */
export function commitAsIs(cells: Cells, transaction: string): boolean {
  const { readLow, writeLow } = must(cells, progressType, transaction);
  if (isTreeSame(cells, transaction)) {
    applyLayers(cells, transaction, "/");
    takeEntries(cells, transaction);
    return true;
  }
  if (!canCoalesce(cells, transaction, readLow) || !canCoalesce(cells, transaction, writeLow)) return false;
  if (writeLow !== null && nodeAt(cells, transaction, writeLow) !== undefined) {
    applyLayers(cells, transaction, writeLow);
    mergeEntries(cells, transaction);
  }
  return true;
}

/** test_coalesce: is the node the same, and are the permissions of all above it? */
function canCoalesce(cells: Cells, transaction: string, path: string | null): boolean {
  if (path === null) return true;
  const before = nodeBefore(cells, transaction, path);
  const now = nodeAt(cells, null, path);
  if (before === undefined && now === undefined) {
    // A look for a node whose parent is missing, then or now, fails.
    const parent = parentOf(path);
    return nodeBefore(cells, transaction, parent) !== undefined && nodeAt(cells, null, parent) !== undefined;
  }
  if (before === undefined || now === undefined || !isNodeSame(cells, transaction, path)) return false;
  return hierarchy(path).every(
    (at) => nodeBefore(cells, transaction, at)?.perms === nodeAt(cells, null, at)?.perms,
  );
}

/** The key of a transaction that lasts only as long as a replay. */
export function replayKey(cells: Cells, conn: number): string {
  return transactionKey(conn, takeTransactionId(cells, conn));
}
