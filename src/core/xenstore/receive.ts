// SPDX-License-Identifier: Apache-2.0
//
// Bytes in, messages out: what a connection sent is cut into requests, each is
// answered at once, and replies and events are queued.

import { must } from "../engine/cells.ts";
import { fail, type Failure, isFailure } from "../engine/errno.ts";
import type { Caller } from "./caller.ts";
import { connectionType, keepPending, pendingInput } from "./connection.ts";
import { control } from "./control.ts";
import { ignoreConnection, XENSTORE_ERROR_PROTO } from "./domain.ts";
import { lookAhead } from "./look-ahead.ts";
import { accessedCount } from "./observation.ts";
import { transactionKey, transactionType } from "./transaction-cells.ts";
import { answerAsOcaml, ignoresTransaction } from "./oxenstored/answer.ts";
import { tellMemory } from "./memory-log.ts";
import { FIRST_SOCKET, queueReply } from "./output.ts";
import type { CurrentRequest } from "./pending.ts";
import type { Store } from "./ports.ts";
import { exceedsMemory, isUnprivilegedDomid, exceeds, traitsOf } from "./quota.ts";
import { type After, type Handler, type Request } from "./request.ts";
import { resetWatches, transactionEnd, transactionStart, unwatch, watch } from "./requests-connection.ts";
import {
  getDomainPath,
  introduce,
  isDomainIntroduced,
  release,
  resume,
  setTargetRequest,
} from "./requests-domain.ts";
import { directory, directoryPart, mkdir, read, rm, write } from "./requests-node.ts";
import { getPerms, setPermsRequest } from "./requests-perms.ts";
import { getFeature, getQuota, setFeature, setQuota } from "./requests-settings.ts";
import { forgetLastAccess } from "./transaction.ts";
import type { VersionTraits } from "./version.ts";
import { HEADER_SIZE, isWireError, PAYLOAD_MAX, type Packet, parse, readLatin1, XS } from "./wire.ts";

/** A kind of request. All have the same fields in the same order: they are looked at with every request. */
interface RequestType {
  readonly handler: Handler;
  /** For privileged connections only. */
  readonly privileged: boolean;
  /** Only versions with this trait have it. */
  readonly since: "domainSettings" | null;
  /** The transaction identifier does not matter. */
  readonly ignoresTransaction: boolean;
}

function requestType(handler: Handler, how: Partial<Omit<RequestType, "handler">> = {}): RequestType {
  const { privileged = false, since = null, ignoresTransaction = false } = how;
  return { handler, privileged, since, ignoresTransaction };
}

const requestTypes: readonly (RequestType | undefined)[] = Object.assign([], {
  [XS.CONTROL]: requestType(control, { privileged: true }),
  [XS.DIRECTORY]: requestType(directory),
  [XS.READ]: requestType(read),
  [XS.GET_PERMS]: requestType(getPerms),
  [XS.WATCH]: requestType(watch, { ignoresTransaction: true }),
  [XS.UNWATCH]: requestType(unwatch, { ignoresTransaction: true }),
  [XS.TRANSACTION_START]: requestType(transactionStart),
  [XS.TRANSACTION_END]: requestType(transactionEnd),
  [XS.INTRODUCE]: requestType(introduce, { privileged: true }),
  [XS.RELEASE]: requestType(release, { privileged: true }),
  [XS.GET_DOMAIN_PATH]: requestType(getDomainPath),
  [XS.WRITE]: requestType(write),
  [XS.MKDIR]: requestType(mkdir),
  [XS.RM]: requestType(rm),
  [XS.SET_PERMS]: requestType(setPermsRequest),
  [XS.IS_DOMAIN_INTRODUCED]: requestType(isDomainIntroduced, { privileged: true }),
  [XS.RESUME]: requestType(resume, { privileged: true }),
  [XS.SET_TARGET]: requestType(setTargetRequest, { privileged: true }),
  [XS.RESET_WATCHES]: requestType(resetWatches),
  [XS.DIRECTORY_PART]: requestType(directoryPart),
  [XS.GET_FEATURE]: requestType(getFeature, { since: "domainSettings" }),
  [XS.SET_FEATURE]: requestType(setFeature, { since: "domainSettings", privileged: true }),
  [XS.GET_QUOTA]: requestType(getQuota, { since: "domainSettings", privileged: true }),
  [XS.SET_QUOTA]: requestType(setQuota, { since: "domainSettings", privileged: true }),
} satisfies Record<number, RequestType>);

