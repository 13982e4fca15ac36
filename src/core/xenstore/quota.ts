// SPDX-License-Identifier: Apache-2.0
//
// Limits on what an unprivileged domain may make xenstored hold, and what each
// domain holds. Privileged domains and sockets have no limits and are not
// counted, so that dom0's writes all over the tree share no cell.

import { type Cells, cellType, type DeepReadonly, must } from "../engine/cells.ts";
import type { Limits } from "./limits.ts";
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
  /** Changes a second that unprivileged domains share while transactions are open; 0 for no limit. */
  writeRate: number;
  limits: Limits;
  /** Bits FEATURE_* that domains are offered. */
  features: number;
}

export const settingsType = cellType<Settings>("xenstore-settings");
const SETTINGS = 0;

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

/** Changes one limit; where limits are kept a domain, only for domains yet to come. */
export function setLimit(cells: Cells, name: keyof Limits, value: number): void {
  cells.edit(settingsType, SETTINGS).limits[name] = value;
}

/** Whether a domain has limits. */
export function isUnprivilegedDomid(cells: Cells, domid: number): boolean {
  return domid !== 0 && domid !== settingsOf(cells).privDomid;
}

/** A domain's own features and limits, where the version keeps them a domain (SET_FEATURE, SET_QUOTA). */
export interface DomainSettings {
  features: number;
  limits: Limits;
}
export const domainSettingsType = cellType<DomainSettings>("xenstore-domain-settings");

/** A domain becomes known: it starts with what is in force for all (alloc_domain in domain.c). */
export function addDomainSettings(cells: Cells, domid: number): void {
  if (!traitsOf(cells).domainSettings) return;
  const { features, limits } = settingsOf(cells);
  cells.add(domainSettingsType, domid, { features, limits: { ...limits } });
}

/** A domain is forgotten. */
export function dropDomainSettings(cells: Cells, domid: number): void {
  if (cells.get(domainSettingsType, domid) !== undefined) cells.drop(domainSettingsType, domid);
}

/** Whether a domain has features and limits of its own. */
export function hasDomainSettings(cells: Cells, domid: number): boolean {
  return cells.get(domainSettingsType, domid) !== undefined;
}

/** A known domain's own features and limits; those for all where it has none. */
export function domainSettingsOf(cells: Cells, domid: number): DeepReadonly<DomainSettings> {
  return cells.get(domainSettingsType, domid) ?? settingsOf(cells);
}

/** The limits on a domain. */
export function limitsOf(cells: Cells, domid: number): Readonly<Limits> {
  return cells.get(domainSettingsType, domid)?.limits ?? settingsOf(cells).limits;
}

/** Changes a known domain's own settings; not where the version keeps none. */
export function editDomainSettings(cells: Cells, domid: number): DomainSettings {
  return cells.edit(domainSettingsType, domid);
}

/** What an unprivileged domain holds. */
export interface Account {
  nodes: number;
  watches: number;
  /** Requests whose reply, or an event they caused, is not yet taken. */
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
  const account = cells.edit(accountType, domid);
  account[what] += amount;
  if (amount > 0) noteMaximum(cells, domid, what, account[what]);
}

/** The most of each that was ever seen, a domain and, as `all`, of any unprivileged one: CONTROL quota of 4.23. */
interface Maxima {
  most: { [name in keyof Limits]?: number };
}
const maximaType = cellType<Maxima>("xenstore-maxima", { provenance: ["most"] });
const ALL = "all";

/** Notes how much of something a domain has or wants, where the version remembers the most of it. */
export function noteMaximum(cells: Cells, domid: number, what: keyof Limits, value: number): void {
  if (traitsOf(cells).control !== "4.23") return;
  raise(cells, domid, what, value);
  if (isUnprivilegedDomid(cells, domid)) raise(cells, ALL, what, value);
}

function raise(cells: Cells, whose: number | typeof ALL, what: keyof Limits, value: number): void {
  const known = cells.get(maximaType, whose);
  if ((known?.most[what] ?? 0) >= value) return;
  if (known === undefined) cells.add(maximaType, whose, { most: { [what]: value } });
  else cells.edit(maximaType, whose).most[what] = value;
}

/** The most a domain ever had of something; without a domid, the most of any unprivileged one. */
export function maximumOf(cells: Cells, what: keyof Limits, domid?: number): number {
  return cells.get(maximaType, domid ?? ALL)?.most[what] ?? 0;
}

/** Maxima start anew: a domain's with what it holds now (domain_reset_global_acc in domain.c). */
export function resetMaxima(cells: Cells, domids: readonly number[]): void {
  if (cells.get(maximaType, ALL) !== undefined) cells.drop(maximaType, ALL);
  for (const domid of domids) {
    if (cells.get(maximaType, domid) !== undefined) cells.drop(maximaType, domid);
    const account = cells.get(accountType, domid);
    if (account !== undefined) cells.add(maximaType, domid, { most: { ...account } });
  }
}

/**
 * Whether a domain may not come to have `value` of something; never for a
 * privileged one. A limit of 0 is none.
 */
export function exceeds(cells: Cells, domid: number, what: keyof Limits, value: number): boolean {
  if (!isUnprivilegedDomid(cells, domid)) return false;
  const limit = limitsOf(cells, domid)[what];
  return limit !== 0 && value >= limit + (traitsOf(cells).slack[what] ?? 0);
}

/** Whether a domain would hold more memory than it may with so many bytes more. */
export function exceedsMemory(cells: Cells, domid: number, more: number): boolean {
  return exceeds(cells, domid, "memory", accountOf(cells, domid).memory + more);
}

/** A domain is gone: whatever is still counted for it goes, too. */
export function closeAccount(cells: Cells, domid: number): void {
  if (cells.get(accountType, domid) !== undefined) cells.drop(accountType, domid);
  if (cells.get(maximaType, domid) !== undefined) cells.drop(maximaType, domid);
}
