// SPDX-License-Identifier: Apache-2.0
//
// Which nodes an unprivileged domain owns, wherever they are: what has to go
// with it. Kept in buckets, each sorted, so that a change touches a small cell
// and the order of changes does not show.

import { type Cells, cellType } from "../engine/cells.ts";
import { isUnprivilegedDomid } from "./quota.ts";

const BUCKETS = 64;

interface OwnedNodes {
  paths: string[];
}
/** Identified by `<domid>/<bucket>`. */
const ownedType = cellType<OwnedNodes>("owned-nodes");

function bucketOf(domid: number, path: string): string {
  let hash = path.length;
  for (let i = 0; i < path.length; i++) hash = (Math.imul(hash, 31) + path.charCodeAt(i)) | 0;
  return `${domid}/${(hash ^ (hash >>> 15)) & (BUCKETS - 1)}`;
}

/** Where `path` is, or would be, in a sorted list. */
function position(paths: readonly string[], path: string): number {
  let low = 0;
  let high = paths.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((paths[middle] as string) < path) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** A domain owns a node more. Nothing is noted for privileged domains, which do not die. */
export function addOwned(cells: Cells, domid: number, path: string): void {
  if (!isUnprivilegedDomid(cells, domid)) return;
  const bucket = bucketOf(domid, path);
  if (cells.get(ownedType, bucket) === undefined) cells.add(ownedType, bucket, { paths: [] });
  const { paths } = cells.edit(ownedType, bucket);
  paths.splice(position(paths, path), 0, path);
}

/** A domain owns a node less. */
export function removeOwned(cells: Cells, domid: number, path: string): void {
  if (!isUnprivilegedDomid(cells, domid)) return;
  const bucket = bucketOf(domid, path);
  const { paths } = cells.edit(ownedType, bucket);
  if (paths.length === 1) cells.drop(ownedType, bucket);
  else paths.splice(position(paths, path), 1);
}

/** All nodes a domain owns, in no particular but always the same order. */
export function ownedNodes(cells: Cells, domid: number): string[] {
  const found: string[] = [];
  for (let bucket = 0; bucket < BUCKETS; bucket++) {
    const owned = cells.get(ownedType, `${domid}/${bucket}`);
    if (owned !== undefined) found.push(...owned.paths);
  }
  return found;
}
