// SPDX-License-Identifier: Apache-2.0
//
// Domains as xenstored knows them: introduced ones, which have a connection, and
// others that own or may access nodes. What becomes of them when they shut down,
// die, or are released.

import { type Cells, cellType, type DeepReadonly, must } from "../engine/cells.ts";
import { fail, type Failure, isFailure } from "../engine/errno.ts";
import { connectionType, connectRing, dropConnection, featuresOf, resetBuffers } from "./connection.ts";
import { listItems } from "./list.ts";
import { childrenList, nodeType } from "./tree.ts";
import { ownedNodes } from "./owned.ts";
import { childPath, parentOf } from "./path.ts";
import { setPerms } from "./node.ts";
import { DOMID_ANY, incarnationOf, incarnationType, ownerOf, withoutDomain } from "./perms.ts";
import type { RingSetup, Store } from "./ports.ts";
import {
  addDomainSettings,
  closeAccount,
  type DomainSettings,
  domainSettingsOf,
  dropDomainSettings,
  editDomainSettings,
  hasDomainSettings,
  settingsOf,
  traitsOf,
} from "./quota.ts";
import { forgetInSpecials, INTRODUCE_DOMAIN, RELEASE_DOMAIN } from "./special.ts";
import { dropAllTransactions } from "./transaction.ts";
import { fireWatches, removeAllWatches } from "./watch.ts";
import { forgetTold } from "./memory-log.ts";
import { dropPending } from "./pending.ts";
import { removeTree } from "./requests-node.ts";
import { addWriteCredit, dropWriteCredit } from "./write-rate.ts";
import { FEATURE_DOMID_ANY, FEATURE_ERROR, FEATURE_WATCH_DEPTH } from "./version.ts";

/** Values of the `error` field of the ring page (io/xs_wire.h). */
export const XENSTORE_ERROR_RINGIDX = 2;
export const XENSTORE_ERROR_PROTO = 3;

/** A domain xenstored knows; identified by its domid. */
interface KnownDomain {
  /** INTRODUCE was called for it: it has a connection, and its end is announced. */
  introduced: boolean;
  /** Its shutdown has been announced. */
  shutdown: boolean;
}
export const knownDomainType = cellType<KnownDomain>("xenstore-domain");

/** Which domains act for one (SET_TARGET), by its domid; no cell where none does. */
const targetedType = cellType<{ by: number[] }>("xenstore-targeted");

/** Domids of all known domains, the latest first: the order in which they are looked at. */
interface KnownDomains {
  latestFirst: number[];
}
export const knownDomainsType = cellType<KnownDomains>("xenstore-domains");

/** Puts the empty list of domains in place. */
export function addDomains(cells: Cells): void {
  cells.add(knownDomainsType, 0, { latestFirst: [] });
}

/** Domids of all known domains, the latest first. */
export function knownDomains(cells: Cells): readonly number[] {
  return must(cells, knownDomainsType, 0).latestFirst;
}

/** Whether a domain is introduced. */
export function isIntroduced(cells: Cells, domid: number): boolean {
  return cells.get(knownDomainType, domid)?.introduced ?? false;
}

/** Makes a domain known and starts its incarnation. */
function addDomain(cells: Cells, domid: number): void {
  cells.add(knownDomainType, domid, { introduced: false, shutdown: false });
  cells.edit(knownDomainsType, 0).latestFirst.unshift(domid);
  if (cells.get(incarnationType, domid) === undefined)
    cells.add(incarnationType, domid, { number: 0, alive: false });
  const incarnation = cells.edit(incarnationType, domid);
  incarnation.number++;
  incarnation.alive = true;
  addDomainSettings(cells, domid);
}

/** Makes a domain known that exists; false where there is no such domain (find_or_alloc_existing_domain). */
export function knowExisting(store: Store, domid: number): boolean {
  if (store.cells.get(knownDomainType, domid) !== undefined) return true;
  if (store.domains.info(domid) === undefined) return false;
  addDomain(store.cells, domid);
  return true;
}

/**
 * The incarnation to store in a permission entry: of the domain if it is known
 * or at least exists, else 0 (domain_alloc_permrefs in xenstored_domain.c).
 *
 * @param features of the connection that sets the permission
 */
export function knowDomain(store: Store, domid: number, features: number): number {
  if (domid === DOMID_ANY && (settingsOf(store.cells).features & FEATURE_DOMID_ANY) !== 0)
    return (features & FEATURE_DOMID_ANY) === 0 ? 0 : 1;
  return knowExisting(store, domid) ? incarnationOf(store.cells, domid) : 0;
}

