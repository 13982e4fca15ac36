// SPDX-License-Identifier: Apache-2.0
//
// DOMCTL: what a control domain does to others (xen/common/domctl.c). Each
// function is one hypercall; `caller` must be privileged (EPERM), the domain
// must be on the domain list (ESRCH).

import { must } from "../engine/cells.ts";
import { fail, isFailure } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { controlled, isPrivileged, traced } from "./caller.ts";
import type { Caller } from "./caller.ts";
import { nextChangedDomain } from "./changed-domains.ts";
import { printk } from "./console-ring.ts";
import { placeVcpus } from "./cpupool.ts";
import { CDF_xs_domain, domainCreate } from "./create.ts";
import type { DomainConfig } from "./create.ts";
import { domainById, domainCell, domainFrom, domainInfoCell, domainPagesCell, NO_HANDLE } from "./domain.ts";
import { another, domctl } from "./domctl-op.ts";
import { DOMID_ANY, DOMID_FIRST_RESERVED, domidAlloc } from "./domid.ts";
import { getdomaininfo as domainInfo } from "./dominfo.ts";
import type { DomainInfoReply } from "./dominfo.ts";
import { evtchnReset, setGlobalVirqHandler } from "./event-channel.ts";
import { getDomain } from "./free.ts";
import { warnActiveGrants } from "./grant-table.ts";
import { ioreqServerAddVcpuAll } from "./ioreq.ts";
import { domainKill } from "./kill.ts";
import { versionOf } from "./machine.ts";
import { domainPause, domainUnpause, pauseBySystemcontroller, unpauseBySystemcontroller } from "./pause.ts";
import { domainCrash, domainResume, vcpuCheckShutdown } from "./shutdown.ts";
import { unmapGuestAreas } from "./vcpu-pages.ts";
import { newVcpu, vcpusOf } from "./vcpu.ts";
import { globalVirqHandler, VIRQ_DOM_EXC } from "./virq.ts";

/** What a configuration is unless the caller says otherwise. */
const configDefaults: DomainConfig = {
  flags: 0,
  ssidref: 0,
  handle: NO_HANDLE,
  iommuOpts: 0,
  maxVcpus: 1,
  maxEvtchnPort: 1023,
  maxGrantFrames: -1,
  maxMaptrackFrames: -1,
  grantOpts: 2,
  vmtraceSize: 0,
  cpupoolId: 0,
  emulationFlags: 0,
  miscFlags: 0,
};

/** What a new domain is to be; the rest as a small PV domain's. */
export type CreatedomainArgs = Partial<DomainConfig> & { domid?: number };

/**
 * Creates a domain, paused, without vCPUs or memory. A domid of 1 … 0x7fef asks
 * for that one (EEXIST), any other for the next free one. Other errors:
 * `sanitiseConfig`'s, `grantTableInit`'s, ENOMEM.
 */
export function createdomain(
  host: Host,
  caller: Caller,
  args: CreatedomainArgs,
): { domid: number } | Failure {
  const { domid: asked = DOMID_ANY, ...given } = args;
  const config = { ...configDefaults, ...given };
  const result = ((): { domid: number } | Failure => {
    if (!isPrivileged(host, caller)) return fail("EPERM");
    const domid = domidAlloc(host, asked);
    if (isFailure(domid)) return domid;
    const made = domainCreate(host, domid, config, false);
    return isFailure(made) ? made : { domid };
  })();
  const shown = {
    ssid: config.ssidref,
    flags: config.flags,
    iommu: config.iommuOpts,
    max_vcpus: config.maxVcpus,
    max_evtchn_port: config.maxEvtchnPort,
    gnt_frames: config.maxGrantFrames,
    maptrack: config.maxMaptrackFrames,
    grant_opts: config.grantOpts,
    vmtrace: config.vmtraceSize,
    cpupool: config.cpupoolId,
    emul: config.emulationFlags,
    misc: config.miscFlags,
  };
  return traced(host, caller, "domctl createdomain", asked, shown, result, ({ domid }) => ({ domid }));
}

