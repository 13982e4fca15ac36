// SPDX-License-Identifier: Apache-2.0
//
// What differs between xenstoreds: the C one of Xen 4.17, that of 4.23, and
// oxenstored of 4.17. Each difference is a trait with a name; nothing else asks
// for a version.

import type { Errno } from "../engine/errno.ts";
import type { Limits } from "./limits.ts";

/** Which xenstored is to be the model. */
export type XenstoreVersion = "4.17" | "4.23" | "oxenstored";

/** All of them, the default first. */
export const XENSTORE_VERSIONS: readonly XenstoreVersion[] = ["4.17", "4.23", "oxenstored"];

/** When a transaction is refused: see transaction.ts. */
export type ConflictRule = "observed" | "strict";

/** Bits of `server_features` in the ring page, and of GET_FEATURE (io/xs_wire.h). */
export const FEATURE_RECONNECTION = 1;
export const FEATURE_ERROR = 2;
export const FEATURE_WATCH_DEPTH = 4;
export const FEATURE_DOMID_ANY = 8;

/** What a version does. */
export interface VersionTraits {
  /** Whose rules requests follow: those of the C xenstoreds, which all else here is about, or oxenstored's. */
  readonly requests: "xenstored" | "oxenstored";
  /**
   * A value is refused when it reaches the limit plus this. 4.22 made all checks
   * `val >= quota`; before, each was written in its own way.
   */
  readonly slack: Readonly<Partial<Record<keyof Limits, number>>>;
  /**
   * Of the nodes one request creates, each counts when the next is checked; else
   * all are checked against what the domain had before, as in a transaction always.
   */
  readonly countsEachCreation: boolean;
  /** The limits it starts with. */
  readonly limits: Readonly<Limits>;
  /** What an error is called on the wire, where that is not its own name. */
  readonly wireNames: { readonly [errno in Errno]?: string };
  /** The answer to one watch too many. */
  readonly watchQuotaErrno: Errno;
  /** The highest request type. */
  readonly typeMax: number;
  /** Limits are kept a domain, and GET_QUOTA and SET_QUOTA show and change them; SET_FEATURE likewise. */
  readonly domainSettings: boolean;
  /** Sockets and privileged domains may use paths of any length. */
  readonly pathLimitExemptsPrivileged: boolean;
  /** A domid in a request is a number up to 65535 and nothing else, or EINVAL; else as atoi reads it. */
  readonly strictDomids: boolean;
  /** The special watches are nodes: GET_PERMS works on them, and SET_PERMS is told to their watchers. */
  readonly specialsAreNodes: boolean;
  /** Default permissions of `@releaseDomain`. */
  readonly releaseDomainPerms: string;
  /** Bits of `server_features` in the ring page; WATCH with a depth and `@releaseDomain/<domid>` are among them. */
  readonly features: number;
  /** Whether INTRODUCE writes `features` into the ring page. */
  readonly advertises: boolean;
  /** Whether the event channel's port in the ring page, where there is one, wins over the request's. */
  readonly pageNamesPort: boolean;
  /** Whether the reason is written into the ring page of a domain that is ignored. */
  readonly tellsError: "always" | "where the domain has the feature";
  /** Bytes a node's record has beside permissions, value and children; see recordSize. */
  readonly recordHeaderBytes: number;
  /** What CONTROL help and CONTROL quota print, and which commands there are. */
  readonly control: "4.17" | "4.23";
}

/** Limits of C xenstored (xenstored_core.c). */
const C_LIMITS: Limits = {
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

/** What the C xenstoreds have in common. */
const C_TRAITS = {
  requests: "xenstored",
  limits: C_LIMITS,
  wireNames: {},
} as const;

const traits: Readonly<Record<XenstoreVersion, VersionTraits>> = {
  // tools/xenstore of 4.17.7.
  "4.17": {
    ...C_TRAITS,
    typeMax: 22,
    slack: {
      nodes: 1,
      watches: 2,
      transactions: 2,
      permissions: 1,
      "path-max": 1,
      "transaction-nodes": 1,
    },
    countsEachCreation: true,
    watchQuotaErrno: "E2BIG",
    domainSettings: false,
    pathLimitExemptsPrivileged: false,
    strictDomids: false,
    specialsAreNodes: false,
    releaseDomainPerms: "n0",
    features: FEATURE_ERROR,
    advertises: false,
    pageNamesPort: false,
    tellsError: "always",
    recordHeaderBytes: 24,
    control: "4.17",
  },
  // tools/xenstored of August 2026: 70fcc2531c, 258263a4fb, XENSTORE_FEATURES.
  "4.23": {
    ...C_TRAITS,
    typeMax: 26,
    slack: {},
    countsEachCreation: false,
    watchQuotaErrno: "ENOSPC",
    domainSettings: true,
    pathLimitExemptsPrivileged: true,
    strictDomids: true,
    specialsAreNodes: true,
    releaseDomainPerms: "n0 r32757:1",
    features: FEATURE_ERROR + FEATURE_WATCH_DEPTH + FEATURE_DOMID_ANY,
    advertises: true,
    pageNamesPort: true,
    tellsError: "where the domain has the feature",
    recordHeaderBytes: 16,
    control: "4.23",
  },
  // tools/ocaml/xenstored of 4.17.7, as /etc/xen/oxenstored.conf of Xen's own build has it.
  oxenstored: {
    requests: "oxenstored",
    slack: { watches: 2, transactions: 2 },
    limits: {
      ...C_LIMITS,
      watches: 100,
      outstanding: 1024,
      // Requests (quota-maxrequests).
      "transaction-nodes": 1024,
      memory: 0,
      "path-max": 1024,
      permissions: 0,
      "soft-memory": 0,
    },
    wireNames: { ENOSPC: "EQUOTA" },
    watchQuotaErrno: "ENOSPC",
    countsEachCreation: false,
    typeMax: 21,
    domainSettings: false,
    pathLimitExemptsPrivileged: false,
    strictDomids: false,
    specialsAreNodes: false,
    releaseDomainPerms: "n0",
    features: FEATURE_RECONNECTION,
    advertises: true,
    pageNamesPort: false,
    tellsError: "where the domain has the feature",
    recordHeaderBytes: 24,
    control: "4.17",
  },
};

/** The traits of a version. */
export function versionTraits(version: XenstoreVersion): VersionTraits {
  return traits[version];
}
