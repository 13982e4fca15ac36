// SPDX-License-Identifier: Apache-2.0
//
// What a transaction did becomes the store's: as if all of it were done now, in
// one go. Nothing it observed has changed, so its answers stay true.

import { type Cells, must } from "../engine/cells.ts";
import { fail, type Failure } from "../engine/errno.ts";
import type { Caller } from "./caller.ts";
import { addNode, dropTree, setPerms, setValue } from "./node.ts";
import { type AccessedNode, accessedNodes, forgetSeen } from "./observation.ts";
import { ownNode } from "./own-node.ts";
import { transactionType } from "./transaction-cells.ts";
import { childPath, parentOf } from "./path.ts";
import { ownerOf } from "./perms.ts";
import type { Store } from "./ports.ts";
import { accountOf, isUnprivilegedDomid, limitsOf } from "./quota.ts";
import { dropTransaction } from "./transaction.ts";
import { nodeType } from "./tree.ts";
import { inherited, permsIfCreated } from "./view.ts";
import { fireWatches } from "./watch.ts";
import { chargeCommit } from "./write-rate.ts";

/** A node the transaction changed. */
interface Change extends AccessedNode {
  /** What the store does not have, or is about to lose, is created with these permissions; null for others. */
  readonly created: string | null;
}

/** A node that went with a tree and that the transaction did not know of. */
interface Gone {
  readonly path: string;
  readonly perms: string;
}

/**
 * Commits a transaction, or refuses; it is over either way. Events come one a
 * node in order of first access (finalize_transaction in xenstored_transaction.c).
 * ENOMEM where an operation in it had failed, ENOSPC where a domain would own
 * too many nodes, EAGAIN on conflict.
 */
export function commitTransaction(store: Store, caller: Caller, transaction: string): Failure | undefined {
  const { cells } = store;
  const accessed = accessedNodes(cells, transaction);
  const modified = accessed.filter(({ own }) => own.modified);
  const failure = refusal(cells, caller, transaction, modified);
  if (failure !== undefined) {
    dropTransaction(cells, transaction, accessed);
    return failure;
  }
  // From here on it does not mind what changes, as it is the one who changes it.
  for (const node of accessed) forgetSeen(cells, transaction, node);
  // As long as the store is what the transaction saw.
  const changes = modified.map(({ path, own }): Change => {
    return { path, own, created: creationPerms(cells, caller, path, own) };
  });
  const gone = removeTrees(cells, transaction, changes);
  createNodes(cells, caller, changes);
  for (const { path, own, created } of changes) {
    if (own.value !== null && created === null) setValue(cells, path, own.value);
    if (own.perms !== null && cells.get(nodeType, path) !== undefined) setPerms(cells, path, own.perms);
  }
  fireEvents(store, changes, gone);
  chargeCommit(store, caller);
  dropTransaction(cells, transaction, accessed);
  return undefined;
}

function refusal(
  cells: Cells,
  caller: Caller,
  transaction: string,
  changes: readonly AccessedNode[],
): Failure | undefined {
  const { failed, conflict, created } = must(cells, transactionType, transaction);
  if (failed) return fail("ENOMEM");
  const limited = created && !caller.privileged;
  if (limited && exceedsNodes(cells, caller, changes)) return fail("ENOSPC");
  if (!conflict) return undefined;
  return fail("EAGAIN");
}

/** Whether the commit would leave an unprivileged domain with as many nodes as the limit, or more. */
function exceedsNodes(cells: Cells, caller: Caller, changes: readonly AccessedNode[]): boolean {
  const delta = new Map<number, number>();
  const add = (perms: string | undefined, amount: number): void => {
    if (perms === undefined) return;
    const owner = ownerOf(perms);
    delta.set(owner, (delta.get(owner) ?? 0) + amount);
  };
  for (const { path, own } of changes) {
    const before = cells.get(nodeType, path)?.perms;
    const stays = own.hidden ? undefined : before;
    if (stays !== undefined && (own.perms === null || ownerOf(own.perms) === ownerOf(stays))) continue;
    add(before, -1);
    add(
      own.ensured
        ? (own.perms ?? stays ?? permsIfCreated(cells, caller, path))
        : (stays && own.perms) || stays,
      1,
    );
  }
  for (const [owner, amount] of delta) {
    const limit = limitsOf(cells, owner).nodes;
    // Here the check was `>=` in every version (transaction_fix_domains).
    const full = limit !== 0 && accountOf(cells, owner).nodes + amount >= limit;
    if (full && isUnprivilegedDomid(cells, owner)) return true;
  }
  return false;
}

function creationPerms(
  cells: Cells,
  caller: Caller,
  path: string,
  { ensured, hidden, permsIfCreated: known }: AccessedNode["own"],
): string | null {
  if (!ensured || (!hidden && cells.get(nodeType, path) !== undefined)) return null;
  return known ?? permsIfCreated(cells, caller, path);
}

const nothingGone: ReadonlyMap<string, readonly Gone[]> = new Map();

/** Removes the trees the transaction removed; returns, by root, what went with them that it did not know of. */
function removeTrees(
  cells: Cells,
  transaction: string,
  changes: readonly Change[],
): ReadonlyMap<string, readonly Gone[]> {
  let gone: Map<string, Gone[]> | undefined;
  for (const { path: above, own } of changes) {
    if (own.hidden) continue;
    for (const name of own.removed) {
      const root = childPath(above, name);
      if (cells.get(nodeType, root) === undefined) continue;
      const unknown: Gone[] = [];
      dropTree(cells, root, (path) => {
        const own = ownNode(cells, transaction, path);
        if (own === undefined || own.event === "none")
          unknown.push({ path, perms: must(cells, nodeType, path).perms });
      });
      if (unknown.length > 0) (gone ??= new Map()).set(root, unknown);
    }
  }
  return gone ?? nothingGone;
}

/** Creates what the transaction ensures and the store does not have, in the order in which it made sure of it. */
function createNodes(cells: Cells, caller: Caller, changes: readonly Change[]): void {
  const missing = changes.filter(({ created }) => created !== null);
  // Nearly always they are in that order already, and sorting takes longer than to see it.
  if (missing.some(({ own }, at) => at > 0 && own.rank < (missing[at - 1] as Change).own.rank))
    missing.sort((a, b) => a.own.rank - b.own.rank);
  const ensure = (path: string, change: Change | undefined): void => {
    if (cells.get(nodeType, path) !== undefined) return;
    const above = parentOf(path);
    if (cells.get(nodeType, above) === undefined)
      ensure(
        above,
        missing.find((other) => other.path === above),
      );
    const perms = change?.created ?? inherited(caller, must(cells, nodeType, above).perms);
    addNode(cells, path, change?.own.value ?? "", perms);
  };
  for (const change of missing) ensure(change.path, change);
}

function fireEvents(
  store: Store,
  changes: readonly Change[],
  gone: ReadonlyMap<string, readonly Gone[]>,
): void {
  for (const { path, own } of changes) {
    if (own.event !== "none") fireWatches(store, path, own.event === "exact", own.permsBefore);
    for (const { path: at, perms } of gone.get(path) ?? []) fireWatches(store, at, at !== path, perms);
  }
}
