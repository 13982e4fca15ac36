// SPDX-License-Identifier: Apache-2.0
//
// Why a domain does not die: from the ledgers who holds it, from the threads
// what those wait for, and who else does not get on because of it.

import type { DeepReadonly } from "../core/engine/cells.ts";
import { must } from "../core/engine/cells.ts";
import { stackOf } from "../core/engine/thread.ts";
import type { World } from "../core/engine/world.ts";
import { checkLedger } from "../core/hypervisor/check-ledger.ts";
import { domainById, domainPagesCell, domainRefsCell, forEachDomain } from "../core/hypervisor/domain.ts";
import type { Domain } from "../core/hypervisor/domain.ts";
import { incarnationCell } from "../core/hypervisor/domid.ts";
import { forgottenPutsCell, forgottenPutsId } from "../core/hypervisor/forgotten-puts.ts";
import { rcuDomainCell } from "../core/hypervisor/free.ts";
import type { ReferenceKind } from "../core/hypervisor/reference-kinds.ts";
import { nodeType } from "../core/xenstore/tree.ts";
import type { Diagnosis, Holder, Holding, Stage, Stalled } from "./diagnosis.ts";
import { holdingsOf } from "./ledger.ts";
import { whyKept } from "./driver-domain.ts";
import { lettersOf } from "./letters.ts";
import { domainsBehind } from "./mailboxes.ts";
import { nextSteps } from "./next-steps.ts";
import { chainFrom, waitersOf } from "./waits.ts";
import { actorOf } from "./who.ts";

/** How many domains have had that number so far, the present one included. */
export function incarnationOf(world: World, domid: number): number {
  return world.get(incarnationCell, domid)?.count ?? 0;
}

/** Domains that are dead, or on their way there, in ascending order. */
export function dyingDomains(world: World): number[] {
  return [...forEachDomain(world)].filter(({ isDying }) => isDying !== "alive").map(({ domid }) => domid);
}

/** Where the last domain of that number stands. */
export function stageOf(world: World, domid: number): Stage {
  const d = domainById(world, domid);
  if (d === undefined) {
    const used = incarnationOf(world, domid);
    if (used === 0) return "never used";
    return world.get(rcuDomainCell, `${domid}/${used}`) === undefined ? "freed" : "being freed";
  }
  if (d.isDying === "dead") return "zombie";
  if (d.isDying === "dying") return "being killed";
  if (d.shutdown === "complete") return "shut down";
  return d.controllerPauseCount > 0 ? "paused" : "running";
}

/**
 * Looks at a domain of a live or simulated host and says who keeps it. Changes
 * nothing. Costs a look at every thread and at every page that is more than
 * allocated.
 *
 * @param nameOf names, where the host's own xenstored does not have them
 */
export function diagnose(world: World, domid: number, nameOf = storeName(world)): Diagnosis {
  const stage = stageOf(world, domid);
  const d = domainById(world, domid);
  const empty = { holders: [], stalled: [], disagreements: [], remarks: [], missing: [], letters: [] };
  if (d === undefined) {
    const next = nextSteps(stage, domid, []);
    return { domid, name: null, stage, state: null, counts: null, ...empty, next };
  }
  const holders = [...holdingsOf(world, domid)]
    .map(([name, holdings]) => holderOf(world, domid, name, holdings))
    .toSorted((a, b) => total(b) - total(a));
  const { totPages, xenheapPages } = must(world, domainPagesCell, domid);
  const { refcnt } = must(world, domainRefsCell, domid);
  return {
    domid,
    name: nameOf(domid),
    stage,
    ...lettersOf(world, world.now, d),
    counts: { refcnt, nrPages: totPages, xenheapPages },
    holders,
    stalled: stalledBy(world, holders),
    disagreements: checkLedger(world, domid),
    remarks: [],
    missing: missingOf(world, d, holders),
    next: nextSteps(stage, domid, holders),
  };
}

function storeName(world: World): (domid: number) => string | null {
  return (domid) => world.get(nodeType, `/local/domain/${domid}/name`)?.value ?? null;
}

function total({ holdings }: Holder): number {
  return holdings.reduce((sum, { count }) => sum + count, 0);
}

function holderOf(world: World, held: number, name: string, holdings: readonly Holding[]): Holder {
  const { who, domid, pid, outside, thread, waitsItsTurn } = actorOf(world, name);
  const { chain, release } = thread === null ? { chain: [], release: null } : chainFrom(world, thread);
  const bug = forgottenPut(world, held, name, holdings);
  const turn = waitsItsTurn ? `its event waits for its turn in ${thread}` : null;
  const keeps = domid === null || domid === held ? null : whyKept(world, domid, thread !== null);
  return {
    certainty: "recorded",
    name,
    who,
    hint:
      bug === null
        ? (keeps?.hint ?? turn)
        : "it should have dropped a reference and did not: a bug, or the fault forget-put",
    domid,
    pid,
    holdings: [...holdings],
    chain: bug === null ? chain : [],
    release: bug ?? (outside && pid !== null ? `kill ${pid}` : (keeps?.release ?? release)),
  };
}

/** The command that drops a reference which the fault forget-put kept from being dropped, or null. */
function forgottenPut(
  world: World,
  domid: number,
  name: string,
  holdings: readonly Holding[],
): string | null {
  for (const { kind } of holdings) {
    const id = forgottenPutsId(domid, kind as ReferenceKind);
    const kept = world.get(forgottenPutsCell, id)?.kept ?? [];
    if (kept.some(({ holder }) => holder === name || kind === "allocated"))
      return `xenolith fault clear forget-put ${domid} ${kind.replaceAll(" ", "-")}`;
  }
  return null;
}

/** Who waits, over others or at once, for a thread that one of the holders' chains goes through. */
function stalledBy(world: World, holders: readonly Holder[]): Stalled[] {
  const threads = new Set(holders.flatMap(({ chain }) => chain.map(({ thread }) => thread)));
  const waiting = [...threads].filter((thread) => domainsBehind(world, thread).length > 0);
  return [...waitersOf(world, threads), ...waiting].toSorted().map((thread) => {
    const [top] = stackOf(world, thread);
    const standsAt = top === undefined ? "" : `${top.routine}: ${top.at}`;
    return { thread, standsAt, domains: domainsBehind(world, thread) };
  });
}

/** What a reader should know was not found. */
function missingOf(world: World, d: DeepReadonly<Domain>, holders: readonly Holder[]): string[] {
  if (d.isDying !== "dead" || holders.length > 0) return [];
  const { totPages, xenheapPages } = must(world, domainPagesCell, d.domid);
  return totPages + xenheapPages > 0 ? ["no ledger names who holds the pages that are left"] : [];
}
