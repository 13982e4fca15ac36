// SPDX-License-Identifier: Apache-2.0
//
// A store as records of the migration stream: all that a xenstored has that
// takes over from this one.

import { type Cells, type DeepReadonly, must } from "../engine/cells.ts";
import type { Caller } from "./caller.ts";
import { type Connection, connectionType, pendingInput } from "./connection.ts";
import { domainState, isIntroduced, knownDomains, knownDomids } from "./domain.ts";
import { listItems } from "./list.ts";
import { type AccessedNode, accessedNodes } from "./observation.ts";
import { transactionKey, transactionType } from "./transaction-cells.ts";
import { copyOutput, FIRST_SOCKET } from "./output.ts";
import { childPath } from "./path.ts";
import { permsInForce } from "./perms.ts";
import { domainSettingsOf, hasDomainSettings, settingsOf, traitsOf } from "./quota.ts";
import type { Limits } from "./limits.ts";
import { type QuotaName, quotaNames, quotaOfName } from "./quota-names.ts";
import { INTRODUCE_DOMAIN, RELEASE_DOMAIN, specialPerms } from "./special.ts";
import {
  ACCESS_READ,
  ACCESS_WRITTEN,
  NO_FD,
  type ConnectionRecord,
  type GlobalQuotaRecord,
  type NodeRecord,
  type QuotaValue,
  type StreamRecord,
  type WatchRecord,
} from "./stream.ts";
import { childrenList, nodeType } from "./tree.ts";
import { lookup } from "./view.ts";
import { eventPath, watchesOf } from "./watch.ts";

/** What only the transport knows, and whom the stream is for. */
export interface SaveOptions {
  /** Descriptor that accepts connections, or -1. */
  readonly socketFd?: number;
  /** Descriptor of a socket connection in the process that takes over. */
  readonly fdOf?: (conn: number) => number;
  /** Whole requests that were read and are yet to be answered. */
  readonly delayed?: (conn: number) => Uint8Array;
  /** Bytes read from a connection that the store has not been given. */
  readonly unread?: (conn: number) => Uint8Array;
  /** Bytes to follow what the connection has to take: a reply that is to come from the successor. */
  readonly reply?: (conn: number) => Uint8Array;
  /** Event channel of an introduced domain. */
  readonly portOf?: (domid: number) => number;
  /** The reader is known to be us: say what the document has no records for, too. */
  readonly own: boolean;
}

/** The own record that says which domids are known and what of them is to be kept. */
export const OWN_DOMAIN = "domain";
/** Domids of known domains, the latest first. */
export const OWN_DOMAINS = "domains";
/** Paths of nodes that are gone, children before their parents; only in a journal. */
export const OWN_REMOVED = "removed";
export const OWN_CONNECTION = "connection";
export const OWN_TRANSACTION = "transaction";

/** All records of a store but END, in an order every reader can take. */
export function* saveStore(cells: Cells, options: SaveOptions): Generator<StreamRecord> {
  yield { type: "global", socketFd: options.socketFd ?? NO_FD, evtchnFd: NO_FD };
  yield quotaRecord(cells);
  const connections = connectionsOf(cells);
  const connIds = new Map(connections.map((conn, index) => [conn, index + 1]));
  for (const [conn, connId] of connIds) {
    yield connectionRecord(cells, conn, connId, options);
    yield* watchRecords(cells, conn, connId);
    if (options.own) yield ownConnection(must(cells, connectionType, conn), connId);
  }
  if (options.own) yield* domainRecords(cells);
  for (const path of [RELEASE_DOMAIN, INTRODUCE_DOMAIN]) yield specialRecord(cells, path);
  yield* nodeRecords(cells);
  yield* plainDomainRecords(cells);
  for (const [conn, connId] of connIds) yield* transactionRecords(cells, conn, connId, options.own);
}

/** Introduced domains in the order of their introduction, domain 0 first; then sockets in theirs. */
function connectionsOf(cells: Cells): number[] {
  const rings = knownDomains(cells)
    .toReversed()
    .filter((domid) => isIntroduced(cells, domid));
  const sockets = cells
    .ids(connectionType)
    .map(Number)
    .filter((conn) => conn >= FIRST_SOCKET);
  return [...rings, ...sockets];
}

function connectionRecord(
  cells: Cells,
  conn: number,
  connId: number,
  options: SaveOptions,
): ConnectionRecord {
  const { kind, target } = must(cells, connectionType, conn);
  const { bytes, partial } = copyOutput(cells, conn);
  return {
    type: "connection",
    connId,
    spec:
      kind === "ring"
        ? { kind, domid: conn, target, evtchn: options.portOf?.(conn) ?? 0 }
        : { kind, fd: options.fdOf?.(conn) ?? NO_FD },
    input: joined(options.delayed?.(conn), pendingInput(cells, conn), options.unread?.(conn)),
    output: joined(bytes, options.reply?.(conn)),
    partial,
    uniqueId: null,
  };
}

