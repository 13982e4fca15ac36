// SPDX-License-Identifier: Apache-2.0
//
// What differs between xenstoreds: the C one of Xen 4.17 and that of 4.23.

import type { Errno } from "../engine/errno.ts";

/** Which xenstored is to be the model. */
export type XenstoreVersion = "4.17" | "4.23";

/** When a transaction is refused: see transaction.ts. */
export type ConflictRule = "observed" | "strict";

/** What a version does. */
export interface VersionTraits {
  /** Whether limits are refused when reached (4.22's `val >= quota`) or as each check of 4.17 does it. */
  readonly quotaEdgesUniform: boolean;
  /** The answer to one watch too many. */
  readonly watchQuotaErrno: Errno;
  /** Whether GET_PERMS works on special watches. */
  readonly specialPermsReadable: boolean;
  /** Default permissions of `@releaseDomain`. */
  readonly releaseDomainPerms: string;
  /** WATCH with a depth, and `@releaseDomain/<domid>`. */
  readonly watchDepth: boolean;
  /** An entry for DOMID_ANY is everybody's. */
  readonly domidAny: boolean;
  /** Bits of `server_features` in the ring page. */
  readonly features: number;
}

const traits: Readonly<Record<XenstoreVersion, VersionTraits>> = {
  // tools/xenstore of 4.17.7.
  "4.17": {
    quotaEdgesUniform: false,
    watchQuotaErrno: "E2BIG",
    specialPermsReadable: false,
    releaseDomainPerms: "n0",
    watchDepth: false,
    domidAny: false,
    features: 2,
  },
  // tools/xenstored of August 2026: 70fcc2531c, 258263a4fb, XENSTORE_SERVER_FEATURE_*.
  "4.23": {
    quotaEdgesUniform: true,
    watchQuotaErrno: "ENOSPC",
    specialPermsReadable: true,
    releaseDomainPerms: "r0",
    watchDepth: true,
    domidAny: true,
    features: 2 + 4 + 8,
  },
};

/** The traits of a version. */
export function versionTraits(version: XenstoreVersion): VersionTraits {
  return traits[version];
}
