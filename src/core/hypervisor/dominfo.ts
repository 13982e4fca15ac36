// SPDX-License-Identifier: Apache-2.0
//
// What the hypervisor tells of a domain (xen/common/domctl.c, getdomaininfo),
// and the letters tools show for it.

import { must } from "../engine/cells.ts";
import type { Cells, DeepReadonly } from "../engine/cells.ts";
import { CDF_hap, CDF_xs_domain } from "./create.ts";
import { domainInfoCell, domainPagesCell, domainTotPages, ShutdownCode } from "./domain.ts";
import type { Domain } from "./domain.ts";
import { runningTime, vcpuRunnable, vcpusOf, VPF_blocked, VPF_down } from "./vcpu.ts";

/** XEN_DOMINF_* of public/domctl.h. */
export const DOMINF_dying = 1;
export const DOMINF_hvm_guest = 2;
export const DOMINF_shutdown = 4;
export const DOMINF_paused = 8;
export const DOMINF_blocked = 16;
export const DOMINF_running = 32;
export const DOMINF_debugged = 64;
export const DOMINF_xs_domain = 128;
export const DOMINF_hap = 256;
const DOMINF_shutdownshift = 16;

/** struct xen_domctl_getdomaininfo. Pages are of 4096 bytes, `cpuTime` is in nanoseconds. */
export interface DomainInfoReply {
  domid: number;
  /** DOMINF_*; the shutdown code is in bits 16 to 23. */
  flags: number;
  running: boolean;
  blocked: boolean;
  paused: boolean;
  shutdown: boolean;
  /** 255 while it is not shut down. */
  shutdownCode: number;
  /** Dead: what is left of it is held by others. */
  dying: boolean;
  hvmGuest: boolean;
  totPages: number;
  maxPages: number;
  outstandingPages: number;
  sharedInfoFrame: number;
  cpuTime: number;
  nrOnlineVcpus: number;
  /** -1 where there is none. */
  maxVcpuId: number;
  ssidref: number;
  /** A UUID: 32 hexadecimal digits. */
  handle: string;
  cpupool: number;
  emulationFlags: number;
}

/**
 * Everything tools ask about a domain. "dying" is said of a dead domain only; one that is being killed
 * looks paused.
 */
export function getdomaininfo(cells: Cells, now: number, d: DeepReadonly<Domain>): DomainInfoReply {
  const info = must(cells, domainInfoCell, d.domid);
  const pages = must(cells, domainPagesCell, d.domid);
  let activity = DOMINF_blocked;
  let cpuTime = 0;
  let nrOnlineVcpus = 0;
  for (const [, v] of vcpusOf(cells, d)) {
    cpuTime += runningTime(now, v);
    if ((v.pauseFlags & VPF_down) !== 0) continue;
    nrOnlineVcpus++;
    if ((v.pauseFlags & VPF_blocked) === 0) activity &= ~DOMINF_blocked;
    if (vcpuRunnable(d, v)) activity |= DOMINF_running;
  }
  const flags =
    (nrOnlineVcpus > 0 ? activity : 0) |
    (d.isDying === "dead" ? DOMINF_dying : 0) |
    (d.shutdown === "complete" ? DOMINF_shutdown : 0) |
    (d.controllerPauseCount > 0 ? DOMINF_paused : 0) |
    (d.debuggerAttached ? DOMINF_debugged : 0) |
    ((info.options & CDF_xs_domain) !== 0 ? DOMINF_xs_domain : 0) |
    (d.type === "pv" ? 0 : DOMINF_hvm_guest) |
    ((info.options & CDF_hap) !== 0 ? DOMINF_hap : 0) |
    (d.shutdownCode << DOMINF_shutdownshift);
  const has = (flag: number): boolean => (flags & flag) !== 0;
  return {
    domid: d.domid,
    flags: flags >>> 0,
    running: has(DOMINF_running),
    blocked: has(DOMINF_blocked),
    paused: has(DOMINF_paused),
    shutdown: has(DOMINF_shutdown),
    shutdownCode: shutdownCodeOf(flags),
    dying: has(DOMINF_dying),
    hvmGuest: has(DOMINF_hvm_guest),
    totPages: domainTotPages(pages),
    maxPages: pages.maxPages,
    outstandingPages: pages.outstandingPages,
    sharedInfoFrame: pages.sharedInfo,
    cpuTime: cpuTime * 1000,
    nrOnlineVcpus,
    maxVcpuId: d.nrVcpus - 1,
    ssidref: info.ssidref,
    handle: info.handle,
    cpupool: d.cpupool,
    emulationFlags: info.emulationFlags,
  };
}

/** The shutdown code in those flags; 255 where the domain is not shut down. */
export function shutdownCodeOf(flags: number): number {
  return (flags >>> DOMINF_shutdownshift) & 255;
}

function letters(flags: number, fifth: string): string {
  const letter = (bit: number, name: string): string => ((flags & bit) === 0 ? "-" : name);
  return (
    letter(DOMINF_running, "r") +
    letter(DOMINF_blocked, "b") +
    letter(DOMINF_paused, "p") +
    letter(DOMINF_shutdown, "s") +
    fifth +
    letter(DOMINF_dying, "d")
  );
}

/** `--p---`: running, blocked, paused, shut down, crashed, dying, as the recordings write them. */
export function flagString(flags: number): string {
  const crashed = (flags & DOMINF_shutdown) !== 0 && shutdownCodeOf(flags) === ShutdownCode.crash;
  return letters(flags, crashed ? "c" : "-");
}

/** The same as `xl list` writes them: the fifth column is the letter of the shutdown's reason. */
export function stateString(flags: number): string {
  const code = (flags & DOMINF_shutdown) === 0 ? 0 : shutdownCodeOf(flags);
  return letters(flags, "-rscwS"[code] ?? "?");
}