function joined(...parts: readonly (Uint8Array | undefined)[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + (part?.length ?? 0), 0));
  let at = 0;
  for (const part of parts) {
    if (part === undefined) continue;
    all.set(part, at);
    at += part.length;
  }
  return all;
}

function* watchRecords(cells: Cells, conn: number, connId: number): Generator<WatchRecord> {
  for (const { path, token, relative, depth } of watchesOf(cells, conn)) {
    yield { type: "watch", connId, path: eventPath(cells, { conn, relative }, path), token, depth };
  }
}

function ownConnection(connection: DeepReadonly<Connection>, connId: number): StreamRecord {
  const { nextTransaction, ignored } = connection;
  return { type: "own", kind: OWN_CONNECTION, body: { connId, nextTransaction, ignored } };
}

/** What the document's records do not say of domains. */
export function* domainRecords(cells: Cells): Generator<StreamRecord> {
  for (const domid of knownDomids(cells)) yield domainRecord(cells, domid);
  yield domainOrderRecord(cells);
}

/** What is to be kept of a domid. */
export function domainRecord(cells: Cells, domid: number): StreamRecord {
  return { type: "own", kind: OWN_DOMAIN, body: domainState(cells, domid) };
}

/** Which domains are known, the latest first. */
export function domainOrderRecord(cells: Cells): StreamRecord {
  return { type: "own", kind: OWN_DOMAINS, body: [...knownDomains(cells)] };
}

/** DOMAIN_DATA of every introduced domain: the features it was told of, and its limits where it has its own. */
function* plainDomainRecords(cells: Cells): Generator<StreamRecord> {
  for (const domid of knownDomains(cells).toReversed()) {
    if (!isIntroduced(cells, domid)) continue;
    const { features, limits } = domainSettingsOf(cells, domid);
    const quotas = hasDomainSettings(cells, domid) ? quotaValues(limits) : [];
    yield { type: "domain", domid, features, quotas };
  }
}

/** Limits by the names of 4.22 and later, which the document refers to. */
function quotaValues(limits: Readonly<Limits>): QuotaValue[] {
  return quotaNames().map((name) => [name, limits[(quotaOfName(name) as QuotaName).limit]]);
}

/** The limits in force. */
export function quotaRecord(cells: Cells): GlobalQuotaRecord {
  return { type: "global-quota", perDomain: quotaValues(settingsOf(cells).limits), global: [] };
}

/** The permissions of a special watch. */
export function specialRecord(cells: Cells, path: string): NodeRecord {
  return plainNode(cells, path, "", specialPerms(cells, path) as string);
}

function plainNode(cells: Cells, path: string, value: string, perms: string): NodeRecord {
  return { type: "node", connId: 0, txId: 0, path, value, access: 0, perms: permsInForce(cells, perms) };
}

/** A node of the store. */
export function nodeRecord(cells: Cells, path: string): NodeRecord {
  const { value, perms } = must(cells, nodeType, path);
  return plainNode(cells, path, value, perms);
}

/** All nodes of the store, parents before children and siblings in their order. */
function* nodeRecords(cells: Cells): Generator<NodeRecord> {
  const waiting = ["/"];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    yield nodeRecord(cells, path);
    const names = listItems(cells, childrenList, path);
    for (let at = names.length - 1; at >= 0; at--) waiting.push(childPath(path, names[at] as string));
  }
}

/** Open transactions of a connection, as the document has them and, for us, as they are. */
function* transactionRecords(
  cells: Cells,
  conn: number,
  connId: number,
  own: boolean,
): Generator<StreamRecord> {
  const { transactions, privileged, domid, target } = must(cells, connectionType, conn);
  // The document cannot say what oxenstored's consist of, and neither does it (connection.ml prevents_live_update).
  if (traitsOf(cells).requests === "oxenstored") return;
  for (const txId of transactions) {
    const transaction = transactionKey(conn, txId);
    const accessed = accessedNodes(cells, transaction);
    yield { type: "transaction", connId, txId };
    if (own) {
      const nodes = accessed.map(({ path, own: node }) => [path, node]);
      const state = must(cells, transactionType, transaction);
      yield { type: "own", kind: OWN_TRANSACTION, body: { connId, txId, state, nodes } };
    }
    const caller: Caller = { conn, privileged, domid, target, transaction };
    for (const node of accessed) {
      const record = pendingNode(cells, caller, node);
      if (record !== undefined) yield { ...record, connId, txId };
    }
  }
}

/** A node as a transaction sees it; undefined for one it only found missing, which the document cannot say. */
function pendingNode(cells: Cells, caller: Caller, { path, own }: AccessedNode): NodeRecord | undefined {
  const { seen, modified, hidden, ensured } = own;
  const view = lookup(cells, caller, path).node;
  if (view === undefined && !(hidden && !ensured)) return undefined;
  const access = (seen === 0 ? 0 : ACCESS_READ) | (modified ? ACCESS_WRITTEN : 0);
  if (view === undefined) return { type: "node", connId: 0, txId: 0, path, value: "", access: 0, perms: [] };
  return { ...plainNode(cells, path, view.value, view.perms), access };
}
