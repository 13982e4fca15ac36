// SPDX-License-Identifier: Apache-2.0
//
// A transaction's own cell for a node. Where the store is by itself it is found by
// transaction and path as they are: putting an identifier together, and taking it
// apart again, takes as long as finding the cell.

import type { Cells, DeepReadonly } from "../engine/cells.ts";
import { StoreCells } from "./store-cells.ts";
import { type TransactionNode, transactionNodeType } from "./transaction-cells.ts";

/** The cell, or undefined where the transaction has not accessed the node. */
export function ownNode(
  cells: Cells,
  transaction: string,
  path: string,
): DeepReadonly<TransactionNode> | undefined {
  return cells instanceof StoreCells
    ? cells.ownNodes.at(transaction, path)
    : cells.get(transactionNodeType, transaction + path);
}

/** The cell of a node that the transaction has accessed. */
export function mustOwn(cells: Cells, transaction: string, path: string): DeepReadonly<TransactionNode> {
  const own = ownNode(cells, transaction, path);
  if (own === undefined) throw new Error(`transaction ${transaction} has not accessed ${path}`);
  return own;
}

/** The same for writing. */
export function editOwn(cells: Cells, transaction: string, path: string): TransactionNode {
  if (!(cells instanceof StoreCells)) return cells.edit(transactionNodeType, transaction + path);
  return mustOwn(cells, transaction, path) as TransactionNode;
}

/** Adds the cell of a node that the transaction accesses for the first time. */
export function addOwn(
  cells: Cells,
  transaction: string,
  path: string,
  own: TransactionNode,
): TransactionNode {
  if (!(cells instanceof StoreCells)) return cells.add(transactionNodeType, transaction + path, own);
  if (!cells.ownNodes.put(transaction, path, own))
    throw new Error(`transaction ${transaction} accesses ${path} for the first time twice`);
  return own;
}

/** Drops the cell of a node that the transaction has accessed. */
export function dropOwn(cells: Cells, transaction: string, path: string): void {
  if (!(cells instanceof StoreCells)) return cells.drop(transactionNodeType, transaction + path);
  if (!cells.ownNodes.take(transaction, path))
    throw new Error(`transaction ${transaction} has not accessed ${path}`);
}
