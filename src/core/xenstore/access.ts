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
import { lookup, type NodeView, seen } from "./view.ts";

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

/** The node where asking for it leaves no trace: then its path is valid, and only too long at most. */
function knownNode(cells: Cells, caller: Caller, path: string): NodeView | undefined {
  if (caller.transaction !== null || caller.conn < FIRST_SOCKET) return undefined;
  return isTooLong(cells, caller, path.length) ? undefined : cells.get(nodeType, path);
}

/**
 * The node at an absolute path, for a caller who wants all of `want` (bits of
 * perms.ts). EINVAL for an invalid path; EACCES; ENOENT only where the nearest
 * node above would let the caller do what it wants (get_node in xenstored_core.c).
 */
export function nodeFor(cells: Cells, caller: Caller, path: string, want: number): NodeView | Failure {
  const known = knownNode(cells, caller, path);
  if (known === undefined && !hasValidPath(cells, caller, path)) return fail("EINVAL");
  const node = known ?? lookup(cells, caller, path);
  if (node !== undefined) {
    if ((accessOf(cells, node.perms, caller) & want) === want) return node;
    seen(cells, caller, path, SEEN_EXISTENCE);
    // Real xenstored asks the parent even now (errno_from_parents): an access of the transaction's.
    lookup(cells, caller, parentOf(path));
    return fail("EACCES");
  }
  if (caller.privileged && caller.transaction === null) return fail("ENOENT");
  const allowed = (accessAbove(cells, caller, path) & want) !== 0;
  return fail(allowed ? "ENOENT" : "EACCES");
}

/**
 * What the nearest existing node above allows (ask_parents in xenstored_core.c).
 * For an unprivileged caller the answer depends on it, and on what is missing below.
 */
function accessAbove(cells: Cells, caller: Caller, path: string): number {
  let missing = path;
  for (;;) {
    const above = parentOf(missing);
    const node = lookup(cells, caller, above);
    if (node !== undefined) {
      if (!caller.privileged) {
        seen(cells, caller, missing, SEEN_EXISTENCE);
        seen(cells, caller, above, SEEN_EXISTENCE);
      }
      return accessOf(cells, node.perms, caller);
    }
    missing = above;
  }
}
