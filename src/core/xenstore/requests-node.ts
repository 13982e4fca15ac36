// SPDX-License-Identifier: Apache-2.0
//
// Requests about nodes: DIRECTORY, DIRECTORY_PART, READ, WRITE, MKDIR, RM (xenstored_core.c).

import type { Cells } from "../engine/cells.ts";
import { type Errno, fail, type Failure, isFailure } from "../engine/errno.ts";
import { canonical, isMissing, type Missing, nodeFor } from "./access.ts";
import type { Caller } from "./caller.ts";
import { addNode, dropTree, recordSize, setValue } from "./node.ts";
import { SEEN_CHILDREN, SEEN_EXISTENCE, SEEN_VALUE } from "./observation.ts";
import { transactionType } from "./transaction-cells.ts";
import { domainPath, nameOf, parentOf } from "./path.ts";
import { PERM_READ, PERM_WRITE } from "./perms.ts";
import type { Store } from "./ports.ts";
import { accountOf, exceeds, exceedsMemory, noteMaximum, traitsOf } from "./quota.ts";
import { atoi, nulCount, nulFrom, OK, oneArg, type Request, strings } from "./request.ts";
import {
  createInTransaction,
  leanOn,
  removeInTransaction,
  removeMissingInTransaction,
  writeInTransaction,
} from "./transaction.ts";
import {
  childBytes,
  childGeneration,
  childText,
  childTextFrom,
  type Found,
  inherited,
  isThere,
  lookup,
  type Place,
  seen,
} from "./view.ts";
import { PAYLOAD_MAX, readLatin1 } from "./wire.ts";
import { fireWatches, hasWatches } from "./watch.ts";
import { chargeWrites } from "./write-rate.ts";

/** The path a caller means: its own are relative to its domain's directory. */
export function absolute(caller: Caller, path: string): string {
  return canonical(path, domainPath(caller.domid));
}

/** The node a request with a single path names. */
export function named(store: Store, request: Request, want: number): Found | Failure {
  const arg = oneArg(request);
  if (arg === undefined) return fail("EINVAL");
  const path = absolute(request.caller, arg);
  const found = nodeFor(store.cells, request.caller, path, want);
  if (isFailure(found) && isMissing(found)) seen(store.cells, request.caller, found, SEEN_EXISTENCE);
  return found;
}

/** DIRECTORY: names of the children, in order of creation. E2BIG where they do not fit into a reply. */
export function directory(store: Store, request: Request): string | Failure {
  const found = named(store, request, PERM_READ);
  if (isFailure(found)) return found;
  seen(store.cells, request.caller, found, SEEN_EXISTENCE | SEEN_CHILDREN);
  if (childBytes(store.cells, found) > PAYLOAD_MAX) return fail("E2BIG");
  return childText(store.cells, found);
}

/**
 * Names from a byte offset on, behind a number that differs where the list
 * differs. Real xenstored uses the node's generation there, which a new value
 * changes, too; clients only compare it between the parts of one listing.
 */
export function directoryPart(store: Store, request: Request): string | Failure {
  const { cells } = store;
  const { caller } = request;
  const [name, offset] = strings(request, 2);
  if (nulCount(request) !== 2 || name === undefined || offset === undefined) return fail("EINVAL");
  const path = absolute(caller, name);
  const found = nodeFor(cells, caller, path, PERM_READ);
  if (isFailure(found)) {
    if (isMissing(found)) seen(cells, caller, found, SEEN_EXISTENCE);
    return found;
  }
  seen(cells, caller, found, SEEN_EXISTENCE | SEEN_CHILDREN);
  const generation = `${childGeneration(cells, found)}\0`;
  const at = atoi(offset) >>> 0;
  const bytes = childBytes(cells, found);
  if (at >= bytes) return `${generation}\0`;
  const part = childTextFrom(cells, found, at, PAYLOAD_MAX - generation.length - 1);
  return at + part.length === bytes ? `${generation}${part}\0` : generation + part;
}

