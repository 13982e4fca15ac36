// SPDX-License-Identifier: Apache-2.0
//
// Requests about permissions: GET_PERMS, SET_PERMS (xenstored_core.c).

import { fail, type Failure, isFailure } from "../engine/errno.ts";
import { type Cells, must } from "../engine/cells.ts";
import { isMissing, isValidSpecial, nodeFor } from "./access.ts";
import { featuresOf } from "./connection.ts";
import type { Caller } from "./caller.ts";
import { knowDomain } from "./domain.ts";
import { setPerms } from "./node.ts";
import { SEEN_EXISTENCE, SEEN_PERMS } from "./observation.ts";
import { isSpecial } from "./path.ts";
import {
  accessOf,
  formatPerms,
  ownerOf,
  parsePerms,
  PERM_OWNER,
  PERM_READ,
  PERM_WRITE,
  permsToWire,
} from "./perms.ts";
import type { Store } from "./ports.ts";
import { exceeds, noteMaximum, traitsOf } from "./quota.ts";
import { nulCount, OK, oneArg, type Request, strings } from "./request.ts";
import { absolute, named, poisoned, tooLarge } from "./requests-node.ts";
import { setSpecialPerms, specialPerms } from "./special.ts";
import { setPermsInTransaction } from "./transaction.ts";
import { nodeType } from "./tree.ts";
import { childBytes, seen } from "./view.ts";
import { fireSpecialChanged, fireWatches } from "./watch.ts";
import { readLatin1 } from "./wire.ts";
import { chargeWrites } from "./write-rate.ts";

/** GET_PERMS: all entries, stale ones included. */
export function getPerms(store: Store, request: Request): string | Failure {
  const arg = oneArg(request);
  if (arg !== undefined && isSpecial(arg) && traitsOf(store.cells).specialsAreNodes) {
    const perms = specialNode(store.cells, request.caller, arg, PERM_READ);
    return isFailure(perms) ? perms : permsToWire(perms);
  }
  const found = named(store, request, PERM_READ);
  if (isFailure(found)) return found;
  seen(store.cells, request.caller, found, SEEN_EXISTENCE | SEEN_PERMS);
  return permsToWire(found.node.perms);
}

/** SET_PERMS: for the owner, who cannot give the node away, and for privileged connections. */
export function setPermsRequest(store: Store, request: Request): string | Failure {
  const { cells } = store;
  const { caller } = request;
  const count = nulCount(request) - 1;
  if (count < 1) return fail("EINVAL");
  if (!caller.privileged && exceeds(cells, caller.domid, "permissions", count)) return fail("ENOSPC");
  if (!caller.privileged) noteMaximum(cells, caller.domid, "permissions", count);
  const name = strings(request, 1)[0] as string;
  const asked = parsePerms(readLatin1(request.bytes, request.start + name.length + 1, request.end));
  if (isFailure(asked)) return asked;
  const features = featuresOf(cells, caller.conn);
  const incarnations = asked.entries.map(({ domid }) => knowDomain(store, domid, features));
  if (incarnations[0] === 0) return fail("ENOENT");
  const perms = formatPerms(asked, incarnations);
  if (isSpecial(name)) return setPermsSpecial(store, caller, name, perms);
  const path = absolute(caller, name);
  const found = nodeFor(cells, caller, path, PERM_WRITE | PERM_OWNER);
  if (isFailure(found)) {
    if (isMissing(found)) seen(cells, caller, found, SEEN_EXISTENCE);
    return found;
  }
  const { node } = found;
  seen(cells, caller, found, SEEN_EXISTENCE);
  if (!caller.privileged && ownerOf(perms) !== ownerOf(node.perms)) return fail("EPERM");
  if (!caller.privileged && tooLarge(cells, caller, perms, node.value.length, childBytes(cells, found))) {
    return poisoned(cells, caller, "ENOSPC");
  }
  if (caller.transaction !== null) setPermsInTransaction(cells, caller, path, perms);
  else {
    const before = node.perms;
    setPerms(cells, path, perms);
    chargeWrites(store, caller, 1);
    fireWatches(store, path, false, before);
  }
  return OK;
}

/**
 * The permissions of a special watch for a caller who wants all of `want`. Where
 * the special watches are nodes, they are so below the root: it decides whether
 * somebody may know that one does not exist.
 */
function specialNode(cells: Cells, caller: Caller, name: string, want: number): string | Failure {
  if (!isValidSpecial(cells, caller, name)) return fail("EINVAL");
  const perms = name.includes("/") ? undefined : specialPerms(cells, name);
  if (perms !== undefined && (accessOf(cells, perms, caller) & want) === want) return perms;
  const mayKnow = (accessOf(cells, must(cells, nodeType, "/").perms, caller) & want) !== 0;
  return fail(perms === undefined && mayKnow ? "ENOENT" : "EACCES");
}

/** set_perms_special in xenstored_domain.c; since 4.22 as for any node, only that no transaction holds it back. */
function setPermsSpecial(store: Store, caller: Caller, name: string, perms: string): string | Failure {
  const { cells } = store;
  const want = PERM_WRITE | PERM_OWNER;
  if (traitsOf(cells).specialsAreNodes) {
    const before = specialNode(cells, caller, name, want);
    if (isFailure(before)) return before;
    if (!caller.privileged && ownerOf(perms) !== ownerOf(before)) return fail("EPERM");
    setSpecialPerms(cells, name, perms);
    fireSpecialChanged(store, name, before);
    return OK;
  }
  const before = name.includes("/") ? undefined : specialPerms(cells, name);
  if (before === undefined) return fail("EINVAL");
  if ((accessOf(cells, before, caller) & want) !== want) return fail("EACCES");
  setSpecialPerms(cells, name, perms);
  return OK;
}
