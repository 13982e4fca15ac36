// SPDX-License-Identifier: Apache-2.0
//
// Requests as oxenstored answers them (process.ml process_packet): its own table,
// since hardly any of its rules are C xenstored's.

import { must } from "../../engine/cells.ts";
import { fail, type Failure, isFailure } from "../../engine/errno.ts";
import type { Caller } from "../caller.ts";
import { connectionType } from "../connection.ts";
import { checkStore } from "../check.ts";
import type { Store } from "../ports.ts";
import { OK } from "../request.ts";
import { exceeds, settingsOf } from "../quota.ts";
import { dropAllTransactions, dropTransaction, openTransaction } from "../transaction.ts";
import { transactionKey, transactionType } from "../transaction-cells.ts";
import { addWatch, hasWatch, removeAllWatches, removeWatch, sendEvent, watchCount } from "../watch.ts";
import { XS } from "../wire.ts";
import { entriesOf } from "./entries.ts";
import { mayBeWatched, watchPath } from "./path.ts";
import { isDom0 } from "./perms.ts";
import type { OcamlRequest } from "./request.ts";
import {
  getDomainPath,
  introduce,
  isDomainIntroduced,
  release,
  resume,
  setTargetRequest,
  split,
} from "./requests-domain.ts";
import { directory, dueForRemoval, getPerms, mkdir, read, rm, setPerms, write } from "./requests-node.ts";
import {
  addProgress,
  changesOf,
  commitAsIs,
  dropProgress,
  isFull,
  noteOperation,
  type Operation,
  operationsOf,
  replayKey,
  takeTransactionId,
} from "./transaction.ts";
import type { View } from "./tree.ts";
import { type Due, dueFor, fire, permsIn } from "./watch.ts";

type Answer = (store: Store, request: OcamlRequest) => string | Failure;

/** What a transaction may consist of, and be replayed (function_of_type_simple_op). */
const simple: Readonly<Record<number, Answer>> = {
  [XS.DIRECTORY]: directory,
  [XS.READ]: read,
  [XS.GET_PERMS]: getPerms,
  [XS.GET_DOMAIN_PATH]: getDomainPath,
  [XS.WRITE]: write,
  [XS.MKDIR]: mkdir,
  [XS.RM]: rm,
  [XS.SET_PERMS]: setPerms,
  // Of the server's own messages it thinks as of requests that it does not know.
  [XS.WATCH_EVENT]: () => fail("ENOSYS"),
  [XS.ERROR]: () => fail("ENOSYS"),
};

const others: Readonly<Record<number, Answer>> = {
  [XS.CONTROL]: control,
  [XS.WATCH]: watch,
  [XS.UNWATCH]: unwatch,
  [XS.TRANSACTION_START]: transactionStart,
  [XS.TRANSACTION_END]: transactionEnd,
  [XS.INTRODUCE]: introduce,
  [XS.RELEASE]: release,
  [XS.IS_DOMAIN_INTRODUCED]: isDomainIntroduced,
  [XS.RESUME]: resume,
  [XS.SET_TARGET]: setTargetRequest,
  [XS.RESET_WATCHES]: resetWatches,
};

/** Whether the reply to such a request names no transaction, and none is looked for (maybe_ignore_transaction). */
export function ignoresTransaction(type: number): boolean {
  return type === XS.WATCH || type === XS.UNWATCH;
}

/** Answers a request; EIO for a transaction that is not there, whatever is asked. */
export function answerAsOcaml(
  store: Store,
  type: number,
  txId: number,
  request: Omit<OcamlRequest, "view">,
): string | Failure {
  const { cells } = store;
  const view = txId === 0 || ignoresTransaction(type) ? null : transactionKey(request.caller.conn, txId);
  const handler = simple[type] ?? others[type] ?? (() => fail("ENOSYS"));
  if (view === null) return handler(store, { ...request, view });
  if (cells.get(transactionType, view) === undefined) return fail("EIO");
  const isLimited = !isDom0(request.caller);
  // Its end counts as any other: a transaction that is full can never end.
  if (isLimited && isFull(cells, view)) return fail("ENOSPC");
  const caller = { ...request.caller, transaction: view };
  const result = handler(store, { ...request, caller, view });
  noteOperation(cells, view, { type, body: request.body, answer: shownAnswer(result) });
  return result;
}

/** An answer, to be compared with another one. */
function shownAnswer(result: string | Failure): string {
  return isFailure(result) ? `-${result.errno}` : `+${result}`;
}