/** Makes the domain's vCPUs, down. `max` must be what it was created with: EINVAL. */
export function maxVcpus(
  host: Host,
  caller: Caller,
  { domid, max }: { domid: number; max: number },
): 0 | Failure {
  return domctl(host, caller, "max_vcpus", another(host, caller, domid), domid, { max }, (d) => {
    if (max !== d.maxVcpus) return fail("EINVAL");
    domainPause(host, domid);
    for (let vcpu = d.nrVcpus; vcpu < max; vcpu++) {
      newVcpu(host, domid, vcpu);
      ioreqServerAddVcpuAll(host, domid, vcpu);
      host.edit(domainCell, domid).nrVcpus = vcpu + 1;
      vcpuCheckShutdown(host, domid, vcpu);
    }
    placeVcpus(host, must(host, domainCell, domid));
    domainUnpause(host, domid);
    return 0;
  });
}

/** Sets how much memory the domain may have, in KiB; what it has above stays until it gives it back. */
export function maxMem(
  host: Host,
  caller: Caller,
  { domid, maxMemkb }: { domid: number; maxMemkb: number },
): 0 | Failure {
  return domctl(
    host,
    caller,
    "max_mem",
    controlled(host, caller, domid),
    domid,
    { max_memkb: maxMemkb },
    () => {
      host.edit(domainPagesCell, domid).maxPages = Math.min(Math.floor(maxMemkb / 4), 0xfffffffe);
      return 0;
    },
  );
}

/** Pauses the domain; pauses nest, at most 255 (EOVERFLOW). */
export function pausedomain(host: Host, caller: Caller, domid: number): 0 | Failure {
  return domctl(host, caller, "pausedomain", another(host, caller, domid), domid, {}, () =>
    pauseBySystemcontroller(host, domid),
  );
}

/** Takes back one pause; EINVAL where there is none. */
export function unpausedomain(host: Host, caller: Caller, domid: number): 0 | Failure {
  return domctl(host, caller, "unpausedomain", controlled(host, caller, domid), domid, {}, () =>
    unpauseBySystemcontroller(host, domid),
  );
}

/** Lets a domain that was shut down run on. */
export function resumedomain(host: Host, caller: Caller, domid: number): 0 | Failure {
  return domctl(host, caller, "resumedomain", another(host, caller, domid), domid, {}, () => {
    domainResume(host, domid);
    return 0;
  });
}

/**
 * What is known of the first domain from `domid` on: its identifier says which
 * one it is. ESRCH after the last, EINVAL for reserved identifiers, EPERM for
 * callers that neither control domains, nor are xenstore's, nor the domain's
 * device model (xsm_getdomaininfo, XSM_XS_PRIV).
 */
export function getdomaininfo(host: Host, caller: Caller, domid: number): DomainInfoReply | Failure {
  if (domid >= DOMID_FIRST_RESERVED) return fail("EINVAL");
  const d = domainFrom(host, domid);
  if (d === undefined) return fail("ESRCH");
  const may =
    isPrivileged(host, caller) ||
    isXenstoreDomain(host, caller.domid) ||
    host.get(domainCell, caller.domid)?.target === d.domid;
  return may ? domainInfo(host, host.now, d) : fail("EPERM");
}

/** Whether a domain may see all others because xenstored runs in it (XEN_DOMCTL_CDF_xs_domain). */
export function isXenstoreDomain(host: Host, domid: number): boolean {
  return ((host.get(domainInfoCell, domid)?.options ?? 0) & CDF_xs_domain) !== 0;
}

/** Destroys a domain, slice by slice; other threads run in between. EINVAL for the caller's own domain. */
export const destroydomain = routine(
  "domctl_destroydomain",
  (a: { caller: Caller; domid: number }) => ({ ...a, more: true }),
  ({ step, repeatUntil }) => [
    repeatUntil("hypercall_create_continuation", (l) => !l.more, [
      step("domain_kill", (host, l) => {
        const d = another(host, l.caller, l.domid);
        const result = isFailure(d) ? d : domainKill(host, l.domid);
        l.more = result === "ERESTART";
        if (l.more) return undefined;
        const ended = isFailure(result) ? result : 0;
        traced(host, l.caller, "domctl destroydomain", l.domid, {}, ended);
        return isFailure(ended) ? ended : undefined;
      }),
    ]),
  ],
);

/**
 * Makes a shut down domain's surroundings new again: its event channels are
 * closed, 64 a slice, and it runs on. EINVAL while a vCPU runs.
 */
export const softReset = routine(
  "domctl_soft_reset",
  (a: { caller: Caller; domid: number }) => ({ ...a, resuming: false, more: true }),
  ({ step, repeatUntil }) => [
    repeatUntil("hypercall_create_continuation", (l) => !l.more, [
      step("domain_soft_reset", (host, l) => {
        const result = softResetSlice(host, l.caller, l.domid, l.resuming);
        l.more = result === "ERESTART";
        l.resuming = true;
        if (result === "ERESTART") return undefined;
        traced(host, l.caller, "domctl soft_reset", l.domid, {}, result);
        return isFailure(result) ? result : undefined;
      }),
    ]),
  ],
);

