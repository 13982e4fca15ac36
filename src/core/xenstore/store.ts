// SPDX-License-Identifier: Apache-2.0
//
// A xenstored: its start, and all of what others use of it.
//
// A `Store` is not state: it is the cells a xenstored's state is in, and the
// ports it needs (ports.ts), put together for a step or for a process.
//
//   startStore(store, options)            the state of a xenstored that has just started, with domain 0 introduced
//   connectSocket(store) -> conn          a client on a socket
//   receive(store, conn, bytes)           what it sent, in pieces of any size -> "open" or "failed" (close it)
//   outputLength(cells, conn)             bytes waiting for it; `store.queued(conn)` tells when there are some
//   takeOutput(store, conn, into, at, n)  takes up to n of them -> how many
//   disconnect(store, conn)               it is gone, or to be gone
//   conn of an introduced domain = its domid, from INTRODUCE (a request, or introduceDomain) to its end
//   mayRead(cells, conn)                  whether xenstored reads from it now: quotas stop it
//   domainsChanged(store)                 VIRQ_DOM_EXC
//   forgetDomain(store, domid)            what RELEASE does
//   expireEvents(store, conn)             an event deadline has passed (cells of outputType have it)
//   domainAccounts(cells)                 what each domain holds, of how much, and why it is not read from
//   storeTotals(cells)                    what there is in all
//   writeRateDeadline(store, domid)       when a domain that wrote too much is read from again
//   ring.ts                               both ends of the shared page
//
// Requests are answered within `receive`; replies and events are then queued in
// the order in which real xenstored 4.17 sends them on each connection.

import type { Cells } from "../engine/cells.ts";
import { connectionType, connectSocket, dropConnection } from "./connection.ts";
import { addDomains, domainsChanged as domainsChangedInC, introduceDomain0 } from "./domain.ts";
import { addNode, addRoot } from "./node.ts";
import { expireEvents, nextDeadline, outputLength, takeOutput } from "./output.ts";
import type { Store } from "./ports.ts";
import { domainsChanged as domainsChangedInOcaml } from "./oxenstored/requests-domain.ts";
import { accountOf, addSettings, exceeds, traitsOf } from "./quota.ts";
import type { Limits } from "./limits.ts";
import { receive } from "./receive.ts";
import { addSpecials } from "./special.ts";
import { dropAllTransactions } from "./transaction.ts";
import { type ConflictRule, versionTraits, type XenstoreVersion } from "./version.ts";
import { removeAllWatches } from "./watch.ts";
import { isOverdrawn, writeRateDeadline } from "./write-rate.ts";

export { domainAccounts, storeTotals } from "./accounting.ts";
export type { DomainInfo, Domains, Store, TraceLine } from "./ports.ts";
export type { ConflictRule, Limits, XenstoreVersion };
export { connectSocket, expireEvents, nextDeadline, outputLength, receive, takeOutput, writeRateDeadline };

/** How a xenstored is started; everything has the default of real xenstored. */
export interface StoreOptions {
  readonly version?: XenstoreVersion | undefined;
  /** Default `observed`. */
  readonly conflicts?: ConflictRule | undefined;
  readonly privDomid?: number | undefined;
  readonly limits?: Partial<Limits> | undefined;
  /** Bits FEATURE_* that domains are offered, and told of in their ring pages; default those of the version. */
  readonly features?: number | undefined;
  /** Microseconds an event waits for an unprivileged domain to take it; default 20 s, 0 for ever. */
  readonly eventTimeout?: number | undefined;
  /**
   * Changes a second that unprivileged domains share while transactions are open:
   * 200 in real xenstored. Default none: whoever sets it looks at writeRateDeadline.
   */
  readonly writeRate?: number | undefined;
}

/**
 * The state of a xenstored that has just started (setup_structure in
 * xenstored_core.c, dom0_init in xenstored_domain.c): three nodes of domain 0,
 * and domain 0 introduced, with connection 0 for its ring.
 */
export function startStore(store: Store, options: StoreOptions = {}): void {
  prepareStore(store, options);
  const { cells } = store;
  // xenstored.ml
  if (traitsOf(cells).requests === "oxenstored")
    for (const path of ["/@introduceDomain", "/@releaseDomain", "/local"]) addNode(cells, path, "", "n0");
  addNode(cells, "/tool", "", "n0");
  addNode(cells, "/tool/xenstored", "", "n0");
}

/** The same without the two nodes below the root: for what another xenstored had (stream-load.ts). */
export function prepareStore(store: Store, options: StoreOptions = {}): void {
  const { cells } = store;
  const version = options.version ?? "4.17";
  addSettings(cells, {
    version,
    conflicts: options.conflicts ?? "observed",
    privDomid: options.privDomid ?? 0,
    eventTimeout: options.eventTimeout ?? 20_000_000,
    writeRate: options.writeRate ?? 0,
    limits: { ...versionTraits(version).limits, ...options.limits },
    features: options.features ?? versionTraits(version).features,
  });
  addSpecials(cells, "n0", versionTraits(version).releaseDomainPerms);
  addDomains(cells);
  introduceDomain0(store);
  addRoot(cells, "n0");
}

/**
 * VIRQ_DOM_EXC: some domain may have shut down, died or vanished.
 *
 * @param changed the domains to look at, where the hypervisor says which they are
 */
export function domainsChanged(store: Store, changed?: readonly number[]): void {
  if (traitsOf(store.cells).requests === "oxenstored") domainsChangedInOcaml(store);
  else domainsChangedInC(store, changed);
}

/** A socket connection ends: its watches and transactions go. */
export function disconnect(store: Store, conn: number): void {
  removeAllWatches(store.cells, conn);
  dropAllTransactions(store.cells, conn);
  dropConnection(store, conn);
}

/**
 * Whether xenstored reads from a connection now. It leaves alone what broke the
 * protocol, and lets an unprivileged domain wait that has too many replies to
 * take or holds too much memory (domain_can_read in xenstored_domain.c).
 */
export function mayRead(cells: Cells, conn: number): boolean {
  const connection = cells.get(connectionType, conn);
  if (connection === undefined || connection.ignored) return false;
  if (connection.privileged) return true;
  if (isOverdrawn(cells, conn)) return false;
  const { outstanding, memory } = accountOf(cells, conn);
  return !exceeds(cells, conn, "outstanding", outstanding) && !exceeds(cells, conn, "memory", memory);
}
