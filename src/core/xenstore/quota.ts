// SPDX-License-Identifier: Apache-2.0
//
// Limits on what an unprivileged domain may make xenstored hold, and what each
// domain holds. Privileged domains and sockets have no limits and are not
// counted, so that dom0's writes all over the tree share no cell.

import { type Cells, cellType, must } from "../engine/cells.ts";
import type { ConflictRule, VersionTraits, XenstoreVersion } from "./version.ts";
import { versionTraits } from "./version.ts";

/** Settings of a xenstored: chosen at its start, the limits changeable by CONTROL quota. */
export interface Settings {
  version: XenstoreVersion;
  conflicts: ConflictRule;
  /** The domain besides domain 0 that is privileged, or 0. */
  privDomid: number;
  /** Microseconds an event waits for an unprivileged domain to take it; 0 for ever. */
  eventTimeout: number;
  limits: Limits;
}

/** Hard limits, by the names CONTROL quota uses, and the one soft limit. */
export interface Limits {
  nodes: number;
  watches: number;
  transactions: number;
  outstanding: number;
  "transaction-nodes": number;
  memory: number;
  "node-size": number;
  "path-max": number;
  permissions: number;
  "soft-memory": number;
}

const settingsType = cellType<Settings>("xenstore-settings");
const SETTINGS = 0;

/** The limits real xenstored starts with (xenstored_core.c). */
export function defaultLimits(): Limits {
  return {
    nodes: 1000,
    watches: 128,
    transactions: 10,
    outstanding: 20,
    "transaction-nodes": 1024,
    memory: 2 * 1024 * 1024 + 512 * 1024,
    "node-size": 2048,
    "path-max": 2048,
    permissions: 5,
    "soft-memory": 2 * 1024 * 1024,
  };
}

/** Puts the settings in place; once, before anything else. */
export function addSettings(cells: Cells, settings: Settings): void {
  cells.add(settingsType, SETTINGS, settings);
}

/** The settings in force. */
export function settingsOf(cells: Cells): { readonly [F in keyof Settings]: Readonly<Settings[F]> } {
  return must(cells, settingsType, SETTINGS);
}

/** What the chosen version does. */
export function traitsOf(cells: Cells): VersionTraits {
  return versionTraits(settingsOf(cells).version);
}

/** Changes one limit. */
export function setLimit(cells: Cells, name: keyof Limits, value: number): void {
  cells.edit(settingsType, SETTINGS).limits[name] = value;
}

/** Whether a domain has limits. */
export function isUnprivilegedDomid(cells: Cells, domid: number): boolean {
  return domid !== 0 && domid !== settingsOf(cells).privDomid;
}

/** What an unprivileged domain holds. */
export interface Account {
  nodes: number;
  watches: number;
  /** Replies not yet taken. */
  outstanding: number;
  /** Bytes: nodes with their names, watches, replies and events. */
  memory: number;
}
const accountType = cellType<Account>("xenstore-account");

const nothing: Readonly<Account> = Object.freeze({ nodes: 0, watches: 0, outstanding: 0, memory: 0 });

/** What a domain holds; all zero for one that was never counted. */
export function accountOf(cells: Cells, domid: number): Readonly<Account> {
  return cells.get(accountType, domid) ?? nothing;
}

/** Adds to what a domain holds; negative to take away. Privileged domains are not counted. */
export function charge(cells: Cells, domid: number, what: keyof Account, amount: number): void {
  if (amount === 0 || !isUnprivilegedDomid(cells, domid)) return;
  if (cells.get(accountType, domid) === undefined) cells.add(accountType, domid, { ...nothing });
  cells.edit(accountType, domid)[what] += amount;
}

/** Whether a domain would hold more memory than it may with so many bytes more. */
export function exceedsMemory(cells: Cells, domid: number, more: number): boolean {
  if (!isUnprivilegedDomid(cells, domid)) return false;
  const limit = settingsOf(cells).limits.memory;
  return limit !== 0 && accountOf(cells, domid).memory + more >= limit;
}

/** A domain is gone: whatever is still counted for it goes, too. */
export function closeAccount(cells: Cells, domid: number): void {
  if (cells.get(accountType, domid) !== undefined) cells.drop(accountType, domid);
}

/** Whether holding `count` already forbids one more, by limits counted with `>=` in every version. */
export function isFull(limit: number, count: number): boolean {
  return count >= limit;
}

/** Watches and transactions: 4.17 compares with `>`, so it allows one more than the limit. */
export function isFullLenient(traits: VersionTraits, limit: number, count: number): boolean {
  return traits.quotaEdgesUniform ? count + 1 >= limit : count > limit;
}
