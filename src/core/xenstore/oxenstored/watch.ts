// SPDX-License-Identifier: Apache-2.0
//
// Who is told of what (connections.ml fire_watches, connection.ml fire_watch):
// watches from the root down, the latest of a path first, and for a removal all
// that are below, in the order of their names, whether there was a node or not.

import { type Cells, must } from "../../engine/cells.ts";
import { connectionType } from "../connection.ts";
import { parentOf } from "../path.ts";
import type { Store } from "../ports.ts";
import type { Watch } from "../watch-table.ts";
import { sendEvent, watchedBelow, watchesOn } from "../watch.ts";
import { hierarchy } from "./path.ts";
import { allows } from "./perms.ts";
import { nodeAt, nodeBefore, type View } from "./tree.ts";

/** An event that was found to be due. */
export interface Due {
  readonly watch: Readonly<Watch>;
  readonly path: string;
}

/** Permissions that decide who may know of a node. */
export type PermsOf = (path: string) => readonly string[];

/** The node's and its parent's, in a view; none where the parent is missing, and none for the root. */
export function permsIn(cells: Cells, view: View, before: boolean): PermsOf {
  const look = before ? nodeBefore : nodeAt;
  return (path) => {
    if (path === "/") return [];
    const parent = look(cells, view, parentOf(path));
    if (parent === undefined) return [];
    const node = look(cells, view, path);
    return node === undefined ? [parent.perms] : [parent.perms, node.perms];
  };
}

function mayKnow(cells: Cells, conn: number, perms: readonly string[]): boolean {
  const connection = must(cells, connectionType, conn);
  return perms.some((one) => allows(one, connection, "r"));
}

/** Events for those who watch a node or one above it. */
export function dueFor(cells: Cells, path: string, permsOf: PermsOf): Due[] {
  const perms = permsOf(path);
  return hierarchy(path)
    .flatMap((at) => watchesOn(cells, at).toReversed())
    .filter((watch) => mayKnow(cells, watch.conn, perms))
    .map((watch) => ({ watch, path }));
}

/** Events for those who watch anything below a node that goes: each is told the path it watches. */
export function dueBelow(cells: Cells, path: string, permsOf: PermsOf): Due[] {
  return watchedBelow(cells, path).flatMap((at) => {
    const perms = permsOf(at);
    return watchesOn(cells, at)
      .toReversed()
      .filter((watch) => mayKnow(cells, watch.conn, perms))
      .map((watch) => ({ watch, path: at }));
  });
}

/** Events of a special watch, which is a node (fire_spec_watches). */
export function fireSpecial(store: Store, name: string): void {
  const { cells } = store;
  const perms = permsIn(cells, null, false)(`/${name}`);
  const due = watchesOn(cells, name).toReversed();
  fire(
    store,
    due.filter((watch) => mayKnow(cells, watch.conn, perms)).map((watch) => ({ watch, path: name })),
  );
}

/** Sends events. */
export function fire(store: Store, due: readonly Due[]): void {
  for (const { watch, path } of due) sendEvent(store, watch, path);
}
