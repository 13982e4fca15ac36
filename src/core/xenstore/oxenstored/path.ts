// SPDX-License-Identifier: Apache-2.0
//
// Paths as oxenstored takes them (store.ml Path, utils.ml path_validate). The
// special watches are nodes in the root, which are also named without its slash.

import type { Cells } from "../../engine/cells.ts";
import { fail, type Failure } from "../../engine/errno.ts";
import { domainPath, isSpecial, limitedLength, parentOf } from "../path.ts";
import { settingsOf } from "../quota.ts";

/** The path a request names, absolute; EINVAL where it can name no node. */
export function requestPath(cells: Cells, domid: number, text: string): string | Failure {
  if (text === "") return fail("EINVAL");
  const absolute = text.startsWith("/") || isSpecial(text) ? text : `${domainPath(domid)}/${text}`;
  const prefix = /^\/local\/domain\/[+-]?\d[\d_]*\//.exec(absolute)?.[0] ?? "";
  const limit = settingsOf(cells).limits["path-max"];
  if (limit !== 0 && absolute.length - prefix.length > limit) return fail("EINVAL");
  if (isSpecial(absolute)) return `/${absolute}`;
  return limitedLength(absolute) < 0 ? fail("EINVAL") : absolute;
}

/** Where a watch is kept: special names as they are. EINVAL for no name at all. */
export function watchPath(domid: number, text: string): string | Failure {
  if (text === "") return fail("EINVAL");
  return text.startsWith("/") || isSpecial(text) ? text : `${domainPath(domid)}/${text}`;
}

/** Whether there may be a watch on that path, of any length (connections.ml key_of_str). */
export function mayBeWatched(path: string): boolean {
  return isSpecial(path) || limitedLength(path) >= 0;
}

/**
 * Whether a node of that path may come into being. oxenstored takes anything
 * behind an `@`, slashes included; here a name is a name (see the differences).
 */
export function mayBeNode(path: string): boolean {
  return limitedLength(path) >= 0 && !(path.startsWith("/@") && path.includes("/", 1));
}

/** All nodes from the root to this one (get_hierarchy). */
export function hierarchy(path: string): string[] {
  const found = [path];
  for (let at = path; at !== "/";) found.unshift((at = parentOf(at)));
  return found;
}

/** The lowest node above both, which may be one of them (get_common_prefix). */
export function commonPath(a: string, b: string): string {
  let at = a;
  while (at !== "/" && b !== at && !b.startsWith(`${at}/`)) at = parentOf(at);
  return at;
}
