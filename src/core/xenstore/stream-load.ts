// SPDX-License-Identifier: Apache-2.0
//
// Records of the migration stream into a store that was prepared and is empty:
// what the xenstored had that wrote them.

import { type Cells, must } from "../engine/cells.ts";
import { canonical } from "./access.ts";
import type { Caller } from "./caller.ts";
import { connectionType, connectSocket, implicitPath, keepPending } from "./connection.ts";
import {
  type DomainState,
  isIntroduced,
  knowDomain,
  knowExisting,
  orderDomains,
  restoreDomain,
  restoreSettings,
} from "./domain.ts";
import { addNode, dropTree, setPerms, setValue } from "./node.ts";
import { addAccessed, noteSeen, SEEN_ALL } from "./observation.ts";
import { editOwn } from "./own-node.ts";
import {
  type Transaction,
  type TransactionNode,
  transactionKey,
  transactionType,
} from "./transaction-cells.ts";
import { restoreOutput } from "./output.ts";
import { isSpecial, limitedLength, parentOf } from "./path.ts";
import { DOMID_ANY, incarnationOf } from "./perms.ts";
import type { Store } from "./ports.ts";
import type { Limits } from "./limits.ts";
import { domainSettingsOf, setLimit } from "./quota.ts";
import { quotaOfName } from "./quota-names.ts";
import { setSpecialPerms, specialPerms } from "./special.ts";
import {
  ACCESS_READ,
  ACCESS_WRITTEN,
  type ConnectionRecord,
  type DomainRecord,
  type GlobalQuotaRecord,
  type GlobalRecord,
  isStreamProblem,
  type NodeRecord,
  type OwnRecord,
  type PermRecord,
  type QuotaValue,
  type StreamProblem,
  type StreamRecord,
  type StreamVersion,
  type WatchRecord,
} from "./stream.ts";
import type { StreamReader } from "./stream-decode.ts";
import { OWN_CONNECTION, OWN_DOMAIN, OWN_DOMAINS, OWN_REMOVED, OWN_TRANSACTION } from "./stream-save.ts";
import {
  createInTransaction,
  removeInTransaction,
  setPermsInTransaction,
  writeInTransaction,
} from "./transaction.ts";
import { nodeType } from "./tree.ts";
import { lookup, seen } from "./view.ts";
import { FEATURE_DOMID_ANY } from "./version.ts";
import { addWatch, hasWatch } from "./watch.ts";

/** What a stream had besides what is now in the store. */
export interface Loaded {
  global: GlobalRecord | null;
  /** Socket connections: their number here, and the descriptor the stream names. */
  readonly sockets: { readonly conn: number; readonly fd: number }[];
  /** What was read from each and is to be processed before anything new, by number; whole requests among it. */
  readonly input: Map<number, Uint8Array>;
  /** Event channels of introduced domains. */
  readonly ports: Map<number, number>;
  /** Types of records that had no effect. */
  readonly ignored: Set<number>;
}

/** What is going on while a stream is loaded. */
interface Loading extends Loaded {
  readonly store: Store;
  /** Connections here, by the stream's numbers. */
  readonly conns: Map<number, number>;
  /** Transactions that were restored exactly: their pending nodes say nothing new. */
  readonly exact: Set<string>;
  /** The stream said which domains are known: that a permission names one makes it no more. */
  domainsTold: boolean;
  /** Of the stream. */
  readonly version: StreamVersion;
}

/** A record that contradicts what came before it. */
class Contradiction extends Error {}

function contradiction(what: string): never {
  throw new Contradiction(what);
}

/** Loads a whole stream. On a problem the store is of no use. */
export function loadStream(store: Store, reader: StreamReader): Loaded | StreamProblem {
  const loading = startLoading(store, reader.version);
  for (;;) {
    const { offset } = reader;
    const record = reader.next();
    if (record === "end") return loading;
    if (isStreamProblem(record)) return record;
    const problem = loadRecord(loading, record);
    if (problem !== undefined) return { problem, offset };
  }
}

/** Begins to load records one by one. */
export function startLoading(store: Store, version: StreamVersion): Loading {
  return {
    store,
    global: null,
    sockets: [],
    input: new Map(),
    ports: new Map(),
    ignored: new Set(),
    conns: new Map(),
    exact: new Set(),
    domainsTold: false,
    version,
  };
}

/** Loads one record; says what is wrong with it. */
export function loadRecord(loading: Loading, record: StreamRecord): string | undefined {
  try {
    load(loading, record);
    return undefined;
  } catch (error) {
    if (error instanceof Contradiction) return error.message;
    // The content of our own records is only looked at when it is used.
    if (record.type === "own") return `our own record of ${record.kind} makes no sense`;
    throw error;
  }
}