/**
 * Takes bytes a connection has sent, in pieces of any size, and answers every
 * whole request in them. Nothing of `chunk` is kept.
 *
 * @param length how many bytes of `chunk` there are; all by default
 * @returns `failed` where the connection broke the protocol: a socket is then to
 *   be closed once its output is taken (and `disconnect` called); a domain's
 *   connection is ignored from now on
 */
export function receive(
  store: Store,
  conn: number,
  chunk: Uint8Array,
  length = chunk.length,
): "open" | "failed" {
  const { cells } = store;
  if (must(cells, connectionType, conn).ignored) return "failed";
  const pending = pendingInput(cells, conn);
  if (pending === undefined) return answerAll(store, conn, chunk, 0, length, false);
  // Only the message that began earlier is put together: the rest is read where it is.
  const used = Math.min(length, missingOf(pending, chunk, length));
  const joined = new Uint8Array(pending.length + used);
  joined.set(pending);
  joined.set(chunk.subarray(0, used), pending.length);
  const state = answerAll(store, conn, joined, 0, joined.length, true);
  return state === "failed" || used === length ? state : answerAll(store, conn, chunk, used, length, false);
}

/** Bytes of `chunk` that belong to the message that `pending` begins. */
function missingOf(pending: Uint8Array, chunk: Uint8Array, length: number): number {
  const missingHeader = HEADER_SIZE - pending.length;
  if (length < missingHeader) return length;
  let body = 0;
  for (let at = HEADER_SIZE - 1; at >= HEADER_SIZE - 4; at--) {
    const byte = (at < pending.length ? pending[at] : chunk[at - pending.length]) as number;
    body = body * 256 + byte;
  }
  return Math.max(0, missingHeader + body);
}

/**
 * Answers every whole request in `bytes[start, end)`, and keeps what begins another.
 *
 * @param hasPending whether something was kept before
 */
function answerAll(
  store: Store,
  conn: number,
  bytes: Uint8Array,
  start: number,
  end: number,
  hasPending: boolean,
): "open" | "failed" {
  const { cells } = store;
  let at = start;
  let seen = start;
  for (;;) {
    if (at >= seen) seen = lookAhead(cells, bytes, at, end);
    const parsed = parse(bytes, at, end);
    if (parsed.state === "need-more") break;
    if (parsed.state === "failed") {
      keepPending(cells, conn, bytes, end, end);
      if (must(cells, connectionType, conn).kind === "ring")
        ignoreConnection(store, conn, XENSTORE_ERROR_PROTO);
      return "failed";
    }
    at = parsed.end;
    if (!answer(store, conn, bytes, parsed)) return "failed";
  }
  if (hasPending || at < end) keepPending(cells, conn, bytes, at, end);
  return "open";
}