/** The domain xenstored serves first: it needs no hypervisor to tell of it, and nobody is told. */
export function introduceDomain0(store: Store): void {
  addDomain(store.cells, 0);
  connectRing(store, 0);
  store.cells.edit(knownDomainType, 0).introduced = true;
}

/**
 * INTRODUCE: a domain gets a connection, or, where it has one, that starts
 * afresh (do_introduce in xenstored_domain.c). Errors are the ring's.
 */
export function introduceDomain(store: Store, domid: number, gfn: number, port: number): Failure | undefined {
  const { cells, domains } = store;
  if (isIntroduced(cells, domid)) domains.rebind(domid, port);
  else {
    const failure = connectDomain(store, domid, gfn, port);
    if (failure !== undefined) return failure;
    announce(store, INTRODUCE_DOMAIN, domid);
  }
  removeAllWatches(cells, domid);
  dropAllTransactions(cells, domid);
  resetBuffers(store, domid);
  domains.resetRing(domid);
  return undefined;
}

/** A domain that has no connection yet gets one, and nobody is told. Errors are the ring's. */
export function connectDomain(store: Store, domid: number, gfn: number, port: number): Failure | undefined {
  const { cells, domains } = store;
  const isNew = cells.get(knownDomainType, domid) === undefined;
  if (isNew) addDomain(cells, domid);
  const failure = domains.introduce(domid, gfn, port, ringSetup(cells, domid));
  if (isFailure(failure)) {
    if (isNew) dropKnown(store, domid);
    return failure;
  }
  connectRing(store, domid);
  addWriteCredit(store, domid);
  const known = cells.edit(knownDomainType, domid);
  known.introduced = true;
  known.shutdown = false;
  return undefined;
}

/** All xenstored keeps of a domid besides its nodes and what its connection sends and gets. */
export interface DomainState {
  readonly domid: number;
  /** Which of the domains with this domid is, or was, the last. */
  readonly number: number;
  /** Whether that one is known. */
  readonly known: boolean;
  readonly introduced: boolean;
  /** Its shutdown has been announced. */
  readonly shutdown: boolean;
  readonly target: number | null;
  /** Its own features and limits, where the version keeps any. */
  readonly settings: DeepReadonly<DomainSettings> | null;
}

/** What is to be kept of a domid; undefined for one that never was known. */
export function domainState(cells: Cells, domid: number): DomainState | undefined {
  const incarnation = cells.get(incarnationType, domid);
  if (incarnation === undefined) return undefined;
  const known = cells.get(knownDomainType, domid);
  const introduced = known?.introduced ?? false;
  return {
    domid,
    number: incarnation.number,
    known: known !== undefined,
    introduced,
    shutdown: known?.shutdown ?? false,
    target: introduced ? must(cells, connectionType, domid).target : null,
    settings: hasDomainSettings(cells, domid) ? domainSettingsOf(cells, domid) : null,
  };
}

/** Every domid that is or was known, those known in the order in which they became it. */
export function knownDomids(cells: Cells): number[] {
  const known = knownDomains(cells).toReversed();
  const gone = cells.ids(incarnationType).filter((domid) => cells.get(knownDomainType, domid) === undefined);
  return [...gone.map(Number), ...known];
}

/**
 * Puts a domain in the state another xenstored had it in. Nobody is told, and
 * nothing of its nodes is touched. The domain it acts for must be there already.
 *
 * @param port the event channel of its ring
 */
export function restoreDomain(store: Store, state: DomainState, port: number): void {
  const { cells } = store;
  const { domid } = state;
  const before = cells.get(knownDomainType, domid);
  // Introduced and then not: that is another domain.
  if (before !== undefined && (!state.known || (before.introduced && !state.introduced)))
    dropKnown(store, domid);
  if (state.known && cells.get(knownDomainType, domid) === undefined) addDomain(cells, domid);
  if (cells.get(incarnationType, domid) === undefined)
    cells.add(incarnationType, domid, { number: 0, alive: false });
  const incarnation = cells.edit(incarnationType, domid);
  incarnation.number = state.number;
  incarnation.alive = state.known;
  if (!state.known) return;
  restoreSettings(cells, domid, state.settings);
  if (state.introduced && !isIntroduced(cells, domid)) {
    const failure = store.domains.introduce(domid, 0, port, { features: null, pageNamesPort: false });
    connectRing(store, domid);
    addWriteCredit(store, domid);
    // Without its ring it is kept so that its end can be announced.
    if (isFailure(failure)) cells.edit(connectionType, domid).ignored = true;
  }
  const known = cells.edit(knownDomainType, domid);
  known.introduced ||= state.introduced;
  known.shutdown = state.shutdown;
  if (!known.introduced || must(cells, connectionType, domid).target === state.target) return;
  if (state.target === null) forgetTargetOf(cells, domid);
  else setTarget(cells, domid, state.target);
}