/** READ: the value. */
export function read(store: Store, request: Request): string | Failure {
  const found = named(store, request, PERM_READ);
  if (isFailure(found)) return found;
  seen(store.cells, request.caller, found, SEEN_EXISTENCE | SEEN_VALUE);
  const { value } = found.node;
  return value.length > PAYLOAD_MAX ? fail("E2BIG") : value;
}

/** WRITE: sets the value; creates the node, and what is missing above it. */
export function write(store: Store, request: Request): string | Failure {
  const { cells } = store;
  const { caller, bytes, start, end } = request;
  const nul = nulFrom(bytes, start, end);
  if (nul === end) return fail("EINVAL");
  const path = absolute(caller, readLatin1(bytes, start, nul));
  const value = readLatin1(bytes, nul + 1, end);
  const found = nodeFor(cells, caller, path, PERM_WRITE);
  if (isFailure(found)) return isMissing(found) ? (create(store, caller, found, value) ?? OK) : found;
  const { node } = found;
  noteForUnprivileged(cells, caller, found);
  if (!caller.privileged) {
    if (tooLarge(cells, caller, node.perms, value.length, childBytes(cells, found)))
      return poisoned(cells, caller, "ENOSPC");
    if (exceedsMemory(cells, caller.domid, value.length - node.value.length))
      return poisoned(cells, caller, "ENOMEM");
  }
  if (caller.transaction !== null) writeInTransaction(cells, caller, found, value);
  else {
    setValue(cells, path, value);
    chargeWrites(store, caller, 1);
    fireWatches(store, path, false, null);
  }
  return OK;
}

/** MKDIR: creates a node without a value, unless it exists. */
export function mkdir(store: Store, request: Request): string | Failure {
  const arg = oneArg(request);
  if (arg === undefined) return fail("EINVAL");
  const path = absolute(request.caller, arg);
  const found = nodeFor(store.cells, request.caller, path, PERM_WRITE);
  if (isFailure(found)) return isMissing(found) ? (create(store, request.caller, found, null) ?? OK) : found;
  noteForUnprivileged(store.cells, request.caller, found);
  if (request.caller.transaction !== null) leanOn(store.cells, request.caller, found);
  return OK;
}

/** What an unprivileged connection may do depends on permissions; a privileged write depends on nothing. */
function noteForUnprivileged(cells: Cells, caller: Caller, place: Place): void {
  if (!caller.privileged) seen(cells, caller, place, SEEN_EXISTENCE);
}

/** An operation failed half-way in real xenstored's eyes: the transaction cannot be committed (fail_transaction). */
export function poisoned(cells: Cells, caller: Caller, errno: Errno): Failure {
  if (caller.transaction !== null) cells.edit(transactionType, caller.transaction).failed = true;
  return fail(errno);
}

/** Whether a node would be larger than an unprivileged caller may make it. */
export function tooLarge(
  cells: Cells,
  caller: Caller,
  perms: string,
  valueBytes: number,
  childrenBytes: number,
): boolean {
  if (caller.privileged) return false;
  const size = recordSize(cells, perms, valueBytes, childrenBytes);
  if (exceeds(cells, caller.domid, "node-size", size)) return true;
  noteMaximum(cells, caller.domid, "node-size", size);
  return false;
}

/**
 * Creates a node and what is missing above it (create_node in xenstored_core.c).
 * Without a value it is empty, and in a transaction keeps the one it may have got
 * by the commit.
 */
