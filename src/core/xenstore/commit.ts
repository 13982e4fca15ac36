// SPDX-License-Identifier: Apache-2.0
//
// What a transaction did becomes the store's: as if all of it were done now, in
// one go. Nothing it observed has changed, so its answers stay true.

import { type Cells, must } from "../engine/cells.ts";
import { fail, type Failure } from "../engine/errno.ts";
import type { Caller } from "./caller.ts";
import { inheritPerms } from "./create.ts";
import { addNode, dropTree, setPerms, setValue } from "./node.ts";
import { type AccessedNode, accessedNodes, forgetSeen, transactionType } from "./observation.ts";
import { childPath, parentOf } from "./path.ts";
import { ownerOf } from "./perms.ts";
import type { Store } from "./ports.ts";
import { accountOf, isUnprivilegedDomid, limitsOf } from "./quota.ts";
import { dropTransaction } from "./transaction.ts";
import { nodeType, storedSubtree } from "./tree.ts";
import { permsIfCreated } from "./view.ts";
import { fireWatches } from "./watch.ts";
import { chargeCommit } from "./write-rate.ts";

/** A node the transaction changed. */
interface Change extends AccessedNode {
  /** The store did not have it, and this commit has brought it, with the value the transaction gave it. */
  isNew: boolean;
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
  const changes: Change[] = [];
  for (const { path, own } of accessed) if (own.modified) changes.push({ path, own, isNew: false });
  const failure = refusal(cells, caller, transaction, changes);
  if (failure !== undefined) {
    dropTransaction(cells, transaction, accessed);
    return failure;
  }
  // From here on it does not mind what changes, as it is the one who changes it.
  for (const node of accessed) forgetSeen(cells, transaction, node);
  const gone = changes.some((change) => changesTree(cells, change))
    ? changeTree(cells, caller, changes)
    : nothingGone;
  for (const { path, own, isNew } of changes) {
    if (own.value !== null && !isNew) setValue(cells, path, own.value);
    if (own.perms !== null && cells.get(nodeType, path) !== undefined) setPerms(cells, path, own.perms);
  }
  fireEvents(store, changes, gone);
  chargeCommit(store, caller);
  dropTransaction(cells, transaction, accessed);
  return undefined;
}

/** Whether nodes come or go with a change. */
function changesTree(cells: Cells, { path, own }: Change): boolean {
  if (own.removed.length > 0 || own.added.length > 0) return true;
  return own.ensured && cells.get(nodeType, path) === undefined;
}

const nothingGone: ReadonlyMap<string, readonly Gone[]> = new Map();

function changeTree(
  cells: Cells,
  caller: Caller,
  changes: readonly Change[],
): ReadonlyMap<string, readonly Gone[]> {
  const perms = creationPerms(cells, caller, changes);
  const gone = removeTrees(cells, changes);
  createNodes(cells, caller, changes, perms);
  return gone;
}

function refusal(
  cells: Cells,
  caller: Caller,
  transaction: string,
  changes: readonly Change[],
): Failure | undefined {
  const { failed, conflict, created } = must(cells, transactionType, transaction);
  if (failed) return fail("ENOMEM");
  const limited = created && !caller.privileged;
  if (limited && exceedsNodes(cells, caller, changes)) return fail("ENOSPC");
  if (!conflict) return undefined;
  return fail("EAGAIN");
}

/** Whether the commit would leave an unprivileged domain with as many nodes as the limit, or more. */
function exceedsNodes(cells: Cells, caller: Caller, changes: readonly Change[]): boolean {
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

/** What nodes are to be created with, as long as the store is what the transaction saw. */
function creationPerms(cells: Cells, caller: Caller, changes: readonly Change[]): Map<string, string> {
  const perms = new Map<string, string>();
  for (const { path, own } of changes) {
    // What the store has, and is not about to lose, stays as it is.
    if (own.ensured && (own.hidden || cells.get(nodeType, path) === undefined))
      perms.set(path, own.permsIfCreated ?? permsIfCreated(cells, caller, path));
  }
  return perms;
}

/** Removes the trees the transaction removed; returns, by root, what went with them that it did not know of. */
function removeTrees(cells: Cells, changes: readonly Change[]): ReadonlyMap<string, readonly Gone[]> {
  const roots: string[] = [];
  for (const { path: above, own } of changes) {
    if (own.hidden) continue;
    for (const name of own.removed) roots.push(childPath(above, name));
  }
  if (roots.length === 0) return nothingGone;
  const known = new Set<string>();
  for (const { path, own } of changes) if (own.event !== "none") known.add(path);
  const gone = new Map<string, Gone[]>();
  for (const root of roots) {
    if (cells.get(nodeType, root) === undefined) continue;
    const unknown: Gone[] = [];
    dropTree(cells, storedSubtree(cells, root), (path) => {
      if (!known.has(path)) unknown.push({ path, perms: must(cells, nodeType, path).perms });
    });
    if (unknown.length > 0) gone.set(root, unknown);
  }
  return gone;
}

/** Creates what the transaction ensures and the store does not have; siblings in the order of their creation in it. */
function createNodes(
  cells: Cells,
  caller: Caller,
  changes: readonly Change[],
  perms: ReadonlyMap<string, string>,
): void {
  const byPath = new Map<string, Change>();
  for (const change of changes) byPath.set(change.path, change);
  const ensure = (path: string): void => {
    if (cells.get(nodeType, path) !== undefined) return;
    const above = parentOf(path);
    ensure(above);
    const change = byPath.get(path);
    const given = perms.get(path) ?? inheritPerms(cells, caller, above);
    addNode(cells, path, change?.own.value ?? "", given);
    if (change !== undefined) change.isNew = true;
  };
  // Parents first: only a node's own list knows the order of its children.
  const parents = changes.filter(({ own }) => own.added.length > 0);
  parents.sort((a, b) => a.path.length - b.path.length);
  for (const { path, own } of parents) {
    for (const name of own.added) ensure(childPath(path, name));
  }
  for (const { path, own } of changes) if (own.ensured) ensure(path);
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