/** Sets a domain's own features and limits, where it has any here. */
export function restoreSettings(
  cells: Cells,
  domid: number,
  settings: { readonly features: number; readonly limits: Partial<DomainSettings["limits"]> } | null,
): void {
  if (settings === null || !hasDomainSettings(cells, domid)) return;
  const own = editDomainSettings(cells, domid);
  own.features = settings.features;
  own.limits = { ...own.limits, ...settings.limits };
}

/** Puts the known domains in order, the latest first; all of them must be listed. */
export function orderDomains(cells: Cells, latestFirst: readonly number[]): void {
  const listed = new Set(latestFirst);
  if (knownDomains(cells).every((domid) => listed.has(domid)))
    cells.edit(knownDomainsType, 0).latestFirst = latestFirst.filter(
      (domid) => cells.get(knownDomainType, domid) !== undefined,
    );
}

/** A domain is forgotten, but for its nodes. */
export function dropKnown(store: Store, domid: number): void {
  const { cells } = store;
  if (isIntroduced(cells, domid)) {
    dropIntroduced(store, domid);
    store.domains.release(domid);
  }
  cells.edit(incarnationType, domid).alive = false;
  cells.drop(knownDomainType, domid);
  const { latestFirst } = cells.edit(knownDomainsType, 0);
  latestFirst.splice(latestFirst.indexOf(domid), 1);
  closeAccount(cells, domid);
  dropDomainSettings(cells, domid);
}

/** What an introduced domain has and no other: its connection and all that belongs to it. */
function dropIntroduced(store: Store, domid: number): void {
  const { cells } = store;
  removeAllWatches(cells, domid);
  dropAllTransactions(cells, domid);
  forgetTargetOf(cells, domid);
  // In oxenstored it goes on acting for whoever has the domid.
  if (traitsOf(cells).requests === "xenstored") forgetAsTarget(cells, domid);
  dropConnection(store, domid);
  dropPending(cells, domid);
  forgetTold(cells, domid);
  dropWriteCredit(cells, domid);
}

function ringSetup(cells: Cells, domid: number): RingSetup {
  const { advertises, features: usual, pageNamesPort } = traitsOf(cells);
  const { features } = domainSettingsOf(cells, domid);
  return { features: advertises || features !== usual ? features : null, pageNamesPort };
}

/** A domain asked in its ring page for a fresh connection (do_reconnect in connection.ml). */
export function restartConnection(store: Store, domid: number): void {
  removeAllWatches(store.cells, domid);
  dropAllTransactions(store.cells, domid);
  resetBuffers(store, domid);
  store.cells.edit(connectionType, domid).nextTransaction = 1;
}

/** Fires a special watch, and its form for one domain where the version has that. */
function announce(store: Store, path: string, domid: number | null): void {
  fireWatches(store, path, true, null);
  if (domid !== null) announceDomain(store, path, domid);
}

/** Fires the form of a special watch for one domain, where the version has that. */
function announceDomain(store: Store, path: string, domid: number): void {
  const hasForms = (settingsOf(store.cells).features & FEATURE_WATCH_DEPTH) !== 0;
  if (hasForms) fireWatches(store, `${path}/${domid}`, true, null);
}

/** A domain with a connection. ENOENT where it is not introduced. */
export function connectedDomain(cells: Cells, domid: number): Failure | undefined {
  return isIntroduced(cells, domid) ? undefined : fail("ENOENT");
}

/** RESUME: the next shutdown of the domain is announced again. */
export function resumeDomain(cells: Cells, domid: number): void {
  if (must(cells, knownDomainType, domid).shutdown) cells.edit(knownDomainType, domid).shutdown = false;
}

/**
 * A domain is gone, or was released: its connection, watches, transactions and
 * all nodes it owns go, and its end is announced (destroy_domain in xenstored_domain.c).
 */
export function forgetDomain(store: Store, domid: number): void {
  const { cells } = store;
  const { introduced } = must(cells, knownDomainType, domid);
  if (introduced) dropIntroduced(store, domid);
  for (const root of treesOf(cells, domid)) removeTree(store, root);
  // The root stays: without it nothing could be asked for any more (as C xenstored shows).
  const { perms } = must(cells, nodeType, "/");
  if (ownerOf(perms) === domid) setPerms(cells, "/", withoutDomain(perms, domid));
  forgetInSpecials(cells, domid);
  cells.edit(incarnationType, domid).alive = false;
  cells.drop(knownDomainType, domid);
  const { latestFirst } = cells.edit(knownDomainsType, 0);
  latestFirst.splice(latestFirst.indexOf(domid), 1);
  closeAccount(cells, domid);
  dropDomainSettings(cells, domid);
  if (!introduced) return;
  store.domains.release(domid);
  announce(store, RELEASE_DOMAIN, domid);
}

