// SPDX-License-Identifier: Apache-2.0
//
// References to a domain, and what happens when the last one is dropped: off the
// domain list at once, freed when no hypercall can still be looking at it.

import { cellType, must } from "../engine/cells.ts";
import { assert } from "../engine/errno.ts";
import { clearFaults } from "../engine/fault.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { spawnThread } from "../engine/thread.ts";
import { takeAcpiButton } from "./acpi-button.ts";
import { bitmapEmpty, clearBit } from "./bitmap.ts";
import { domainChangedState } from "./changed-domains.ts";
import { dropCpuPolicy } from "./cpu-policy.ts";
import { cpupoolRmDomain } from "./cpupool.ts";
import {
  domainCell,
  domainInfoCell,
  domainPagesCell,
  domainRefsCell,
  deadDomains,
  domlist,
  logDirtyCell,
} from "./domain.ts";
import { domidFree, incarnationCell } from "./domid.ts";
import { forgotten } from "./forgotten-puts.ts";
import { grantTableCell } from "./grant-cells.ts";
import { freeHeapPages } from "./heap.ts";
import { dropHvmContext } from "./hvm-context.ts";
import { dropHvmMemory } from "./hvm-memory-cell.ts";
import { dropHvmParams } from "./hvm-params.ts";
import { credit, debit } from "./ledger.ts";
import type { Holder } from "./ledger.ts";
import { dropPod } from "./pod-cell.ts";
import { evtchnTableCell, portsInUse } from "./port.ts";
import type { DomainReferenceKind } from "./reference-kinds.ts";
import { vcpuCell, dropInjectedEvent, vcpuContextCell, vcpuId } from "./vcpu.ts";
import { sendGlobalVirq, VIRQ_DOM_EXC } from "./virq.ts";
import { watchdogDomainDestroy } from "./watchdog-timer.ts";

declare module "../engine/trace.ts" {
  interface TraceEvents {
    /** A domain's way through its life: created, shutdown, dying, dead, removed (from the list), freed. */
    domain: {
      domid: number;
      state: "created" | "shutdown" | "resumed" | "dying" | "dead" | "removed" | "freed";
      code?: number;
    };
  }
}

/** A domain off the list whose structure is not freed yet. Identifier: `domid/incarnation`. */
interface RcuDomain {
  domid: number;
  /** Xen heap frames to free: shared_info, grant frames, status frames. */
  frames: number[];
  cpupool: number;
  target: number | null;
}

export const rcuDomainCell = cellType<RcuDomain>("rcu-domain");

/** Takes a reference; false for a domain whose last one was dropped (get_domain). */
export function getDomain(host: Host, domid: number, holder: Holder): boolean {
  if (host.get(domainCell, domid) === undefined) return false;
  const refs = host.edit(domainRefsCell, domid);
  refs.refcnt++;
  credit(host, refs.refs, holder, 1, 0);
  return true;
}

/** Drops a reference; with the last one the domain is destroyed (put_domain). */
export function putDomain(host: Host, domid: number, holder: string, kind: DomainReferenceKind): void {
  if (forgotten(host, domid, { mfn: -1, holder, kind, typed: false })) return;
  const refs = host.edit(domainRefsCell, domid);
  refs.refcnt--;
  debit(refs.refs, holder, kind, 1, 0);
  if (refs.refcnt === 0) domainDestroy(host, domid);
}

/**
 * Takes a domain without references off the list and leaves the rest to RCU
 * (domain_destroy). From here on nobody can find it; 4.17 may give its domid to
 * a new domain even before the old structure is freed.
 */
function domainDestroy(host: Host, domid: number): void {
  const d = must(host, domainCell, domid);
  assert(d.isDying === "dead", `d${domid} lost its last reference alive`);
  clearBit(host, domlist, domid);
  clearBit(host, deadDomains, domid);
  host.emit("domain", { domid, state: "removed" });
  const id = `${domid}/${must(host, incarnationCell, domid).count}`;
  const { frames, statusFrames } = must(host, grantTableCell, domid);
  const { sharedInfo } = must(host, domainPagesCell, domid);
  host.add(rcuDomainCell, id, {
    domid,
    frames: [sharedInfo, ...frames, ...statusFrames],
    cpupool: d.cpupool,
    target: d.target,
  });
  dropDomain(host, domid);
  spawnThread(host, `xen/rcu/${id}`, completeDomainDestroy, { id }, { kind: "xen", domid: null });
}

/** Forgets a domain's cells. What could still refer to it must be gone. */
export function dropDomain(host: Host, domid: number): void {
  // A fault is one of this domain, not of the next one with its number.
  clearFaults(host, "forget-put", [String(domid)]);
  assert(bitmapEmpty(host, portsInUse(domid)), `d${domid} is freed with open event channels`);
  const d = must(host, domainCell, domid);
  for (let vcpu = d.nrVcpus - 1; vcpu >= 0; vcpu--) {
    host.drop(vcpuCell, vcpuId(domid, vcpu));
    if (host.get(vcpuContextCell, vcpuId(domid, vcpu)) !== undefined)
      host.drop(vcpuContextCell, vcpuId(domid, vcpu));
    dropInjectedEvent(host, domid, vcpu);
  }
  dropHvmParams(host, domid);
  dropHvmMemory(host, domid);
  dropPod(host, domid);
  dropHvmContext(host, domid);
  dropCpuPolicy(host, domid);
  takeAcpiButton(host, domid);
  watchdogDomainDestroy(host, domid);
  if (host.get(logDirtyCell, domid) !== undefined) host.drop(logDirtyCell, domid);
  host.drop(grantTableCell, domid);
  host.drop(evtchnTableCell, domid);
  host.drop(domainInfoCell, domid);
  host.drop(domainPagesCell, domid);
  host.drop(domainRefsCell, domid);
  host.drop(domainCell, domid);
}

/**
 * What call_rcu runs after the grace period: the frames the hypervisor shared
 * with the domain, the reference on its target, its identifier, then the third
 * VIRQ_DOM_EXC. It waits for nothing the model has: no step holds an RCU lock
 * across its end, so the moment it runs is the scheduler's choice.
 */
export const completeDomainDestroy = routine(
  "complete_domain_destroy",
  (a: { id: string }) => ({ ...a }),
  ({ step }) => [
    step("_domain_destroy", (host, l) => {
      const { domid, frames, cpupool, target } = must(host, rcuDomainCell, l.id);
      host.drop(rcuDomainCell, l.id);
      for (const mfn of frames) {
        host.memory.discard(mfn, 1);
        freeHeapPages(host, mfn, 1);
      }
      cpupoolRmDomain(host, cpupool);
      if (target !== null) putDomain(host, target, `d${domid}`, "set_target");
      domainChangedState(host, domid);
      domidFree(host, domid);
      host.emit("domain", { domid, state: "freed" });
      sendGlobalVirq(host, VIRQ_DOM_EXC, `d${domid} is gone`);
    }),
  ],
);