/** CONTROL. What it does not know it agrees to, and does nothing; so it does with whoever is not domain 0. */
function control(store: Store, { caller, body }: OcamlRequest): string | Failure {
  const [name, arg] = split(body);
  if (!isDom0(caller)) return OK;
  if (name === "print" && arg !== undefined) store.log?.(arg);
  if (name === "check") for (const problem of checkStore(store.cells)) store.log?.(`check_store: ${problem}`);
  if (name !== "quota" || arg === undefined || !/^\d+$/.test(arg)) return OK;
  const owner = String(Number(arg));
  const count = entriesOf(store.cells, null, owner);
  const { nodes } = settingsOf(store.cells).limits;
  return count === 0 ? `dom${owner} quota: not set\0` : `dom${owner} quota: ${count}/${nodes}\0`;
}

/** The path and the token of WATCH and UNWATCH, and nothing else. */
function watchArguments({
  caller,
  body,
}: OcamlRequest): { path: string; name: string; token: string } | Failure {
  const [name, token, end, ...more] = split(body);
  if (name === undefined || token === undefined || end !== "" || more.length > 0) return fail("EINVAL");
  const path = watchPath(caller.domid, name);
  return isFailure(path) ? path : { path, name, token };
}

function watch(store: Store, request: OcamlRequest): string | Failure {
  const { cells } = store;
  const { conn, domid } = request.caller;
  const found = watchArguments(request);
  if (isFailure(found)) return found;
  const { path, name, token } = found;
  if (!mayBeWatched(path)) return fail("EINVAL");
  if (!isDom0(request.caller) && exceeds(cells, domid, "watches", watchCount(cells, conn) + 1))
    return fail("ENOSPC");
  if (hasWatch(cells, conn, path, token)) return fail("EEXIST");
  const added = addWatch(cells, conn, path, token, path !== name, -1);
  request.after.do = () => sendEvent(store, added, path);
  return OK;
}

function unwatch({ cells }: Store, request: OcamlRequest): string | Failure {
  const found = watchArguments(request);
  if (isFailure(found)) return found;
  return removeWatch(cells, request.caller.conn, found.path, found.token) ? OK : fail("ENOENT");
}

function resetWatches({ cells }: Store, { caller }: OcamlRequest): string | Failure {
  removeAllWatches(cells, caller.conn);
  dropAllTransactions(cells, caller.conn);
  return OK;
}

function transactionStart(store: Store, { caller, view, reqId, after }: OcamlRequest): string | Failure {
  const { cells } = store;
  const { conn, domid } = caller;
  if (view !== null) return fail("EBUSY");
  const open = must(cells, connectionType, conn).transactions.length;
  if (open === 0 && store.delaysTransaction?.(conn, reqId) === true) {
    after.later = true;
    return OK;
  }
  if (!isDom0(caller) && exceeds(cells, domid, "transactions", open + 1)) return fail("ENOSPC");
  const id = takeTransactionId(cells, conn);
  openTransaction(cells, conn, id);
  addProgress(cells, transactionKey(conn, id));
  return `${id}\0`;
}

/** TRANSACTION_END. A transaction that has changed nothing is always committed. */
function transactionEnd(store: Store, { caller, view, body }: OcamlRequest): string | Failure {
  const { cells } = store;
  const [what] = split(body);
  if (what !== "T" && what !== "F") return fail("EINVAL");
  if (view === null) return fail("ENOENT");
  const changes = changesOf(cells, view);
  if (what === "F" || changes.length === 0) {
    dropTransaction(cells, view);
    return OK;
  }
  const due = changes.flatMap(({ what: change, path }) => dueForChange(store, view, change, path));
  const done = commitAsIs(cells, view) || replay(store, caller, operationsOf(cells, view));
  dropTransaction(cells, view);
  if (!done) return fail("EAGAIN");
  fire(store, due);
  return OK;
}

/** Whom a change in a transaction concerns: as the transaction saw it, and as it was at its start. */
function dueForChange({ cells }: Store, view: View, change: string, path: string): Due[] {
  const [now, before] = [permsIn(cells, view, false), permsIn(cells, view, true)];
  if (change === "rm") return dueForRemoval(cells, path, before);
  if (change === "setperms") return dueFor(cells, path, (at) => [...before(at), ...now(at)]);
  return dueFor(cells, path, now);
}

/**
 * Makes all requests of a transaction again, in one that begins now. Where each
 * is answered as it was, that one is committed; else nothing has happened
 * (transaction_replay).
 */
function replay(store: Store, caller: Caller, operations: readonly Operation[]): boolean {
  const { cells } = store;
  const view = replayKey(cells, caller.conn);
  addProgress(cells, view);
  const same = operations.every(({ type, body, answer }) => {
    const request: OcamlRequest = {
      caller: { ...caller, transaction: view },
      view,
      reqId: 0,
      body,
      after: { do: undefined },
    };
    const again = simple[type]?.(store, request);
    return again !== undefined && shownAnswer(again) === answer;
  });
  const done = same && commitAsIs(cells, view);
  dropProgress(cells, view);
  return done;
}
