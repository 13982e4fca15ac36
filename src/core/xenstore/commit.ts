// SPDX-License-Identifier: Apache-2.0
//
// What a transaction did becomes the store's: as if all of it were done now, in
// one go. Nothing it observed has changed, so its answers stay true.

import { type Cells, type DeepReadonly, must } from "../engine/cells.ts";
import { fail, type Failure } from "../engine/errno.ts";
import type { Caller } from "./caller.ts";
import { createMissing, inheritPerms, nearestExisting } from "./create.ts";
import { listItems } from "./list.ts";
import { dropNode, nodeType, setPerms, setValue, storedSubtree } from "./node.ts";
import { forgetSeen, type TransactionNode, transactionNodeType, transactionType } from "./observation.ts";
import { childPath, parentOf } from "./path.ts";
import { ownerOf } from "./perms.ts";
import type { Store } from "./ports.ts";
import { accountOf, isFull, isUnprivilegedDomid, settingsOf } from "./quota.ts";
import { dropTransaction } from "./transaction.ts";
import { accessedList } from "./view.ts";
import { fireWatches } from "./watch.ts";

/** A node the transaction changed. */
interface Change {
  readonly path: string;
  readonly node: DeepReadonly<TransactionNode>;
}

/**
 * Commits a transaction, or refuses; it is over either way. Events come one a
 * node in order of first access (finalize_transaction in xenstored_transaction.c).
 * ENOMEM where an operation in it had failed, ENOSPC where a domain would own
 * too many nodes, EAGAIN on conflict.
 */
export function commitTransaction(store: Store, caller: Caller, transaction: string): Failure | undefined {
  const { cells } = store;
  const { failed, conflict, created } = must(cells, transactionType, transaction);
  if (failed) return refuse(cells, transaction, fail("ENOMEM"));
  const changes = changesOf(cells, transaction);
  if (created && !caller.privileged && exceedsNodes(cells, changes)) return refuse(cells, transaction, fail("ENOSPC"));
  if (conflict) return refuse(cells, transaction, fail("EAGAIN"));
  for (const path of listItems(cells, accessedList, transaction)) {
    forgetSeen(cells, transaction, path);
    cells.edit(transactionNodeType, transaction + path).seen = 0;
  }
  const perms = freshPerms(cells, caller, changes);
  const alsoGone = removeTrees(cells, changes);
  applyChanges(cells, caller, changes, perms);
  for (const { path, node } of changes) {
    if (node.event !== "none") fireWatches(store, path, node.event === "exact", node.permsBefore);
    for (const gone of alsoGone.get(path) ?? []) fireWatches(store, gone.path, true, gone.perms);
  }
  dropTransaction(cells, transaction);
  return undefined;
}

function refuse(cells: Cells, transaction: string, failure: Failure): Failure {
  dropTransaction(cells, transaction);
  return failure;
}

function changesOf(cells: Cells, transaction: string): Change[] {
  const changes: Change[] = [];
  for (const path of listItems(cells, accessedList, transaction)) {
    const node = must(cells, transactionNodeType, transaction + path);
    if (node.modified) changes.push({ path, node });
  }
  return changes;
}

/** Whether the commit would leave an unprivileged domain with as many nodes as the limit, or more. */
function exceedsNodes(cells: Cells, changes: readonly Change[]): boolean {
  const delta = new Map<number, number>();
  const add = (perms: string, amount: number): void => {
    const owner = ownerOf(perms);
    delta.set(owner, (delta.get(owner) ?? 0) + amount);
  };
  for (const { path, node } of changes) {
    const stored = cells.get(nodeType, path);
    if (node.existence === "absent" && stored !== undefined) add(stored.perms, -1);
    else if (node.existence === "fresh" && stored === undefined) add(node.perms as string, 1);
    else if (node.existence !== "absent" && node.perms !== null && stored !== undefined) {
      add(stored.perms, -1);
      add(node.perms, 1);
    }
  }
  const limit = settingsOf(cells).limits.nodes;
  for (const [owner, amount] of delta) {
    if (isUnprivilegedDomid(cells, owner) && isFull(limit, accountOf(cells, owner).nodes + amount)) return true;
  }
  return false;
}

/** Permissions of the created nodes: what they inherit, they inherit from the store as it is now. */
function freshPerms(cells: Cells, caller: Caller, changes: readonly Change[]): Map<string, string> {
  const perms = new Map<string, string>();
  for (const { path, node } of changes) {
    if (node.existence !== "fresh") continue;
    const from = node.inheritedFrom;
    perms.set(path, from === null ? (node.perms as string) : inheritPerms(cells, caller, nearestExisting(cells, from)));
  }
  return perms;
}

/** Removes the trees the transaction removed; returns what went with them that it did not know of. */
function removeTrees(cells: Cells, changes: readonly Change[]): Map<string, { path: string; perms: string }[]> {
  const known = new Set(changes.map(({ path }) => path));
  const alsoGone = new Map<string, { path: string; perms: string }[]>();
  for (const { path: above, node } of changes) {
    if (node.existence !== "base") continue;
    for (const name of node.removed) {
      const root = childPath(above, name);
      if (cells.get(nodeType, root) === undefined) continue;
      for (const path of storedSubtree(cells, root)) {
        if (!known.has(path)) {
          const gone = alsoGone.get(root) ?? [];
          gone.push({ path, perms: must(cells, nodeType, path).perms });
          alsoGone.set(root, gone);
        }
        dropNode(cells, path);
      }
    }
  }
  return alsoGone;
}

function applyChanges(
  cells: Cells,
  caller: Caller,
  changes: readonly Change[],
  perms: ReadonlyMap<string, string>,
): void {
  const fresh = new Map(changes.filter(({ node }) => node.existence === "fresh").map((c) => [c.path, c.node]));
  // Children come into being in the order in which the transaction created them.
  const create = (path: string, node: DeepReadonly<TransactionNode>): void => {
    const above = parentOf(path);
    const aboveFresh = fresh.get(above);
    if (aboveFresh !== undefined && cells.get(nodeType, above) === undefined) create(above, aboveFresh);
    createMissing(cells, caller, path, node.value as string, perms.get(path) as string);
  };
  for (const { path, node } of changes) {
    if (node.existence === "absent") continue;
    for (const name of node.added) {
      const child = fresh.get(childPath(path, name));
      if (child !== undefined && cells.get(nodeType, childPath(path, name)) === undefined) {
        create(childPath(path, name), child);
      }
    }
  }
  for (const { path, node } of changes) {
    if (node.existence === "absent") continue;
    if (node.value !== null) {
      if (cells.get(nodeType, path) === undefined) createMissing(cells, caller, path, node.value, null);
      else setValue(cells, path, node.value);
    }
    if (node.perms !== null && node.inheritedFrom === null && cells.get(nodeType, path) !== undefined) {
      setPerms(cells, path, node.perms);
    }
  }
}
