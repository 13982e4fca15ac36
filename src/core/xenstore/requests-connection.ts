// SPDX-License-Identifier: Apache-2.0
//
// Requests about the connection itself: watches (xenstored_watch.c) and
// transactions (xenstored_transaction.c).

import { must } from "../engine/cells.ts";
import { fail, type Failure } from "../engine/errno.ts";
import { canonical } from "./access.ts";
import { commitTransaction } from "./commit.ts";
import { connectionType } from "./connection.ts";
import { domainPath, isSpecial, isValidPath } from "./path.ts";
import type { Store } from "./ports.ts";
import { accountOf, exceedsMemory, isFullLenient, settingsOf, traitsOf } from "./quota.ts";
import { type After, atoi, nulCount, OK, oneArg, type Request, strings } from "./request.ts";
import { dropAllTransactions, dropTransaction, startTransaction } from "./transaction.ts";
import { addWatch, fireInitialEvent, hasWatch, removeAllWatches, removeWatch } from "./watch.ts";

/** Longest name of a special watch (XENSTORE_REL_PATH_MAX). */
const SPECIAL_PATH_MAX = 2048;

/** WATCH: a path or special path, a token, and where the version has it a depth. The first event comes at once. */
export function watch(store: Store, request: Request, after: After): string | Failure {
  const { cells } = store;
  const { conn, domid, privileged } = request.caller;
  const traits = traitsOf(cells);
  const [name, token, depthText] = strings(request, 3);
  const count = nulCount(request);
  if (name === undefined || token === undefined || count > (traits.watchDepth ? 3 : 2)) return fail("EINVAL");
  const depth = depthText === undefined ? -1 : atoi(depthText);
  if (depthText !== undefined && depth < 0) return fail("EINVAL");
  const path = canonical(name, domainPath(domid));
  const { limits } = settingsOf(cells);
  const valid = isSpecial(name) ? name.length <= SPECIAL_PATH_MAX : isValidPath(path, limits["path-max"]);
  if (!valid) return fail("EINVAL");
  if (hasWatch(cells, conn, path, token)) return fail("EEXIST");
  if (!privileged && isFullLenient(traits, limits.watches, accountOf(cells, domid).watches)) {
    return fail(traits.watchQuotaErrno);
  }
  if (!privileged && exceedsMemory(cells, domid, path.length + token.length)) return fail("ENOMEM");
  addWatch(cells, conn, path, token, path !== name, depth);
  after.do = () => fireInitialEvent(store, conn, path, token);
  return OK;
}

/** UNWATCH: ENOENT where there is no watch with that path and token. */
export function unwatch(store: Store, request: Request): string | Failure {
  const [name, token] = strings(request, 2);
  if (name === undefined || token === undefined || nulCount(request) !== 2) return fail("EINVAL");
  const { conn, domid } = request.caller;
  return removeWatch(store.cells, conn, canonical(name, domainPath(domid)), token) ? OK : fail("ENOENT");
}

/** The domain starts afresh: its watches go, and its transactions with them. */
export function resetWatches(store: Store, request: Request): string | Failure {
  removeAllWatches(store.cells, request.caller.conn);
  dropAllTransactions(store.cells, request.caller.conn);
  return OK;
}

/** TRANSACTION_START: the identifier. */
export function transactionStart(store: Store, request: Request): string | Failure {
  const { cells } = store;
  const { conn, privileged, transaction } = request.caller;
  if (transaction !== null) return fail("EBUSY");
  const open = must(cells, connectionType, conn).transactions.length;
  if (!privileged && isFullLenient(traitsOf(cells), settingsOf(cells).limits.transactions, open))
    return fail("ENOSPC");
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
