// SPDX-License-Identifier: Apache-2.0
//
// Requests about nodes as oxenstored answers them (process.ml do_directory to
// do_setperms; store.ml). What is made on the way to a node stays, even where
// the request then fails.

import type { Cells } from "../../engine/cells.ts";
import { fail, type Failure, isFailure } from "../../engine/errno.ts";
import { parentOf } from "../path.ts";
import { permsToWire } from "../perms.ts";
import type { Store } from "../ports.ts";
import { OK } from "../request.ts";
import { chargeWrites } from "../write-rate.ts";
import type { OcamlRequest } from "./request.ts";
import { checkEntry, countEntry } from "./entries.ts";
import { hierarchy, mayBeNode, requestPath } from "./path.ts";
import { allows, isDom0, ownerText, owns, parseNodePerms } from "./perms.ts";
import { noteChange, noteRead, noteWrite, type Change } from "./transaction.ts";
import {
  addAt,
  childPathsAt,
  childrenAt,
  nodeAt,
  type NodeView,
  removeAt,
  setPermsAt,
  setValueAt,
  treeAt,
} from "./tree.ts";
import { type Due, dueBelow, dueFor, fire, permsIn, type PermsOf } from "./watch.ts";

/** The payload where it is one string with its NUL, and no more: its path. */
function onePath({ cells }: Store, { caller, body }: OcamlRequest): string | Failure {
  const nul = body.indexOf("\0");
  if (nul < 0 || nul !== body.length - 1) return fail("EINVAL");
  return requestPath(cells, caller.domid, body.slice(0, -1));
}

/** The payload cut behind its first NUL: a path, and the rest. */
function pathAndRest(
  { cells }: Store,
  { caller, body }: OcamlRequest,
): { path: string; rest: string } | Failure {
  const nul = body.indexOf("\0");
  if (nul < 0) return fail("EINVAL");
  const path = requestPath(cells, caller.domid, body.slice(0, nul));
  return isFailure(path) ? path : { path, rest: body.slice(nul + 1) };
}

/** The node a request with one path wants to read; what it reads is noted. */
function readable(store: Store, request: OcamlRequest): { path: string; node: NodeView } | Failure {
  const path = onePath(store, request);
  if (isFailure(path)) return path;
  const node = nodeAt(store.cells, request.view, path);
  if (node === undefined) return fail("ENOENT");
  if (!allows(node.perms, request.caller, "r")) return fail("EACCES");
  noteRead(store.cells, request.view, path);
  return { path, node };
}

/** DIRECTORY: names in the order of their bytes. */
export function directory(store: Store, request: OcamlRequest): string | Failure {
  const found = readable(store, request);
  if (isFailure(found)) return found;
  const names = [...childrenAt(store.cells, request.view, found.path)].sort();
  return names.map((name) => `${name}\0`).join("");
}

/** READ: the value. */
export function read(store: Store, request: OcamlRequest): string | Failure {
  const found = readable(store, request);
  return isFailure(found) ? found : found.node.value;
}

/** GET_PERMS: all entries. */
export function getPerms(store: Store, request: OcamlRequest): string | Failure {
  const found = readable(store, request);
  return isFailure(found) ? found : permsToWire(found.node.perms);
}

/** Adds a node below one that is there, with its permissions and so its owner. */
function create(store: Store, request: OcamlRequest, path: string, value: string): Failure | undefined {
  const { cells } = store;
  const { view, caller } = request;
  const above = nodeAt(cells, view, parentOf(path)) as NodeView;
  const owner = ownerText(above.perms);
  const failure = checkEntry(cells, view, isDom0(caller) ? null : owner, value.length);
  if (failure !== undefined) return failure;
  if (!allows(above.perms, caller, "w")) return fail("EACCES");
  addAt(cells, view, path, value, above.perms);
  countEntry(cells, view, owner, 1);
  chargeWrites(store, request.caller, 1);
  return undefined;
}

/** Adds what is missing above a node (create_implicit_path). Nobody is told of it. */
function createAbove(store: Store, request: OcamlRequest, path: string): Failure | undefined {
  if (path === "/") return undefined;
  for (const at of hierarchy(parentOf(path))) {
    if (nodeAt(store.cells, request.view, at) !== undefined) continue;
    const failure = create(store, request, at, "");
    if (failure !== undefined) return failure;
    noteWrite(store.cells, request.view, parentOf(at));
  }
  return undefined;
}

/** Tells of a change: at once after the reply, in a transaction with its commit. */
function tell(store: Store, request: OcamlRequest, change: Change, due: () => readonly Due[]): void {
  if (request.view === null) request.after.do = () => fire(store, due());
  else noteChange(store.cells, request.view, change);
}

