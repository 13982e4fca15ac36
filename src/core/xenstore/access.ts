// SPDX-License-Identifier: Apache-2.0
//
// May this caller have this node? Where not, the answer must not tell more than
// the caller may know.

import type { Cells } from "../engine/cells.ts";
import { fail, type Failure } from "../engine/errno.ts";
import type { Caller } from "./caller.ts";
import { SEEN_EXISTENCE } from "./observation.ts";
import { isSpecial, isValidPath, parentOf } from "./path.ts";
import { accessOf } from "./perms.ts";
import { settingsOf } from "./quota.ts";
import { lookup, type NodeView, seen } from "./view.ts";

/** An absolute path; `path` itself where it is one or names a special watch (canonicalize in xenstored_core.c). */
export function canonical(path: string, implicit: string): string {
  return path.startsWith("/") || isSpecial(path) ? path : `${implicit}/${path}`;
}

/**
 * The node at an absolute path, for a caller who wants all of `want` (bits of
 * perms.ts). EINVAL for an invalid path; EACCES; ENOENT only where the nearest
 * node above would let the caller do what it wants (get_node in xenstored_core.c).
 */
export function nodeFor(cells: Cells, caller: Caller, path: string, want: number): NodeView | Failure {
  if (!isValidPath(path, settingsOf(cells).limits["path-max"])) return fail("EINVAL");
  const node = lookup(cells, caller, path);
  if (node !== undefined) {
    if ((accessOf(cells, node.perms, caller) & want) === want) return node;
    seen(cells, caller, path, SEEN_EXISTENCE);
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