function softResetSlice(
  host: Host,
  caller: Caller,
  domid: number,
  resuming: boolean,
): 0 | "ERESTART" | Failure {
  const d = another(host, caller, domid);
  if (isFailure(d)) return d;
  for (const [, v] of vcpusOf(host, d)) if (!v.pausedForShutdown) return fail("EINVAL");
  const reset = evtchnReset(host, caller.domid, domid, resuming);
  if (isFailure(reset) || reset === "ERESTART") return reset;
  for (const line of warnActiveGrants(host, domid)) printk(host, line);
  for (const [vcpu] of vcpusOf(host, d)) unmapGuestAreas(host, domid, vcpu);
  // A PV domain has no way to come back from here (arch_domain_soft_reset).
  if (d.type === "pv") {
    domainCrash(host, domid, caller.domid);
    return fail("EINVAL");
  }
  domainResume(host, domid);
  return 0;
}

/** Changes the domain's UUID: 32 hexadecimal digits. */
export function setdomainhandle(
  host: Host,
  caller: Caller,
  { domid, handle }: { domid: number; handle: string },
): 0 | Failure {
  return domctl(host, caller, "setdomainhandle", controlled(host, caller, domid), domid, { handle }, () => {
    host.edit(domainInfoCell, domid).handle = handle;
    return 0;
  });
}

/** Names the port that is signalled, in place of VIRQ_DOM_EXC, when the domain has suspended. */
export function subscribe(
  host: Host,
  caller: Caller,
  { domid, port }: { domid: number; port: number },
): 0 | Failure {
  return domctl(host, caller, "subscribe", controlled(host, caller, domid), domid, { port }, () => {
    host.edit(domainCell, domid).suspendEvtchn = port;
    return 0;
  });
}

/** Makes the domain the handler of a global VIRQ. */
export function setVirqHandler(
  host: Host,
  caller: Caller,
  { domid, virq }: { domid: number; virq: number },
): 0 | Failure {
  return domctl(host, caller, "set_virq_handler", controlled(host, caller, domid), domid, { virq }, () =>
    setGlobalVirqHandler(host, domid, virq),
  );
}

/**
 * Makes `domid` the device model's domain of an HVM domain, which it then keeps from being freed: ESRCH,
 * EINVAL, EOPNOTSUPP.
 */
export function setTarget(
  host: Host,
  caller: Caller,
  { domid, target }: { domid: number; target: number },
): 0 | Failure {
  return domctl(host, caller, "set_target", controlled(host, caller, domid), domid, { target }, (d) => {
    const e = domainById(host, target);
    if (e === undefined) return fail("ESRCH");
    if (target === domid) return fail("EINVAL");
    if (e.type === "pv") return fail("EOPNOTSUPP");
    if (d.target !== null) return fail("EINVAL");
    getDomain(host, target, { holder: `d${domid}`, kind: "set_target", op: "set_target" });
    host.edit(domainCell, domid).target = target;
    return 0;
  });
}

/** A changed domain, as the handler of VIRQ_DOM_EXC learns of it; `exists` false for one that has gone. */
export interface DomainState {
  domid: number;
  exists: boolean;
  shutdown: boolean;
  dying: boolean;
  dead: boolean;
  uniqueId: bigint;
}

/**
 * The next domain that changed: EACCES unless the caller handles VIRQ_DOM_EXC, ENOENT when there is none,
 * ENOSYS before 4.21.
 */
export function getDomainState(host: Host, caller: Caller): DomainState | Failure {
  if (!versionOf(host).changedDomainBitmap) return fail("ENOSYS");
  if (globalVirqHandler(host, VIRQ_DOM_EXC) !== caller.domid) return fail("EACCES");
  const domid = nextChangedDomain(host);
  if (domid < 0) return fail("ENOENT");
  const d = domainById(host, domid);
  return {
    domid,
    exists: d !== undefined,
    shutdown: d?.shutdown === "complete",
    dying: d?.isDying === "dying",
    dead: d?.isDying === "dead",
    uniqueId: d === undefined ? 0n : must(host, domainInfoCell, domid).uniqueId,
  };
}
