// SPDX-License-Identifier: Apache-2.0
//
// May this caller have this node? Where not, the answer must not tell more than
// the caller may know.

import type { Cells } from "../engine/cells.ts";
import { fail, type Failure } from "../engine/errno.ts";
import type { Caller } from "./caller.ts";
import { SEEN_EXISTENCE } from "./observation.ts";
import { FIRST_SOCKET } from "./output.ts";
import { isSpecial, limitedLength, parentOf } from "./path.ts";
import { accessOf } from "./perms.ts";
import { limitsOf, noteMaximum, traitsOf } from "./quota.ts";
import { nodeType } from "./tree.ts";
import { type Found, isThere, lookup, type NodeView, seen } from "./view.ts";

/** An absolute path; `path` itself where it is one or names a special watch (canonicalize in xenstored_core.c). */
export function canonical(path: string, implicit: string): string {
  return path.startsWith("/") || isSpecial(path) ? path : `${implicit}/${path}`;
}

/** Whether an absolute path may name a node for this caller: its form, and its length. */
export function hasValidPath(cells: Cells, caller: Caller, path: string): boolean {
  const length = limitedLength(path);
  return length >= 0 && !isTooLong(cells, caller, length);
}

function isTooLong(cells: Cells, caller: Caller, length: number): boolean {
  const { pathLimitExemptsPrivileged, slack } = traitsOf(cells);
  if (caller.privileged && pathLimitExemptsPrivileged) return false;
  const limit = limitsOf(cells, caller.domid)["path-max"];
  if (limit !== 0 && length >= limit + (slack["path-max"] ?? 0)) return true;
  if (caller.conn < FIRST_SOCKET) noteMaximum(cells, caller.domid, "path-max", length);
  return false;
}

/** Longest name of a special watch before 4.22 (XENSTORE_REL_PATH_MAX). */
const SPECIAL_PATH_MAX = 2048;

/**
 * Whether a path that begins with `@` may be watched; there need not be such a
 * special watch. Before 4.22 only its length mattered (check_watch_path).
 */
export function isValidSpecial(cells: Cells, caller: Caller, path: string): boolean {
  if (!traitsOf(cells).specialsAreNodes) return path.length <= SPECIAL_PATH_MAX;
  return limitedLength(`/${path}`) >= 0 && !isTooLong(cells, caller, path.length);
}

/** There is no node, and the caller may know it. */
export interface Missing extends Found<undefined>, Failure {
  /** What there is at the path above; undefined where nobody has looked. */
  readonly above: Found<NodeView | undefined> | undefined;
}

/** Whether a node that was asked for is not there, and not only out of reach. */
export function isMissing(failure: Failure): failure is Missing {
  return failure.errno === "ENOENT";
}

/** The node where asking for it leaves no trace: then its path is valid, and only too long at most. */
function knownNode(cells: Cells, caller: Caller, path: string): Found | undefined {
  if (caller.transaction !== null || caller.conn < FIRST_SOCKET) return undefined;
  if (isTooLong(cells, caller, path.length)) return undefined;
  const node = cells.get(nodeType, path);
  return node === undefined ? undefined : { path, stored: node, own: null, node };
}

/**
 * The node at an absolute path, for a caller who wants all of `want` (bits of
 * perms.ts). EINVAL for an invalid path; EACCES; ENOENT only where the nearest
 * node above would let the caller do what it wants (get_node in xenstored_core.c).
 */
export function nodeFor(cells: Cells, caller: Caller, path: string, want: number): Found | Missing | Failure {
  const known = knownNode(cells, caller, path);
  if (known === undefined && !hasValidPath(cells, caller, path)) return fail("EINVAL");
  const found = known ?? lookup(cells, caller, path);
  if (isThere(found)) {
    if ((accessOf(cells, found.node.perms, caller) & want) === want) return found;
    seen(cells, caller, found, SEEN_EXISTENCE);
    // Real xenstored asks the parent even now (errno_from_parents): an access of the transaction's.
    lookup(cells, caller, parentOf(path));
    return fail("EACCES");
  }
  const asks = !caller.privileged || caller.transaction !== null;
  const above = asks ? lookup(cells, caller, parentOf(path)) : undefined;
  if (above !== undefined && (accessAbove(cells, caller, found, above) & want) === 0) return fail("EACCES");
  const { stored, own } = found;
  return { errno: "ENOENT", path, stored, own, node: undefined, above };
}

/**
 * What the nearest existing node above allows (ask_parents in xenstored_core.c).
 * For an unprivileged caller the answer depends on it, and on what is missing below.
 */
function accessAbove(
  cells: Cells,
  caller: Caller,
  at: Found<NodeView | undefined>,
  parent: Found<NodeView | undefined>,
): number {
  let [missing, above] = [at, parent];
  while (!isThere(above)) {
    missing = above;
    above = lookup(cells, caller, parentOf(missing.path));
  }
  if (!caller.privileged) {
    seen(cells, caller, missing, SEEN_EXISTENCE);
    seen(cells, caller, above, SEEN_EXISTENCE);
  }
  return accessOf(cells, above.node.perms, caller);
}
