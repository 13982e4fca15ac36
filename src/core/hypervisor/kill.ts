// SPDX-License-Identifier: Apache-2.0
//
// domain_kill: what a domain has is taken away in Xen's order, a bounded part a
// call. What it maps of others is released; what others map of it is theirs to
// give back, and until they do the domain stays on the list, dead.

import { must } from "../engine/cells.ts";
import { assert } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { setBit } from "./bitmap.ts";
import { domainChangedState } from "./changed-domains.ts";
import { cpupoolMoveDead } from "./cpupool.ts";
import { deadDomains, domainCell, domainPagesCell, killPhases } from "./domain.ts";
import type { KillPhase } from "./domain.ts";
import { evtchnDestroy } from "./event-channel.ts";
import { willForget } from "./forgotten-puts.ts";
import { freeOwnedFrames, ownedFrames, setOutstandingPages } from "./frames.ts";
import { putDomain } from "./free.ts";
import { gnttabReleaseMappings } from "./grant-table.ts";
import { ioreqServerDestroyAll } from "./ioreq.ts";
import { shadowModeDisable } from "./legacy-shadow.ts";
import { machineOf } from "./machine.ts";
import { dropMappings } from "./mapping.ts";
import { physmapDestroy } from "./p2m.ts";
import {
  devalidatePage,
  nextPage,
  pageCell,
  pageOf,
  putPageAllocRef,
  putPageAndTypePreemptible,
  setPinned,
} from "./page.ts";
import type { Budget, Progress } from "./page-table.ts";
import { domainPause } from "./pause.ts";
import { podEmptyCache } from "./pod-cache.ts";
import { runFrom } from "./runs.ts";
import { destroyDescriptorTables, unmapGuestAreas, vcpuDestroyPagetables } from "./vcpu-pages.ts";
import { changeVcpu, vcpusOf } from "./vcpu.ts";
import { sendGlobalVirq, VIRQ_DOM_EXC } from "./virq.ts";

/** Cells a restartable operation touches before it looks whether somebody waits. */
const CELLS_PER_SLICE = 64;

/**
 * Kills a domain as far as one slice gets: ERESTART means "call me again". The
 * first call pauses it for good; with the last it is dead, loses the reference
 * it was created with, and VIRQ_DOM_EXC is raised. A dead domain is done.
 */
export function domainKill(host: Host, domid: number): Progress {
  const { isDying } = must(host, domainCell, domid);
  if (isDying === "dead") return "done";
  if (isDying === "alive") {
    domainPause(host, domid);
    host.edit(domainCell, domid).isDying = "dying";
    host.emit("domain", { domid, state: "dying" });
    setOutstandingPages(host, domid, 0);
  }
  for (;;) {
    const { killPhase } = must(host, domainCell, domid);
    if (killPhase === "done") break;
    if (phases[killPhase](host, domid) === "ERESTART") return "ERESTART";
    const next = killPhases[killPhases.indexOf(killPhase) + 1];
    assert(next !== undefined, "the last phase is done");
    host.edit(domainCell, domid).killPhase = next;
  }
  finishKill(host, domid);
  return "done";
}

function finishKill(host: Host, domid: number): void {
  cpupoolMoveDead(host, domid);
  for (const [vcpu] of vcpusOf(host, must(host, domainCell, domid))) {
    unmapGuestAreas(host, domid, vcpu);
    changeVcpu(host, domid, vcpu, (v) => void (v.upcallMask = true));
  }
  host.edit(domainCell, domid).isDying = "dead";
  setBit(host, deadDomains, domid);
  host.emit("domain", { domid, state: "dead" });
  domainChangedState(host, domid);
  putDomain(host, domid, "xen", "created");
  sendGlobalVirq(host, VIRQ_DOM_EXC, `d${domid} is dead`);
}

