// SPDX-License-Identifier: Apache-2.0
//
// Requests about permissions: GET_PERMS, SET_PERMS (xenstored_core.c).

import { fail, type Failure, isFailure } from "../engine/errno.ts";
import { nodeFor } from "./access.ts";
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
import { settingsOf, traitsOf } from "./quota.ts";
import { nulCount, OK, oneArg, type Request, strings } from "./request.ts";
import { absolute, named, poisoned, tooLarge } from "./requests-node.ts";
import { setSpecialPerms, specialPerms } from "./special.ts";
import { setPermsInTransaction } from "./transaction.ts";
import { childBytes, seen } from "./view.ts";
import { fireWatches } from "./watch.ts";
import { readLatin1 } from "./wire.ts";

/** GET_PERMS: all entries, stale ones included. */
export function getPerms(store: Store, request: Request): string | Failure {
  const arg = oneArg(request);
  if (arg !== undefined && isSpecial(arg) && traitsOf(store.cells).specialPermsReadable) {
    const perms = specialPerms(store.cells, arg);
    if (perms === undefined) return fail("EINVAL");
    return (accessOf(store.cells, perms, request.caller) & PERM_READ) !== 0
      ? permsToWire(perms)
      : fail("EACCES");
  }
  const found = named(store, request, PERM_READ);
  if (isFailure(found)) return found;
  seen(store.cells, request.caller, found.path, SEEN_EXISTENCE | SEEN_PERMS);
  return permsToWire(found.node.perms);
}

/** SET_PERMS: for the owner, who cannot give the node away, and for privileged connections. */
export function setPermsRequest(store: Store, request: Request): string | Failure {
  const { cells } = store;
  const { caller } = request;
  const count = nulCount(request) - 1;
  if (count < 1) return fail("EINVAL");
  const { limits } = settingsOf(cells);
  const limit = traitsOf(cells).quotaEdgesUniform ? limits.permissions - 1 : limits.permissions;
  if (!caller.privileged && count > limit) return fail("ENOSPC");
  const name = strings(request, 1)[0] as string;
  const entries = parsePerms(readLatin1(request.bytes, request.start + name.length + 1, request.end));
  if (isFailure(entries)) return entries;
  const incarnations = new Map(entries.map(({ domid }) => [domid, knowDomain(store, domid)]));
  if (incarnations.get(entries[0]?.domid as number) === 0) return fail("ENOENT");
  const perms = formatPerms(entries, (domid) => incarnations.get(domid) ?? 0);
  if (isSpecial(name)) return setPermsSpecial(store, caller, name, perms);
  const path = absolute(caller, name);
  const node = nodeFor(cells, caller, path, PERM_WRITE | PERM_OWNER);
  if (isFailure(node)) {
    if (node.errno === "ENOENT") seen(cells, caller, path, SEEN_EXISTENCE);
    return node;
  }
  seen(cells, caller, path, SEEN_EXISTENCE);
  if (!caller.privileged && ownerOf(perms) !== ownerOf(node.perms)) return fail("EPERM");
  if (
    tooLarge(cells, caller, perms, node.value.length, caller.privileged ? 0 : childBytes(cells, caller, path))
  ) {
    return poisoned(cells, caller, "ENOSPC");
  }
  if (caller.transaction !== null) setPermsInTransaction(cells, caller, path, perms);
  else {
    const before = node.perms;
    setPerms(cells, path, perms);
    fireWatches(store, path, false, before);
  }
  return OK;
}

/** set_perms_special in xenstored_domain.c. */
function setPermsSpecial(store: Store, caller: Caller, name: string, perms: string): string | Failure {
  const before = name.includes("/") ? undefined : specialPerms(store.cells, name);
  if (before === undefined) return fail("EINVAL");
  const want = PERM_WRITE | PERM_OWNER;
  if ((accessOf(store.cells, before, caller) & want) !== want) return fail("EACCES");
  setSpecialPerms(store.cells, name, perms);
  return OK;
}