function load(loading: Loading, record: StreamRecord): void {
  switch (record.type) {
    case "global":
      loading.global = record;
      return;
    case "connection":
      return loadConnection(loading, record);
    case "watch":
      return loadWatch(loading, record);
    case "transaction":
      return loadTransaction(loading, record.connId, record.txId);
    case "node":
      return record.connId === 0 ? loadNode(loading, record) : loadPendingNode(loading, record);
    case "global-quota":
      return loadQuota(loading.store.cells, record);
    case "domain":
      return loadDomain(loading, record);
    case "own":
      return loadOwn(loading, record);
    case "unknown":
      loading.ignored.add(record.number);
  }
}

function loadConnection(loading: Loading, { connId, spec, input, output, partial }: ConnectionRecord): void {
  const { store, conns } = loading;
  if (connId === 0 || conns.has(connId)) contradiction(`there are two connections ${connId}`);
  let conn: number;
  if (spec.kind === "socket") {
    conn = connectSocket(store);
    loading.sockets.push({ conn, fd: spec.fd });
  } else {
    conn = spec.domid;
    loading.ports.set(conn, spec.evtchn);
    if (!isIntroduced(store.cells, conn)) introduceAgain(store, conn, spec.evtchn);
    if (spec.target !== null) restoreTarget(store, conn, spec.target, spec.evtchn);
  }
  conns.set(connId, conn);
  if (!restoreOutput(store, conn, output, partial))
    contradiction(`what connection ${connId} has to take is not made of messages`);
  if (input.length > 0) {
    if (spec.kind === "socket") loading.input.set(conn, input);
    else keepPending(store.cells, conn, input, 0, input.length);
  }
}

function introduceAgain(store: Store, domid: number, port: number): void {
  const number = Math.max(1, incarnationOf(store.cells, domid));
  restoreDomain(
    store,
    { domid, number, known: true, introduced: true, shutdown: false, target: null, settings: null },
    port,
  );
}

function restoreTarget(store: Store, domid: number, target: number, port: number): void {
  if (!isIntroduced(store.cells, target)) introduceAgain(store, target, 0);
  const number = incarnationOf(store.cells, domid);
  restoreDomain(
    store,
    { domid, number, known: true, introduced: true, shutdown: false, target, settings: null },
    port,
  );
}

function connectionOf({ conns }: Loading, connId: number): number {
  return conns.get(connId) ?? contradiction(`there is no connection ${connId}`);
}

function loadWatch(loading: Loading, { connId, path, token, depth }: WatchRecord): void {
  const { cells } = loading.store;
  const conn = connectionOf(loading, connId);
  const absolute = canonical(path, implicitPath(must(cells, connectionType, conn)));
  if (hasWatch(cells, conn, absolute, token)) contradiction(`connection ${connId} watches ${path} twice`);
  addWatch(cells, conn, absolute, token, absolute !== path, depth);
}

/** The incarnation of a domain that a permission in force names; a domain not known yet becomes it. */
function know({ store, domainsTold }: Loading, domid: number): number {
  return domainsTold && domid !== DOMID_ANY
    ? incarnationOf(store.cells, domid)
    : knowDomain(store, domid, FEATURE_DOMID_ANY);
}

/** Permissions as stored: entries that are in force get the incarnation of the domain that is known now. */
function storedPerms(loading: Loading, { perms, path }: NodeRecord): string {
  if (perms.length === 0) contradiction(`${path} has no permissions`);
  const [owner, ...others] = perms.map(({ letter, domid }) => `${letter}${domid}`);
  const incarnation = ({ domid, stale }: PermRecord): number => (stale ? 0 : know(loading, domid));
  return [owner, ...others.map((entry, at) => `${entry}:${incarnation(perms[at + 1] as PermRecord)}`)].join(
    " ",
  );
}

/** Adds a node, or gives one that is there this value and these permissions. */
function loadNode(loading: Loading, record: NodeRecord): void {
  const { cells } = loading.store;
  const { path, value } = record;
  const perms = storedPerms(loading, record);
  if (isSpecial(path)) {
    if (specialPerms(cells, path) === undefined) contradiction(`there is no special watch ${path}`);
    return setSpecialPerms(cells, path, perms);
  }
  void know(loading, (record.perms[0] as PermRecord).domid);
  if (cells.get(nodeType, path) !== undefined) {
    setValue(cells, path, value);
    return setPerms(cells, path, perms);
  }
  if (limitedLength(path) < 0) contradiction(`${path} is no path of a node`);
  if (cells.get(nodeType, parentOf(path)) === undefined)
    contradiction(`${path} comes before the node above it`);
  addNode(cells, path, value, perms);
}

function loadTransaction(loading: Loading, connId: number, txId: number): void {
  const { cells } = loading.store;
  const conn = connectionOf(loading, connId);
  const transaction = transactionKey(conn, txId);
  if (txId === 0 || cells.get(transactionType, transaction) !== undefined)
    contradiction(`connection ${connId} has two transactions ${txId}`);
  const connection = cells.edit(connectionType, conn);
  connection.transactions.push(txId);
  if (txId >= connection.nextTransaction) connection.nextTransaction = (txId + 1) >>> 0;
  cells.add(transactionType, transaction, {
    conn,
    id: txId,
    conflict: false,
    failed: false,
    created: false,
    removals: 0,
    rank: 0,
    paths: [],
  });
}

