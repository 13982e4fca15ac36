// SPDX-License-Identifier: Apache-2.0
//
// Watches. They are indexed by path: an event looks at the node's path and the
// paths above it, so it costs what it delivers, however many watches there are.

import { type Cells, must } from "../engine/cells.ts";
import { connectionType, implicitPath } from "./connection.ts";
import { listAppend, listCompare, listCount, listDrop, listItems, listRemove, listType } from "./list.ts";
import { FIRST_SOCKET, queueEvent } from "./output.ts";
import { isSpecial, parentOf } from "./path.ts";
import { accessOf, PERM_READ } from "./perms.ts";
import type { Store } from "./ports.ts";
import { charge, traitsOf } from "./quota.ts";
import { specialPerms } from "./special.ts";
import { StoreCells } from "./store-cells.ts";
import { nodeType } from "./tree.ts";
import { pathWatchesType, type Watch } from "./watch-table.ts";
import { PAYLOAD_MAX } from "./wire.ts";

/** A connection's watches, `path NUL token`, by the connection's number as text. */
const connectionWatches = listType("connection-watches", { listed: false });

function find(cells: Cells, conn: number, path: string, token: string): Readonly<Watch> | undefined {
  return cells.get(pathWatchesType, path)?.watches.find((w) => w.conn === conn && w.token === token);
}

/** All watches on a path, by connection and then in order of registration. */
export function watchesOn(cells: Cells, path: string): readonly Readonly<Watch>[] {
  return cells.get(pathWatchesType, path)?.watches ?? [];
}

/** Paths below this one that are watched, whatever else is there, in the order in which a walk meets their names. */
export function watchedBelow(cells: Cells, path: string): string[] {
  const below = path === "/" ? "/" : `${path}/`;
  const byName = (at: string): string => at.replaceAll("/", "\0");
  return cells
    .ids(pathWatchesType)
    .map(String)
    .filter((at) => at.length > below.length && at.startsWith(below))
    .sort((a, b) => (byName(a) < byName(b) ? -1 : 1));
}

/** Whether there is any watch at all. */
export function hasWatches(cells: Cells): boolean {
  return cells.count(pathWatchesType) > 0;
}

/** Whether a connection has this watch. */
export function hasWatch(cells: Cells, conn: number, path: string, token: string): boolean {
  return find(cells, conn, path, token) !== undefined;
}

/** Adds a watch the connection does not have yet; returns it. */
export function addWatch(
  cells: Cells,
  conn: number,
  path: string,
  token: string,
  relative: boolean,
  depth: number,
): Readonly<Watch> {
  const slot = listAppend(cells, connectionWatches, String(conn), `${path}\0${token}`);
  if (cells.get(pathWatchesType, path) === undefined) cells.add(pathWatchesType, path, { watches: [] });
  const { watches } = cells.edit(pathWatchesType, path);
  const watch: Watch = { conn, token, relative, depth, slot };
  let at = watches.length;
  while (at > 0 && (watches[at - 1] as Watch).conn > conn) at--;
  if (at === watches.length) watches.push(watch);
  else watches.splice(at, 0, watch);
  if (conn < FIRST_SOCKET) {
    charge(cells, conn, "watches", 1);
    charge(cells, conn, "memory", path.length + token.length);
  }
  return watch;
}

/** Removes a watch; false where there is none. */
export function removeWatch(cells: Cells, conn: number, path: string, token: string): boolean {
  const watch = find(cells, conn, path, token);
  if (watch === undefined) return false;
  listRemove(cells, connectionWatches, String(conn), watch.slot, `${path}\0${token}`);
  unindex(cells, conn, path, token);
  return true;
}

function unindex(cells: Cells, conn: number, path: string, token: string): void {
  const { watches } = cells.edit(pathWatchesType, path);
  if (watches.length === 1) cells.drop(pathWatchesType, path);
  else
    watches.splice(
      watches.findIndex((w) => w.conn === conn && w.token === token),
      1,
    );
  if (conn < FIRST_SOCKET) {
    charge(cells, conn, "watches", -1);
    charge(cells, conn, "memory", -path.length - token.length);
  }
}

/** How many watches a connection has. */
export function watchCount(cells: Cells, conn: number): number {
  return listCount(cells, connectionWatches, String(conn));
}

/** Removes all watches of a connection. */
export function removeAllWatches(cells: Cells, conn: number): void {
  for (const item of listItems(cells, connectionWatches, String(conn))) {
    const nul = item.indexOf("\0");
    unindex(cells, conn, item.slice(0, nul), item.slice(nul + 1));
  }
  listDrop(cells, connectionWatches, String(conn));
}

/** A connection's watches, in order of registration. */
export function watchesOf(
  cells: Cells,
  conn: number,
): { path: string; token: string; relative: boolean; depth: number }[] {
  return listItems(cells, connectionWatches, String(conn)).map((item) => {
    const nul = item.indexOf("\0");
    const [path, token] = [item.slice(0, nul), item.slice(nul + 1)];
    const { relative, depth } = find(cells, conn, path, token) as Readonly<Watch>;
    return { path, token, relative, depth };
  });
}

/** A watch an event reaches, and the path it is on. */
interface Match {
  path: string;
  watch: Readonly<Watch>;
}