/** domain_teardown, evtchn_destroy, then the steps of domain_relinquish_resources that the model has. */
const phases: { readonly [phase in Exclude<KillPhase, "done">]: (host: Host, domid: number) => Progress } = {
  gnttab_mappings: gnttabReleaseMappings,
  evtchn_destroy: evtchnDestroy,
  paging: (host, domid) =>
    physmapDestroy(host, domid, CELLS_PER_SLICE) === "done" &&
    shadowModeDisable(host, domid, CELLS_PER_SLICE) === "done" &&
    podEmptyCache(host, domid, CELLS_PER_SLICE) === "done"
      ? "done"
      : "ERESTART",
  vcpu_pagetables: (host, domid) => {
    const d = must(host, domainCell, domid);
    const budget = { left: CELLS_PER_SLICE };
    for (const [vcpu] of vcpusOf(host, d))
      if (vcpuDestroyPagetables(host, domid, vcpu, budget) === "ERESTART") return "ERESTART";
    for (const [vcpu] of vcpusOf(host, d)) destroyDescriptorTables(host, domid, vcpu);
    return "done";
  },
  xen: (host, domid) => {
    for (const mfn of must(host, domainPagesCell, domid).xenpages) putPageAllocRef(host, mfn);
    return "done";
  },
  // The page tables go with the memory, and with them what they map of others and of the hypervisor.
  l4: (host, domid) =>
    dropMappings(host, domid, CELLS_PER_SLICE) === "done" ? relinquishMemory(host, domid, "l4") : "ERESTART",
  l3: (host, domid) => relinquishMemory(host, domid, "l3"),
  l2: (host, domid) => relinquishMemory(host, domid, "l2"),
  // hvm_domain_relinquish_resources
  hvm: (host, domid) => {
    ioreqServerDestroyAll(host, domid);
    return "done";
  },
};

/**
 * Goes over a domain's frames from the cursor on, as many as the machine allows
 * a slice: drops the pin and the allocation, and takes apart page tables of that
 * level that are still valid then. Runs of plain pages are freed as runs; a page
 * somebody else holds stays, no longer allocated. The first round leaves little
 * for the others: tables that refer to each other in a circle.
 */
function relinquishMemory(host: Host, domid: number, level: "l4" | "l3" | "l2"): Progress {
  let pages = machineOf(host).preemptPages;
  const budget = { left: CELLS_PER_SLICE };
  for (;;) {
    const { killCursor } = must(host, domainCell, domid);
    const run = runFrom(host, ownedFrames(domid), killCursor);
    if (run === undefined) {
      host.edit(domainCell, domid).killCursor = 0;
      return "done";
    }
    if (pages === 0 || budget.left <= 0) return "ERESTART";
    const start = Math.max(run.start, killCursor);
    const page = nextPage(host, start);
    const held = page === start;
    const plain = page < 0 ? run.start + run.count - start : page - start;
    const single = held || willForget(host, domid, "allocated");
    const count = single ? 1 : Math.min(plain, run.start + run.count - start, pages);
    budget.left--;
    if (single) {
      if (relinquishPage(host, start, level, budget) === "ERESTART") return "ERESTART";
    } else freeOwnedFrames(host, domid, start, count);
    host.edit(domainCell, domid).killCursor = start + count;
    pages -= count;
  }
}

/** Drops what the domain itself holds of a page of its own: the pin, the allocation, a table that nobody uses. */
function relinquishPage(host: Host, mfn: number, level: "l4" | "l3" | "l2", budget: Budget): Progress {
  const page = host.get(pageCell, mfn);
  if (page?.pinned === true) {
    const { owner } = page;
    setPinned(host, mfn, false);
    const put = putPageAndTypePreemptible(host, mfn, `d${owner}`, "pinned", budget);
    if (put === "ERESTART") return put;
  }
  if (pageOf(host, mfn) !== undefined) putPageAllocRef(host, mfn);
  const left = host.get(pageCell, mfn);
  return left?.type === level ? devalidatePage(host, mfn, budget) : "done";
}
