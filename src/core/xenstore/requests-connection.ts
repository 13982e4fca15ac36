// SPDX-License-Identifier: Apache-2.0
//
// Requests about the connection itself: watches (xenstored_watch.c) and
// transactions (xenstored_transaction.c).

import { must } from "../engine/cells.ts";
import { fail, type Failure } from "../engine/errno.ts";
import { canonical, hasValidPath, isValidSpecial } from "./access.ts";
import { commitTransaction } from "./commit.ts";
import { connectionType, featuresOf } from "./connection.ts";
import { domainPath, isSpecial } from "./path.ts";
import type { Store } from "./ports.ts";
import { accountOf, exceeds, exceedsMemory, noteMaximum, traitsOf } from "./quota.ts";
import { FEATURE_WATCH_DEPTH } from "./version.ts";
import { type After, atoi, nulCount, OK, oneArg, type Request, strings } from "./request.ts";
import { dropAllTransactions, dropTransaction, startTransaction } from "./transaction.ts";
import { addWatch, hasWatch, removeAllWatches, removeWatch, sendEvent } from "./watch.ts";

/** WATCH: a path or special path, a token, and where the version has it a depth. The first event comes at once. */
export function watch(store: Store, request: Request, after: After): string | Failure {
  const { cells } = store;
  const { conn, domid, privileged } = request.caller;
  const traits = traitsOf(cells);
  const [name, token, depthText] = strings(request, 3);
  const count = nulCount(request);
  const countMax = (featuresOf(cells, request.caller.conn) & FEATURE_WATCH_DEPTH) !== 0 ? 3 : 2;
  if (name === undefined || token === undefined || count > countMax) return fail("EINVAL");
  const depth = depthText === undefined ? -1 : atoi(depthText);
  if (depthText !== undefined && depth < 0) return fail("EINVAL");
  const path = canonical(name, domainPath(domid));
  const valid = isSpecial(name)
    ? isValidSpecial(cells, request.caller, name)
    : hasValidPath(cells, request.caller, path);
  if (!valid) return fail("EINVAL");
  if (hasWatch(cells, conn, path, token)) return fail("EEXIST");
  if (!privileged && exceeds(cells, domid, "watches", accountOf(cells, domid).watches + 1)) {
    return fail(traits.watchQuotaErrno);
  }
  if (!privileged && exceedsMemory(cells, domid, path.length + token.length)) return fail("ENOMEM");
  const added = addWatch(cells, conn, path, token, path !== name, depth);
  after.do = () => sendEvent(store, added, path);
  return OK;
}

/** UNWATCH: ENOENT where there is no watch with that path and token. */
export function unwatch(store: Store, request: Request): string | Failure {
  const [name, token] = strings(request, 2);
  if (name === undefined || token === undefined || nulCount(request) !== 2) return fail("EINVAL");
  const { conn, domid } = request.caller;
  const path = canonical(name, domainPath(domid));
  // Before 4.22 nobody looked at the path's form here.
  const looks = traitsOf(store.cells).specialsAreNodes;
  if (looks && !isSpecial(name) && !hasValidPath(store.cells, request.caller, path)) return fail("EINVAL");
  return removeWatch(store.cells, conn, path, token) ? OK : fail("ENOENT");
}

/** The domain starts afresh: its watches go, and its transactions with them. */
export function resetWatches(store: Store, request: Request): string | Failure {
  removeAllWatches(store.cells, request.caller.conn);
  dropAllTransactions(store.cells, request.caller.conn);
  return OK;
}

/** TRANSACTION_START: the identifier. */
export function transactionStart(store: Store, request: Request, after: After): string | Failure {
  const { cells } = store;
  const { conn, domid, privileged, transaction } = request.caller;
  if (transaction !== null) return fail("EBUSY");
  const open = must(cells, connectionType, conn).transactions.length;
  if (open === 0 && store.delaysTransaction?.(conn, request.reqId) === true) {
    after.later = true;
    return OK;
  }
  if (!privileged && exceeds(cells, domid, "transactions", open + 1)) return fail("ENOSPC");
  if (!privileged) noteMaximum(cells, domid, "transactions", open + 1);
  return `${startTransaction(cells, conn)}\0`;
}

/** TRANSACTION_END: `T` commits, `F` aborts. */
export function transactionEnd(store: Store, request: Request): string | Failure {
  const arg = oneArg(request);
  if (arg !== "T" && arg !== "F") return fail("EINVAL");
  const { transaction } = request.caller;
  if (transaction === null) return fail("ENOENT");
  if (arg === "T") return commitTransaction(store, request.caller, transaction) ?? OK;
  dropTransaction(store.cells, transaction);
  return OK;
}