/**
 * Sends the events of a change at `path` to all who watch it and may know of it
 * (fire_watches in xenstored_watch.c): they can read the node or its parent, or
 * could read the node before. To be called while the node has its new state, or,
 * for a removal, while it is still there.
 *
 * @param exact only watches on exactly this path: for what went with a tree
 * @param permsBefore permissions the node had before, or null
 */
export function fireWatches(store: Store, path: string, exact: boolean, permsBefore: string | null): void {
  const { cells } = store;
  if (!hasWatches(cells)) return;
  const matches = matching(cells, path, exact);
  let conn = -1;
  let permitted = false;
  for (const { watch } of matches) {
    if (watch.conn !== conn) {
      conn = watch.conn;
      permitted = isSpecial(path)
        ? specialPermitted(cells, path, conn)
        : isPermitted(cells, path, conn, permsBefore);
    }
    if (permitted) sendEvent(store, watch, path);
  }
}

/**
 * Special watches an event reaches: those on exactly this path, and for the form
 * for one domain those on the plain path that asked for the level below.
 */
function matchingSpecial(cells: Cells, path: string): Match[] {
  const slash = path.indexOf("/");
  const matches: Match[] = [];
  for (const watch of cells.get(pathWatchesType, path)?.watches ?? []) {
    // One with a depth waits for the forms below, even where it reaches none.
    if (slash >= 0 || watch.depth < 0) matches.push({ path, watch });
  }
  if (slash < 0) return matches;
  const plain = path.slice(0, slash);
  for (const watch of cells.get(pathWatchesType, plain)?.watches ?? []) {
    if (watch.depth > 0) matches.push({ path: plain, watch });
  }
  return matches.sort((a, b) => a.watch.conn - b.watch.conn || inOrder(cells, a, b));
}

const nobody: readonly Match[] = [];

/** The watches an event reaches, by connection and then in order of registration. */
function matching(cells: Cells, path: string, exact: boolean): readonly Match[] {
  if (isSpecial(path)) return matchingSpecial(cells, path);
  if (cells instanceof StoreCells && !cells.watches.mayReach(path)) return nobody;
  const matches: Match[] = [];
  let levels = 0;
  for (let at = path, below = 0; ; at = parentOf(at), below++) {
    const found = cells.get(pathWatchesType, at)?.watches;
    if (found !== undefined) {
      levels++;
      for (const watch of found) {
        if (watch.depth < 0 || below <= watch.depth) matches.push({ path: at, watch });
      }
    }
    if (exact || at === "/") break;
  }
  if (levels > 1) matches.sort((a, b) => a.watch.conn - b.watch.conn || inOrder(cells, a, b));
  return matches;
}

function inOrder(cells: Cells, a: Match, b: Match): number {
  return listCompare(
    cells,
    connectionWatches,
    String(a.watch.conn),
    { number: a.watch.slot, item: `${a.path}\0${a.watch.token}` },
    { number: b.watch.slot, item: `${b.path}\0${b.watch.token}` },
  );
}

/** watch_permitted in xenstored_watch.c. */
function isPermitted(cells: Cells, path: string, conn: number, permsBefore: string | null): boolean {
  const connection = must(cells, connectionType, conn);
  if (permsBefore !== null && (accessOf(cells, permsBefore, connection) & PERM_READ) !== 0) return true;
  const node = cells.get(nodeType, path);
  if (node === undefined) return false;
  if ((accessOf(cells, node.perms, connection) & PERM_READ) !== 0) return true;
  const parent = must(cells, nodeType, parentOf(path));
  return (accessOf(cells, parent.perms, connection) & PERM_READ) !== 0;
}

/** Where special watches are nodes, the root is their parent, and whoever can read it is told. */
function specialPermitted(cells: Cells, path: string, conn: number): boolean {
  const perms = specialPerms(cells, path);
  if (perms === undefined) return false;
  const connection = must(cells, connectionType, conn);
  if ((accessOf(cells, perms, connection) & PERM_READ) !== 0) return true;
  if (!traitsOf(cells).specialsAreNodes) return false;
  return (accessOf(cells, must(cells, nodeType, "/").perms, connection) & PERM_READ) !== 0;
}

/** The permissions of a special watch have changed, which its watchers are told where it is a node. */
export function fireSpecialChanged(store: Store, path: string, permsBefore: string): void {
  const { cells } = store;
  for (const watch of cells.get(pathWatchesType, path)?.watches ?? []) {
    const connection = must(cells, connectionType, watch.conn);
    const couldRead = (accessOf(cells, permsBefore, connection) & PERM_READ) !== 0;
    if (couldRead || specialPermitted(cells, path, watch.conn)) sendEvent(store, watch, path);
  }
}

/**
 * Sends one event for `path`; nothing where it would be longer than a message may
 * be. Every new watch starts with one, whatever its owner may read.
 */
export function sendEvent(store: Store, watch: Readonly<Watch>, path: string): void {
  const body = `${eventPath(store.cells, watch, path)}\0${watch.token}\0`;
  if (body.length > PAYLOAD_MAX) return;
  queueEvent(store, watch.conn, body, isSpecial(path));
}

/** The path as the watch's owner wrote it. */
export function eventPath(
  cells: Cells,
  watch: { readonly conn: number; readonly relative: boolean },
  path: string,
): string {
  if (!watch.relative) return path;
  const prefix = implicitPath(must(cells, connectionType, watch.conn));
  return path.slice(path.charCodeAt(prefix.length) === 0x2f ? prefix.length + 1 : prefix.length);
}