/** SET_TARGET: a domain acts for another one, with the other's access besides its own. Both are connected. */
export function setTarget(cells: Cells, domid: number, target: number): void {
  forgetTargetOf(cells, domid);
  cells.edit(connectionType, domid).target = target;
  if (cells.get(targetedType, target) === undefined) cells.add(targetedType, target, { by: [] });
  cells.edit(targetedType, target).by.push(domid);
}

/** A domain does not act for another one any more. */
function forgetTargetOf(cells: Cells, domid: number): void {
  const { target } = must(cells, connectionType, domid);
  if (target === null) return;
  cells.edit(connectionType, domid).target = null;
  const { by } = cells.edit(targetedType, target);
  by.splice(by.indexOf(domid), 1);
  if (by.length === 0) cells.drop(targetedType, target);
}

/** Nobody acts for a domain that is gone. */
function forgetAsTarget(cells: Cells, domid: number): void {
  for (const other of [...(cells.get(targetedType, domid)?.by ?? [])]) forgetTargetOf(cells, other);
}

/**
 * The topmost nodes a domain owns, in the order in which a walk over the tree
 * finds them; what is below goes with them, whoever owns it.
 */
function treesOf(cells: Cells, domid: number): string[] {
  const owned = new Set(ownedNodes(cells, domid));
  if (owned.size === 0) return [];
  const below = new Map<string, Set<string>>();
  for (const path of owned) {
    for (let at = path; at !== "/"; at = parentOf(at)) {
      const siblings = below.get(parentOf(at));
      if (siblings?.has(at) === true) break;
      if (siblings === undefined) below.set(parentOf(at), new Set([at]));
      else siblings.add(at);
    }
  }
  const trees: string[] = [];
  const waiting = ["/"];
  for (let at = waiting.pop(); at !== undefined; at = waiting.pop()) {
    const node = must(cells, nodeType, at);
    if (ownerOf(node.perms) === domid && at !== "/") trees.push(at);
    else waiting.push(...inOrder(cells, at, below.get(at) ?? new Set()).toReversed());
  }
  return trees;
}

/** Some children of a node in the order of all of them. */
function inOrder(cells: Cells, path: string, some: ReadonlySet<string>): string[] {
  if (some.size <= 1) return [...some];
  return listItems(cells, childrenList, path)
    .map((name) => childPath(path, name))
    .filter((child) => some.has(child));
}

/**
 * VIRQ_DOM_EXC: some domain may have shut down, died or vanished, so all known
 * ones are looked at (check_domains in xenstored_domain.c). Each death is
 * announced; shutdowns together once, unless a death that was found after them
 * says it already.
 *
 * @param changed the domains to look at, where the hypervisor says which they are
 */
export function domainsChanged(store: Store, changed?: readonly number[]): void {
  const { cells } = store;
  let announceShutdown = false;
  for (const domid of changed ?? [...knownDomains(cells)]) {
    const what = lookAtDomain(store, domid);
    if (what === "shut down") announceShutdown = true;
    else if (what === "announced") announceShutdown = false;
  }
  if (announceShutdown) announce(store, RELEASE_DOMAIN, null);
}

/** Asks the hypervisor about one domain; forgets it where it is gone. */
function lookAtDomain(store: Store, domid: number): "nothing" | "shut down" | "announced" {
  const { cells } = store;
  const known = cells.get(knownDomainType, domid);
  if (known === undefined) return "nothing";
  const info = store.domains.info(domid);
  if (info === undefined || (known.introduced && info.dying)) {
    const { introduced } = known;
    forgetDomain(store, domid);
    return introduced ? "announced" : "nothing";
  }
  if (!known.introduced || !info.shutdown || known.shutdown) return "nothing";
  cells.edit(knownDomainType, domid).shutdown = true;
  // At once for who watches this domain only; together for who watches all.
  announceDomain(store, RELEASE_DOMAIN, domid);
  return "shut down";
}

/**
 * A domain broke the protocol: its connection stays, so that its end can be
 * announced, but is neither read nor written any more (ignore_connection in
 * xenstored_domain.c).
 */
export function ignoreConnection(store: Store, domid: number, error: number): void {
  const { cells } = store;
  cells.edit(connectionType, domid).ignored = true;
  removeAllWatches(cells, domid);
  dropAllTransactions(cells, domid);
  resetBuffers(store, domid);
  const { tellsError } = traitsOf(cells);
  const tells = tellsError === "always" || (featuresOf(cells, domid) & FEATURE_ERROR) !== 0;
  store.domains.ignored(domid, tells ? error : null);
}
