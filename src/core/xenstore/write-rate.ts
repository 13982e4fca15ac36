// SPDX-License-Identifier: Apache-2.0
//
// The write-rate limit (wrl_* in xenstored_domain.c): while somebody has a
// transaction open, each change an unprivileged domain makes costs it credit, and
// one that has none is not read from until it has some again. Credit comes with
// time, shared by all domains, and what a domain does not need goes to a reserve
// for all. So no flood of writes keeps a transaction from ever committing (XSA-206).

import { type Cells, cellType, must } from "../engine/cells.ts";
import type { Caller } from "./caller.ts";
import { transactionType } from "./transaction-cells.ts";
import { FIRST_SOCKET } from "./output.ts";
import type { Store } from "./ports.ts";
import { settingsOf } from "./quota.ts";

/** What a change costs, in units of credit. */
const WRITE_COST = 1000;
/** The most credit a domain keeps, and the most the reserve does. */
const DOMAIN_BURST = 10 * WRITE_COST;
const RESERVE_BURST = 1000 * WRITE_COST;
/** How far the reserve may be overdrawn for the first credit of new domains. */
const NEW_DOMAINS_BURST = 5 * DOMAIN_BURST;
/** Milliseconds that count at most at once. */
const ELAPSED_MAX = 1e9;
const CREDIT_MAX = 1e9;

/** A domain's credit as it was at a time, milliseconds. */
interface Credit {
  credit: number;
  since: number;
  /** That it is limited has been told to the log. */
  told: boolean;
}
const creditType = cellType<Credit>("xenstore-write-credit");
/** Credit for all, and the domains that share what comes with time. */
interface Reserve {
  credit: number;
  domains: number;
}
const reserveType = cellType<Reserve>("xenstore-write-reserve");
const NO_RESERVE: Readonly<Reserve> = { credit: 0, domains: 0 };

function isOn(cells: Cells): boolean {
  return settingsOf(cells).writeRate > 0;
}

function nowMs(store: Store): number {
  return Math.floor(store.now / 1000);
}

/** A domain is introduced. */
export function addWriteCredit(store: Store, domid: number): void {
  const { cells } = store;
  if (!isOn(cells)) return;
  if (cells.get(reserveType, 0) === undefined) cells.add(reserveType, 0, { credit: 0, domains: 0 });
  const reserve = cells.edit(reserveType, 0);
  reserve.domains++;
  const first = Math.max(0, Math.min(reserve.credit + NEW_DOMAINS_BURST, DOMAIN_BURST));
  reserve.credit -= first;
  cells.add(creditType, domid, { credit: first, since: nowMs(store), told: false });
}

/** An introduced domain is forgotten; what it has goes to the reserve. */
export function dropWriteCredit(cells: Cells, domid: number): void {
  const left = cells.get(creditType, domid);
  if (left === undefined) return;
  const reserve = cells.edit(reserveType, 0);
  reserve.domains--;
  reserve.credit += Math.max(0, Math.min(left.credit, DOMAIN_BURST - reserve.credit));
  cells.drop(creditType, domid);
}

/** Brings a domain's credit up to now (wrl_credit_update). */
function update(store: Store, domid: number): Credit {
  const { cells } = store;
  const own = cells.edit(creditType, domid);
  const reserve = cells.edit(reserveType, 0);
  const now = nowMs(store);
  const elapsed = Math.min(now - own.since, ELAPSED_MAX);
  const { writeRate } = settingsOf(cells);
  const gained = Math.floor((elapsed * writeRate * WRITE_COST) / (reserve.domains * 1000));
  own.credit = Math.min(own.credit + gained, CREDIT_MAX);
  own.since = now;
  const lent = Math.max(0, Math.min(reserve.credit, -own.credit));
  reserve.credit -= lent;
  own.credit += lent;
  const surplus = Math.max(0, own.credit - DOMAIN_BURST);
  own.credit -= surplus;
  reserve.credit += Math.max(0, Math.min(surplus, RESERVE_BURST - reserve.credit));
  return own;
}

/** Whether `update` would change nothing of a domain that has used up its credit: it is asked of often. */
function isUpToNow(store: Store, domid: number): boolean {
  const { since } = must(store.cells, creditType, domid);
  return since === nowMs(store) && must(store.cells, reserveType, 0).credit <= 0;
}

function debit(store: Store, domid: number, changes: number): void {
  const own = update(store, domid);
  own.credit -= changes * WRITE_COST;
  if (own.credit >= 0 || own.told) return;
  own.told = true;
  store.log?.(`write rate limit: domain ${domid} is affected`);
}

function isLimited(cells: Cells, { conn, privileged }: Caller): boolean {
  return !privileged && conn < FIRST_SOCKET && cells.get(creditType, conn) !== undefined;
}

/** A caller has changed so many nodes at once. It costs nothing where nobody could be disturbed. */
export function chargeWrites(store: Store, caller: Caller, changes: number): void {
  const { cells } = store;
  if (caller.transaction !== null || cells.count(transactionType) === 0) return;
  if (isLimited(cells, caller)) debit(store, caller.conn, changes);
}

/** A caller's transaction is about to be over, and committed. */
export function chargeCommit(store: Store, caller: Caller): void {
  const { cells } = store;
  if (cells.count(transactionType) > 1 && isLimited(cells, caller)) debit(store, caller.conn, 1);
}

/** What there is for domains that have used up their credit, and how many share what comes with time. */
export function writeReserve(cells: Cells): Readonly<Reserve> {
  return cells.get(reserveType, 0) ?? NO_RESERVE;
}

/** Whether a domain has used up its credit. */
export function isOverdrawn(cells: Cells, domid: number): boolean {
  return (cells.get(creditType, domid)?.credit ?? 0) < 0;
}

/**
 * Brings the credit of a domain that had used it up up to now; when it is to be
 * read from again, microseconds: now, where it has some again. Null where it had.
 */
export function writeRateDeadline(store: Store, domid: number): number | null {
  const { cells } = store;
  if (!isOverdrawn(cells, domid)) return null;
  const { credit } = isUpToNow(store, domid) ? must(cells, creditType, domid) : update(store, domid);
  if (credit >= 0) return store.now;
  const domains = cells.get(reserveType, 0)?.domains ?? 1;
  const ms = Math.ceil((-credit * domains) / settingsOf(cells).writeRate);
  return store.now + ms * 1000;
}