/** process_message in xenstored_core.c. Returns whether the connection is still there: a request may have ended it. */
function answer(store: Store, conn: number, bytes: Uint8Array, packet: Packet): boolean {
  const { type, reqId, start, end } = packet;
  store.observe?.({ kind: "in", conn, type, reqId, txId: packet.txId, body: readLatin1(bytes, start, end) });
  const after: After = { do: undefined };
  const limited = conn < FIRST_SOCKET && isUnprivilegedDomid(store.cells, conn);
  const request: CurrentRequest | undefined = limited ? { domid: conn, ref: null } : undefined;
  if (limited) store.request = request;
  const traits = traitsOf(store.cells);
  const ocaml = traits.requests === "oxenstored";
  const txId = ocaml && ignoresTransaction(type) ? 0 : packet.txId;
  let result = ocaml
    ? performAsOcaml(store, conn, bytes, packet, after)
    : perform(store, conn, bytes, packet, after, traits);
  if (limited) store.request = undefined;
  // A socket's connection ends by its socket, not by a request.
  if (conn < FIRST_SOCKET && store.cells.get(connectionType, conn) === undefined) return false;
  if (after.later === true) return true;
  if (!isFailure(result) && result.length > PAYLOAD_MAX) result = fail("E2BIG");
  if (limited && !isFailure(result) && isTooMuch(store, conn, result.length)) result = fail("ENOMEM");
  const ref = request?.ref ?? null;
  if (isFailure(result)) {
    const { errno } = result;
    const name = traits.wireNames[errno] ?? (isWireError(errno) ? errno : "EINVAL");
    queueReply(store, conn, XS.ERROR, reqId, txId, `${name}\0`, ref);
  } else {
    queueReply(store, conn, type, reqId, txId, result, ref);
    after.do?.();
  }
  if (limited) tellMemory(store, conn);
  return true;
}

function performAsOcaml(
  store: Store,
  conn: number,
  bytes: Uint8Array,
  { type, reqId, txId, start, end }: Packet,
  after: After,
): string | Failure {
  const { privileged, domid, target } = must(store.cells, connectionType, conn);
  const caller: Caller = { conn, privileged, domid, target, transaction: null };
  return answerAsOcaml(store, type, txId, { caller, reqId, body: readLatin1(bytes, start, end), after });
}

/** Replies of so many bytes are sent whatever a domain holds already (DEFAULT_BUFFER_SIZE). */
const SMALL_REPLY_MAX = 16;

/** Whether a domain holds too much to be sent a reply of that many bytes (send_reply in xenstored_core.c). */
function isTooMuch({ cells }: Store, domid: number, bytes: number): boolean {
  return bytes > SMALL_REPLY_MAX && exceedsMemory(cells, domid, HEADER_SIZE + bytes);
}

function perform(
  store: Store,
  conn: number,
  bytes: Uint8Array,
  packet: Packet,
  after: After,
  traits: VersionTraits,
): string | Failure {
  const { type, txId } = packet;
  const known = requestTypes[type];
  if (known === undefined || type > traits.typeMax) return fail("ENOSYS");
  if (known.since !== null && !traits[known.since]) return fail("ENOSYS");
  const connection = must(store.cells, connectionType, conn);
  if (known.privileged && !connection.privileged) return fail("EACCES");
  let transaction: string | null = null;
  if (txId !== 0 && !known.ignoresTransaction) {
    transaction = transactionKey(conn, txId);
    if (store.cells.get(transactionType, transaction) === undefined) return fail("ENOENT");
  }
  const caller: Caller = {
    conn,
    privileged: connection.privileged,
    domid: connection.domid,
    target: connection.target,
    transaction,
  };
  const request: Request = {
    caller,
    type,
    reqId: packet.reqId,
    txId,
    bytes,
    start: packet.start,
    end: packet.end,
  };
  if (transaction === null || caller.privileged) return known.handler(store, request, after);
  const before = accessedCount(store.cells, transaction);
  const result = known.handler(store, request, after);
  return isOverfull(store, caller, transaction, before) ? fail("ENOSPC") : result;
}

/**
 * Whether a request accessed more nodes than its transaction may (access_node in
 * xenstored_transaction.c): it fails, whatever it found, and the commit will.
 * What was too much is not remembered: it fails again.
 */
function isOverfull(store: Store, caller: Caller, transaction: string, before: number): boolean {
  const { cells } = store;
  let isOver = false;
  for (let count = accessedCount(cells, transaction); count > before; count--) {
    if (!exceeds(cells, caller.domid, "transaction-nodes", count)) break;
    forgetLastAccess(cells, transaction);
    isOver = true;
  }
  return isOver;
}