/** WRITE: sets the value; creates the node, and what is missing above it. */
export function write(store: Store, request: OcamlRequest): string | Failure {
  const { cells } = store;
  const { view, caller } = request;
  const found = pathAndRest(store, request);
  if (isFailure(found)) return found;
  const { path, rest: value } = found;
  const failure = createAbove(store, request, path);
  if (failure !== undefined) return failure;
  const node = nodeAt(cells, view, path);
  if (node === undefined) {
    if (!mayBeNode(path)) return fail("EINVAL");
    const refused = create(store, request, path, value);
    if (refused !== undefined) return refused;
    noteWrite(cells, view, parentOf(path));
  } else {
    const tooLong = checkEntry(cells, view, null, value.length);
    if (tooLong !== undefined) return tooLong;
    if (!allows(node.perms, caller, "w")) return fail("EACCES");
    setValueAt(cells, view, path, value);
    chargeWrites(store, caller, 1);
    noteWrite(cells, view, path);
  }
  tell(store, request, { what: "write", path }, () => dueFor(cells, path, permsIn(cells, null, false)));
  return OK;
}

/** What requests that just succeed are answered. */
/** MKDIR: creates a node without a value. One that is there is fine, and nobody is told. */
export function mkdir(store: Store, request: OcamlRequest): string | Failure {
  const { cells } = store;
  const { view, caller } = request;
  const path = onePath(store, request);
  if (isFailure(path)) return path;
  const failure = createAbove(store, request, path);
  if (failure !== undefined) return failure;
  const node = nodeAt(cells, view, path);
  if (node !== undefined && path !== "/") return allows(node.perms, caller, "w") ? OK : fail("EACCES");
  if (node === undefined) {
    if (!mayBeNode(path)) return fail("EINVAL");
    const refused = create(store, request, path, "");
    if (refused !== undefined) return refused;
  }
  noteWrite(cells, view, parentOf(path));
  tell(store, request, { what: "mkdir", path }, () => dueFor(cells, path, permsIn(cells, null, false)));
  return OK;
}

/** RM: removes a tree; of the root all that is below. What is not there is fine where its parent is. */
export function rm(store: Store, request: OcamlRequest): string | Failure {
  const { cells } = store;
  const { view, caller } = request;
  const path = onePath(store, request);
  if (isFailure(path)) return path;
  const node = nodeAt(cells, view, path);
  if (node === undefined) return nodeAt(cells, view, parentOf(path)) === undefined ? fail("ENOENT") : OK;
  if (!allows(node.perms, caller, "w")) return fail("EACCES");
  const due = view === null ? dueForRemoval(cells, path, permsIn(cells, null, false)) : [];
  const paths = treeAt(cells, view, path);
  for (const at of paths) countEntry(cells, view, ownerText((nodeAt(cells, view, at) as NodeView).perms), -1);
  if (path === "/") for (const at of childPathsAt(cells, view, "/")) removeAt(cells, view, at);
  else removeAt(cells, view, path);
  chargeWrites(store, caller, paths.length);
  noteWrite(cells, view, parentOf(path));
  tell(store, request, { what: "rm", path }, () => due);
  return OK;
}

/** Events of a removal, with the permissions from before it. */
export function dueForRemoval(cells: Cells, path: string, permsOf: PermsOf): Due[] {
  return [...dueFor(cells, path, permsOf), ...dueBelow(cells, path, permsOf)];
}

/** SET_PERMS: for the owner, who cannot give the node away, and for domain 0. */
export function setPerms(store: Store, request: OcamlRequest): string | Failure {
  const { cells } = store;
  const { view, caller } = request;
  const found = pathAndRest(store, request);
  if (isFailure(found)) return found;
  const { path } = found;
  const perms = parseNodePerms(found.rest);
  if (isFailure(perms)) return perms;
  const node = nodeAt(cells, view, path);
  if (node === undefined) return fail("ENOENT");
  const [owner, newOwner] = [ownerText(node.perms), ownerText(perms)];
  if (owner !== newOwner && !isDom0(caller)) return fail("EACCES");
  // Of the root nobody asks whose it is.
  if ((path !== "/" && !owns(node.perms, caller)) || !allows(node.perms, caller, "w")) return fail("EACCES");
  const before = view === null ? permsIn(cells, null, false)(path) : [];
  setPermsAt(cells, view, path, perms);
  countEntry(cells, view, owner, -1);
  countEntry(cells, view, newOwner, 1);
  chargeWrites(store, caller, 1);
  noteWrite(cells, view, path);
  const now = permsIn(cells, null, false);
  tell(store, request, { what: "setperms", path }, () =>
    dueFor(cells, path, (at) => [...before, ...now(at)]),
  );
  return OK;
}
