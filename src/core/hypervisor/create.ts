// SPDX-License-Identifier: Apache-2.0
//
// domain_create (xen/common/domain.c): everything a domain has before it has
// memory or vCPUs. It is on the domain list, and can be found, as the last act.

import { must } from "../engine/cells.ts";
import { fail, isFailure } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { setBit, testAndClearBit } from "./bitmap.ts";
import { domainChangedState } from "./changed-domains.ts";
import { cpupoolAddDomain, cpupoolTakesDomain } from "./cpupool.ts";
import {
  domainCell,
  domainInfoCell,
  domainPagesCell,
  domainRefsCell,
  domlist,
  SHUTDOWN_CODE_INVALID,
} from "./domain.ts";
import type { DomainType } from "./domain.ts";
import { domidFree, incarnationCell } from "./domid.ts";
import { evtchnInit } from "./event-channel.ts";
import { grantTableCell } from "./grant-cells.ts";
import { grantTableInit } from "./grant-table.ts";
import { allocHeapPages, freeHeapPages } from "./heap.ts";
import { hvmDomainInit } from "./hvm-params.ts";
import { credit } from "./ledger.ts";
import { machineOf } from "./machine.ts";
import { discardXenPages, shareXenPage } from "./page.ts";
import { evtchnTableCell, portCell, portId, portsInUse } from "./port.ts";

/** XEN_DOMCTL_CDF_* of public/domctl.h. */
const INT_MAX = 0x7fffffff;

export const CDF_hvm = 1;
export const CDF_hap = 2;
export const CDF_oos_off = 8;
export const CDF_xs_domain = 16;
export const CDF_iommu = 32;
export const CDF_nested_virt = 64;
export const CDF_vpmu = 128;

const EMU_LAPIC = 1;
const EMU_PIT = 1 << 8;
const EMU_VPCI = 1 << 10;
const EMU_ALL = 0x7ff;

const HVM_MAX_VCPUS = 128;
const MAX_VIRT_CPUS = 8192;

/** Frames below 4 GiB: shared_info must have a 32-bit machine address. */
const LOW_LIMIT = 1 << 20;

/** struct xen_domctl_createdomain. */
export interface DomainConfig {
  flags: number;
  ssidref: number;
  /** 32 hexadecimal digits. */
  handle: string;
  iommuOpts: number;
  maxVcpus: number;
  maxEvtchnPort: number;
  /** Below 0: as many as the host allows. */
  maxGrantFrames: number;
  maxMaptrackFrames: number;
  /** The highest grant table version, 1 or 2. */
  grantOpts: number;
  vmtraceSize: number;
  cpupoolId: number;
  emulationFlags: number;
  miscFlags: number;
}

/**
 * Checks a configuration as sanitise_domain_config and its x86 half do: EINVAL, or EOPNOTSUPP for emulated
 * devices that do not go together.
 */
export function sanitiseConfig(config: DomainConfig): 0 | Failure {
  const has = (flag: number): boolean => (config.flags & flag) !== 0;
  const hvm = has(CDF_hvm);
  const invalid =
    (config.flags & ~0xff) !== 0 ||
    (config.grantOpts & ~0xf) !== 0 ||
    config.maxVcpus < 1 ||
    config.maxVcpus > (hvm ? HVM_MAX_VCPUS : MAX_VIRT_CPUS) ||
    (has(CDF_hap) && !hvm) ||
    // The machine has neither an IOMMU nor processor trace nor virtual performance counters.
    has(CDF_iommu) ||
    config.iommuOpts !== 0 ||
    config.vmtraceSize !== 0 ||
    has(CDF_vpmu) ||
    (has(CDF_nested_virt) && !has(CDF_hap)) ||
    (config.miscFlags & ~1) !== 0 ||
    (config.emulationFlags & ~EMU_ALL) !== 0;
  if (invalid) return fail("EINVAL");
  const emulated = hvm ? [EMU_ALL & ~EMU_VPCI, EMU_LAPIC] : [0, EMU_PIT];
  return emulated.includes(config.emulationFlags) ? 0 : fail("EOPNOTSUPP");
}

function typeOf(config: DomainConfig): DomainType {
  if ((config.flags & CDF_hvm) === 0) return "pv";
  return config.emulationFlags === EMU_LAPIC ? "pvh" : "hvm";
}

/**
 * Creates a domain: paused once, without vCPUs, on the domain list. `domid` is
 * reserved by the caller. Whatever fails, nothing is left of it and the domid is
 * free.
 */