function create(store: Store, caller: Caller, wanted: Missing, value: string | null): Failure | undefined {
  const { cells } = store;
  noteForUnprivileged(cells, caller, wanted);
  const missing: Place[] = [wanted];
  let above = wanted.above ?? lookup(cells, caller, parentOf(wanted.path));
  while (!isThere(above)) {
    missing.push(above);
    above = lookup(cells, caller, parentOf(above.path));
  }
  if (!caller.privileged) {
    // A creation that is refused makes its commit look at the number of nodes, too (ta_node_created).
    if (caller.transaction !== null) cells.edit(transactionType, caller.transaction).created = true;
    const paths = missing.map(({ path }) => path);
    const failure = checkCreation(cells, caller, paths, above, value ?? "");
    if (failure !== undefined) return failure;
  }
  if (caller.transaction === null) {
    const perms = inherited(caller, above.node.perms);
    for (let at = missing.length - 1; at > 0; at--) addNode(cells, (missing[at] as Place).path, "", perms);
    addNode(cells, wanted.path, value ?? "", perms);
    chargeWrites(store, caller, missing.length + 1);
    fireWatches(store, wanted.path, false, null);
    return undefined;
  }
  let parent: Place = above;
  for (let at = missing.length - 1; at >= 0; at--) {
    const place = missing[at] as Place;
    createInTransaction(cells, caller, parent, place.path, at === 0 ? value : null, at === 0);
    parent = place;
  }
  return undefined;
}

/** The limits on a creation by an unprivileged domain: number of nodes, size of each, size of the parent. */
function checkCreation(
  cells: Cells,
  caller: Caller,
  missing: readonly string[],
  above: Found,
  value: string,
): Failure | undefined {
  const { perms: parentPerms, value: parentValue } = above.node;
  const counts = caller.transaction === null && traitsOf(cells).countsEachCreation;
  const nodes = accountOf(cells, caller.domid).nodes + (counts ? missing.length : 1);
  // Nothing has been begun yet: the transaction can go on (create_node).
  if (exceeds(cells, caller.domid, "nodes", nodes)) return fail("ENOSPC");
  for (const [index, path] of missing.entries()) {
    const childrenBytes = index === 0 ? 0 : nameOf(missing[index - 1] as string).length + 1;
    if (tooLarge(cells, caller, parentPerms, index === 0 ? value.length : 0, childrenBytes)) {
      return poisoned(cells, caller, "ENOSPC");
    }
    if (index < missing.length - 1) continue;
    const bytes = childBytes(cells, above) + nameOf(path).length + 1;
    if (tooLarge(cells, caller, parentPerms, parentValue.length, bytes))
      return poisoned(cells, caller, "ENOSPC");
  }
  const bytes = missing.reduce(
    (sum, path) => sum + path.length + recordSize(cells, parentPerms, 0, 0),
    value.length,
  );
  return exceedsMemory(cells, caller.domid, bytes) ? poisoned(cells, caller, "ENOMEM") : undefined;
}

/** RM: removes a node and all below it. One that is missing is fine where its parent exists. */
export function rm(store: Store, request: Request): string | Failure {
  const { cells } = store;
  const { caller } = request;
  const arg = oneArg(request);
  if (arg === undefined) return fail("EINVAL");
  const path = absolute(caller, arg);
  const found = nodeFor(cells, caller, path, PERM_WRITE);
  if (isFailure(found)) {
    if (!isMissing(found)) return found;
    // Nothing to remove is fine where there is a place it could have been.
    const above = found.above ?? lookup(cells, caller, parentOf(path));
    noteForUnprivileged(cells, caller, found);
    seen(cells, caller, above, SEEN_EXISTENCE);
    if (!isThere(above)) return fail("ENOENT");
    if (caller.transaction !== null) removeMissingInTransaction(cells, caller, path);
    return OK;
  }
  if (path === "/") return fail("EINVAL");
  noteForUnprivileged(cells, caller, found);
  if (caller.transaction !== null) {
    const above = removeInTransaction(cells, caller, path);
    seen(cells, caller, above, SEEN_EXISTENCE);
  } else chargeWrites(store, caller, removeTree(store, path) + 1);
  return OK;
}

/**
 * Removes a tree from the store, with an event for each node, children first
 * (rm_node in xenstored_core.c). Returns how many nodes there were.
 */
export function removeTree(store: Store, root: string): number {
  const { cells } = store;
  const tell = (path: string): void => fireWatches(store, path, path !== root, null);
  return dropTree(cells, root, hasWatches(cells) ? tell : undefined);
}
