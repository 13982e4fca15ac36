// SPDX-License-Identifier: Apache-2.0
//
// struct domain, as cells: what many hypercalls read, what they count, and what
// is rarely looked at are apart. A domain that is on the domain list can be
// found by its identifier; no other can.

import { XEN_DOMCTL_CDF_hap } from "../../abi/4.17/constants.ts";
import { cellType, must } from "../engine/cells.ts";
import type { Cells, DeepReadonly } from "../engine/cells.ts";
import { bitmap, findNextBit, testBit } from "./bitmap.ts";
import type { LedgerEntry } from "./ledger.ts";

/** How far a domain has been killed (is_dying: DOMDYING_alive, _dying, _dead). */
export type Dying = "alive" | "dying" | "dead";

/** What a domain is to the hypervisor: paging_mode_translate and is_hvm_domain follow from it. */
export type DomainType = "pv" | "pvh" | "hvm";

/** `shutdown_code` of a domain that is not shut down; 255 in DOMINF's eight bits. */
export const SHUTDOWN_CODE_INVALID = 0xffffffff;

/** SHUTDOWN_* of public/sched.h. */
export const ShutdownCode = {
  poweroff: 0,
  reboot: 1,
  suspend: 2,
  crash: 3,
  watchdog: 4,
  soft_reset: 5,
} as const;

/** Where a kill stands; Xen keeps the same in `teardown.val` and `arch.rel_priv`. */
export const killPhases = [
  "gnttab_mappings",
  "evtchn_destroy",
  "paging",
  "vcpu_pagetables",
  "xen",
  "l4",
  "l3",
  "l2",
  "hvm",
  "done",
] as const;
export type KillPhase = (typeof killPhases)[number];

/** The part that is read and written most. */
export interface Domain {
  domid: number;
  type: DomainType;
  isPrivileged: boolean;
  isDying: Dying;
  /** Where the kill goes on when its hypercall is restarted, and from which frame. */
  killPhase: KillPhase;
  killCursor: number;
  /** "in_progress" from the first request until every vCPU is paused for it. */
  shutdown: "none" | "in_progress" | "complete";
  shutdownCode: number;
  /** All pauses, the toolstack's among them. */
  pauseCount: number;
  controllerPauseCount: number;
  creationFinished: boolean;
  /** Size of `vcpu[]`, set at creation. */
  maxVcpus: number;
  /** How many of them were made: they are made in ascending order. */
  nrVcpus: number;
  /** Port signalled instead of VIRQ_DOM_EXC when the domain has suspended; 0 for none. */
  suspendEvtchn: number;
  /** The domain this one is the device model of, or null; a reference is held. */
  target: number | null;
  debuggerAttached: boolean;
  cpupool: number;
}

export const domainCell = cellType<Domain>("domain");

/** `refcnt`: 1 until killed, 1 while it has pages, 1 while it has Xen heap pages, and other holders. */
export interface DomainRefs {
  refcnt: number;
  refs: LedgerEntry[];
}

export const domainRefsCell = cellType<DomainRefs>("domain-refs", { provenance: ["refs"] });

/** Page counts, all in frames of 4096 bytes. */
export interface DomainPages {
  totPages: number;
  maxPages: number;
  xenheapPages: number;
  /** Claimed and not yet allocated. */
  outstandingPages: number;
  /** Machine frame of shared_info. */
  sharedInfo: number;
  /** Xen heap pages shared with the domain, in order of sharing: shared_info, grant frames. */
  xenpages: number[];
  /** Pages the hypervisor allocated in the domain's name for its own use; `totPages` counts them too. */
  extraPages: number[];
}

/** The memory a domain has, as everybody is told: without the hypervisor's extra pages (domain_tot_pages). */
export function domainTotPages({ totPages, extraPages }: DeepReadonly<DomainPages>): number {
  return totPages - extraPages.length;
}

export const domainPagesCell = cellType<DomainPages>("domain-pages");

/** What a domain is told about and seldom asked for. */
export interface DomainInfo {
  /** A UUID: 32 hexadecimal digits. */
  handle: string;
  /** XEN_DOMCTL_CDF_*. */
  options: number;
  ssidref: number;
  emulationFlags: number;
  miscFlags: number;
  vmAssist: number;
  /** Distinguishes this domain from others that had its domid, before and after. */
  uniqueId: bigint;
  addressSize: 32 | 64;
  /** Bytes of the paging memory pool. */
  pagingMempool: number;
  timeOffsetSeconds: number;
  tsc: { mode: number; khz: number; elapsedNs: bigint; incarnation: number };
  /** Credit2's parameters for this domain. */
  sched: { weight: number; cap: number };
  nodeAffinity: "all" | number[];
}

export const domainInfoCell = cellType<DomainInfo>("domain-info");

/** There while a domain is in log-dirty mode. By domid. */
export const logDirtyCell = cellType<{ on: true }>("log-dirty");

/** The UUID of a domain that was given none. */
export const NO_HANDLE = "00000000000000000000000000000000";

/** Domains that can be found, by domid: rcu_lock_domain_by_id and domain_list. */
export const domlist = bitmap("domlist", 3);

/** Those of them that are dead and wait for their last reference to be dropped. */
export const deadDomains = bitmap("dead-domains", 3);

/** The domain on the domain list, or undefined (rcu_lock_domain_by_id). */
export function domainById(cells: Cells, domid: number): DeepReadonly<Domain> | undefined {
  return domid >= 0 && testBit(cells, domlist, domid) ? cells.get(domainCell, domid) : undefined;
}

/** The first domain on the list with that domid or a higher one. */
export function domainFrom(cells: Cells, domid: number): DeepReadonly<Domain> | undefined {
  const found = findNextBit(cells, domlist, domid);
  return found < 0 ? undefined : must(cells, domainCell, found);
}

/** All domains on the list, in order of domid. */
export function* forEachDomain(cells: Cells): Generator<DeepReadonly<Domain>> {
  for (let d = domainFrom(cells, 0); d !== undefined; d = domainFrom(cells, d.domid + 1)) yield d;
}

/** Whether the domain's physical frame numbers are translated: all but PV. */
export function pagingModeTranslate(d: DeepReadonly<Domain>): boolean {
  return d.type !== "pv";
}

/** Whether a translated domain's page tables are the processor's own (hap_enabled). */
export function hapEnabled(cells: Cells, domid: number): boolean {
  return (must(cells, domainInfoCell, domid).options & XEN_DOMCTL_CDF_hap) !== 0;
}

/** The hardware domain's domid. */
export const hardwareDomid = 0;