export function domainCreate(
  host: Host,
  domid: number,
  config: DomainConfig,
  isPrivileged: boolean,
): 0 | Failure {
  const sane = sanitiseConfig(config);
  if (isFailure(sane)) {
    domidFree(host, domid);
    return sane;
  }
  addDomainCells(host, domid, config, isPrivileged);
  const made = construct(host, domid, config);
  if (isFailure(made)) {
    unwind(host, domid);
    return made;
  }
  // Must not fail beyond this point.
  setBit(host, domlist, domid);
  domainChangedState(host, domid);
  host.emit("domain", { domid, state: "created" });
  return 0;
}

function addDomainCells(host: Host, domid: number, config: DomainConfig, isPrivileged: boolean): void {
  host.add(domainCell, domid, {
    domid,
    type: typeOf(config),
    isPrivileged,
    isDying: "alive",
    killPhase: "gnttab_mappings",
    killCursor: 0,
    shutdown: "none",
    shutdownCode: SHUTDOWN_CODE_INVALID,
    pauseCount: 0,
    controllerPauseCount: 0,
    creationFinished: false,
    maxVcpus: config.maxVcpus,
    nrVcpus: 0,
    suspendEvtchn: 0,
    target: null,
    debuggerAttached: false,
    cpupool: 0,
  });
  const refs = host.add(domainRefsCell, domid, { refcnt: 1, refs: [] });
  credit(host, refs.refs, { holder: "xen", kind: "created", op: "domain_create" }, 1, 0);
  host.add(domainPagesCell, domid, {
    totPages: 0,
    maxPages: 0,
    xenheapPages: 0,
    outstandingPages: 0,
    sharedInfo: -1,
    xenpages: [],
    extraPages: [],
  });
  host.add(domainInfoCell, domid, {
    handle: config.handle,
    options: config.flags,
    ssidref: config.ssidref,
    emulationFlags: config.emulationFlags,
    miscFlags: config.miscFlags,
    vmAssist: 0,
    uniqueId: uniqueId(machineOf(host).seed, domid, must(host, incarnationCell, domid).count),
    addressSize: 64,
    pagingMempool: 1 << 20,
    timeOffsetSeconds: 0,
    tsc: { mode: 0, khz: machineOf(host).cpuKhz, elapsedNs: 0n, incarnation: isPrivileged ? 0 : 1 },
    sched: { weight: 256, cap: 0 },
    nodeAffinity: "all",
  });
}

/** The parts that can fail, in Xen's order: x86, event channels, grant table, scheduler. */
function construct(host: Host, domid: number, config: DomainConfig): 0 | Failure {
  const sharedInfo = allocHeapPages(host, 0, LOW_LIMIT);
  if (sharedInfo < 0) return fail("ENOMEM");
  host.edit(domainPagesCell, domid).sharedInfo = sharedInfo;
  shareXenPage(host, domid, sharedInfo, "arch_domain_create");
  hvmDomainInit(host, domid);
  const d = host.edit(domainCell, domid);
  d.controllerPauseCount = 1;
  d.pauseCount = 1;
  evtchnInit(host, domid, Math.min(config.maxEvtchnPort >>> 0, INT_MAX));
  const granted = grantTableInit(
    host,
    domid,
    config.maxGrantFrames,
    config.maxMaptrackFrames,
    config.grantOpts,
  );
  if (isFailure(granted)) return granted;
  const pooled = cpupoolTakesDomain(host, config.cpupoolId);
  if (isFailure(pooled)) return pooled;
  host.edit(domainCell, domid).cpupool = config.cpupoolId;
  cpupoolAddDomain(host, config.cpupoolId);
  return 0;
}

/** Takes apart what was made of a domain that never came to be: nobody can have seen it. */
function unwind(host: Host, domid: number): void {
  const { sharedInfo } = must(host, domainPagesCell, domid);
  const table = host.get(grantTableCell, domid);
  discardXenPages(host, domid);
  for (const mfn of [sharedInfo, ...(table?.frames ?? [])]) if (mfn >= 0) freeHeapPages(host, mfn, 1);
  if (table !== undefined) host.drop(grantTableCell, domid);
  if (host.get(evtchnTableCell, domid) !== undefined) {
    host.drop(evtchnTableCell, domid);
    testAndClearBit(host, portsInUse(domid), 0);
    host.drop(portCell, portId(domid, 0));
  }
  for (const cell of [domainInfoCell, domainPagesCell, domainRefsCell, domainCell])
    host.drop<object>(cell, domid);
  domidFree(host, domid);
}

/** A number no other domain of this host has or had: a hash of what makes this one unlike them (splitmix64). */
function uniqueId(seed: number, domid: number, incarnation: number): bigint {
  let z = BigInt.asUintN(
    64,
    BigInt(seed) * 0x9e3779b97f4a7c15n + (BigInt(incarnation) << 16n) + BigInt(domid),
  );
  z = BigInt.asUintN(64, (z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n);
  z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94d049bb133111ebn);
  return z ^ (z >> 31n);
}