function transactionOf(loading: Loading, connId: number, txId: number): string {
  const transaction = transactionKey(connectionOf(loading, connId), txId);
  if (loading.store.cells.get(transactionType, transaction) === undefined)
    contradiction(`connection ${connId} has no transaction ${txId}`);
  return transaction;
}

/**
 * A node as a transaction of another xenstored had it. What it had read it is
 * taken to have observed in every respect: the document says no more.
 */
function loadPendingNode(loading: Loading, record: NodeRecord): void {
  const { store, exact } = loading;
  const { cells } = store;
  const transaction = transactionOf(loading, record.connId, record.txId);
  if (exact.has(transaction)) return;
  const conn = connectionOf(loading, record.connId);
  const { privileged, domid, target } = must(cells, connectionType, conn);
  const caller: Caller = { conn, privileged, domid, target, transaction };
  const { path } = record;
  const found = lookup(cells, caller, path);
  const there = found.node !== undefined;
  if (record.perms.length === 0) {
    if (there && path !== "/") removeInTransaction(cells, caller, path);
    return;
  }
  if ((record.access & ACCESS_READ) !== 0) seen(cells, caller, found, SEEN_ALL);
  if ((record.access & ACCESS_WRITTEN) === 0) return;
  if (there) writeInTransaction(cells, caller, found, record.value);
  else {
    const above = lookup(cells, caller, parentOf(path));
    if (above.node === undefined) contradiction(`${path} comes before the node above it`);
    createInTransaction(cells, caller, above, path, record.value, true);
  }
  const perms = storedPerms(loading, record);
  if (lookup(cells, caller, path).node?.perms !== perms) setPermsInTransaction(cells, caller, path, perms);
}

/** Limits by our names; names we do not know have no effect. */
function limitsFrom(quotas: readonly QuotaValue[]): Partial<Limits> {
  const limits: Partial<Limits> = {};
  for (const [name, value] of quotas) {
    const known = quotaOfName(name);
    if (known !== undefined) limits[known.limit] = value;
  }
  return limits;
}

function loadQuota(cells: Cells, { perDomain, global }: GlobalQuotaRecord): void {
  const limits = limitsFrom([...perDomain, ...global]);
  for (const [name, value] of Object.entries(limits)) setLimit(cells, name as keyof Limits, value);
}

/** A domain of a stream of version 1 has the features of all. */
function loadDomain({ store, version }: Loading, { domid, features, quotas }: DomainRecord): void {
  void knowExisting(store, domid);
  const told = version >= 2 ? features : domainSettingsOf(store.cells, domid).features;
  restoreSettings(store.cells, domid, { features: told, limits: limitsFrom(quotas) });
}

function loadOwn(loading: Loading, { kind, body }: OwnRecord): void {
  const { cells } = loading.store;
  if (kind === OWN_DOMAIN) {
    const state = body as DomainState;
    return restoreDomain(loading.store, state, loading.ports.get(state.domid) ?? 0);
  }
  if (kind === OWN_DOMAINS) {
    loading.domainsTold = true;
    return orderDomains(cells, body as number[]);
  }
  if (kind === OWN_REMOVED) {
    for (const path of body as string[]) {
      if (cells.get(nodeType, path) === undefined) contradiction(`${path} is removed and was not there`);
      dropTree(cells, path);
    }
    return;
  }
  if (kind === OWN_CONNECTION) {
    const { connId, nextTransaction, ignored } = body as {
      connId: number;
      nextTransaction: number;
      ignored: boolean;
    };
    const connection = cells.edit(connectionType, connectionOf(loading, connId));
    connection.nextTransaction = nextTransaction;
    connection.ignored = ignored;
    return;
  }
  if (kind === OWN_TRANSACTION) return loadExactly(loading, body as ExactTransaction);
  contradiction(`nothing is known of our own records of ${kind}`);
}

interface ExactTransaction {
  readonly connId: number;
  readonly txId: number;
  readonly state: Transaction;
  readonly nodes: readonly (readonly [path: string, own: TransactionNode])[];
}

/** A transaction exactly as it was; the store is the one it was open on. */
function loadExactly(loading: Loading, { connId, txId, state, nodes }: ExactTransaction): void {
  const { cells } = loading.store;
  const transaction = transactionOf(loading, connId, txId);
  const { conn, id } = cells.edit(transactionType, transaction);
  for (const [path, own] of nodes) {
    addAccessed(cells, transaction, path, own.hidden, cells.get(nodeType, path));
    const cell = editOwn(cells, transaction, path);
    Object.assign(cell, own, { seen: cell.seen });
    if (own.seen !== 0) noteSeen(cells, transaction, path, cell, own.seen);
  }
  Object.assign(cells.edit(transactionType, transaction), state, { conn, id });
  loading.exact.add(transaction);
}
