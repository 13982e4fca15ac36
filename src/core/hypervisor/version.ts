// SPDX-License-Identifier: Apache-2.0
//
// Xen versions differ; this table says in what. Nothing else in the model asks
// for a version number.

/** A version's name. */
export type XenVersionName = "4.17" | "4.23";

/** What a Xen version has, as far as the model shows it. */
export interface XenVersion {
  readonly name: XenVersionName;
  readonly major: number;
  readonly minor: number;
  /** `extraversion`, after major and minor. */
  readonly extra: string;
  /** DOMCTL_get_domain_state and the bitmap of changed domains behind it (4.21). */
  readonly changedDomainBitmap: boolean;
  /** Domains have a 64-bit `unique_id` (4.21). */
  readonly uniqueId: boolean;
  /** xenstored fires `@releaseDomain/<domid>` besides `@releaseDomain` (4.21). */
  readonly releaseDomainPerDomid: boolean;
  /**
   * `rover`: an identifier is free once its domain has left the domain list
   * (domctl.c, is_free_domid). `bitmap`: only in _domain_destroy (domid.c).
   */
  readonly domidAllocator: "rover" | "bitmap";
  /**
   * Only its handler may bind a global VIRQ, and only a living domain becomes a
   * handler, of one that is not bound (4.21). Before, a dying domain that is made
   * a handler is never freed.
   */
  readonly strictGlobalVirqs: boolean;
  /** How struct domain says that it is shut down: two booleans, or one enum. Only debug output shows it. */
  readonly shutdownState: "booleans" | "enum";
  /** Which bit of `caf` says that a page is extra (PGC_extra). */
  readonly pgcExtraBit: number;
  /** vCPUs' runstate and time areas may be given by physical address, and are then mapped for good (4.18). */
  readonly physicalGuestAreas: boolean;
  readonly domctlInterface: number;
  readonly sysctlInterface: number;
}

const table = {
  "4.17": {
    name: "4.17",
    major: 4,
    minor: 17,
    extra: ".7",
    changedDomainBitmap: false,
    uniqueId: false,
    releaseDomainPerDomid: false,
    domidAllocator: "rover",
    strictGlobalVirqs: false,
    shutdownState: "booleans",
    pgcExtraBit: 57,
    physicalGuestAreas: false,
    domctlInterface: 0x15,
    sysctlInterface: 0x15,
  },
  "4.23": {
    name: "4.23",
    major: 4,
    minor: 23,
    extra: "-unstable",
    changedDomainBitmap: true,
    uniqueId: true,
    releaseDomainPerDomid: true,
    domidAllocator: "bitmap",
    strictGlobalVirqs: true,
    shutdownState: "enum",
    pgcExtraBit: 61,
    physicalGuestAreas: true,
    domctlInterface: 0x18,
    sysctlInterface: 0x16,
  },
} as const satisfies { [name in XenVersionName]: XenVersion };

/** Every version the model knows; the first is the default. */
export const xenVersions: readonly XenVersionName[] = ["4.17", "4.23"];

/** What that version has. */
export function xenVersion(name: XenVersionName): XenVersion {
  return table[name];
}
