// SPDX-License-Identifier: Apache-2.0
//
// The cells that open transactions consist of.

import { cellType } from "../engine/cells.ts";
import type { NodeCopy } from "./tree.ts";

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
  /** The last rank given; see TransactionNode. */
  rank: number;
  /** Paths of the nodes it has accessed, in order of first access. */
  paths: string[];
}
export const transactionType = cellType<Transaction>("transaction");

/** A power of two. */
const KEYS = 64;
const keys: readonly { conn: number; id: number; key: string }[] = Array.from({ length: KEYS }, () => ({
  conn: -1,
  id: -1,
  key: "",
}));

/** The key of a connection's transaction; those asked for lately are kept, as each request in it asks. */
export function transactionKey(conn: number, id: number): string {
  const kept = keys[(conn + 7 * id) & (KEYS - 1)] as (typeof keys)[number];
  if (kept.conn !== conn || kept.id !== id) {
    kept.conn = conn;
    kept.id = id;
    kept.key = `${conn}/${id}`;
  }
  return kept.key;
}

/**
 * A node a transaction has accessed; its identifier is the transaction's
 * followed by the path. What it did to the node lies over what is in the store.
 */
export interface TransactionNode {
  /** What it observed of the node in the store. */
  seen: number;
  /** What the store has there is removed, with all below. */
  hidden: boolean;
  /** The node exists, whether the store has it or not: written or created here. */
  ensured: boolean;
  /** New value, or null. */
  value: string | null;
  /** New permissions, or null. */
  perms: string | null;
  /** Permissions if it has to be created; null to inherit those its parent has in the store. */
  permsIfCreated: string | null;
  /** When the transaction first made sure of the node, among all it made sure of; 0 for never. */
  rank: number;
  /** Children created here, in order, and children of the store removed here. */
  added: string[];
  removed: string[];
  /** The node as the transaction has observed it, once somebody else has changed it. */
  kept: NodeCopy | null;
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
export const observersType = cellType<Observers>("transaction-observers");
