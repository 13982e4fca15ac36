// SPDX-License-Identifier: Apache-2.0
//
// Domains that come, take hold of each other in every way there is, and go, in
// any order: what must hold is looked at after every step.

import { strict as assert } from "node:assert";
import { must } from "../../src/core/engine/cells.ts";
import { isFailure } from "../../src/core/engine/errno.ts";
import { clearFaults, injectFault } from "../../src/core/engine/fault.ts";
import type { Host } from "../../src/core/engine/host.ts";
import { nextBelow, seedPrng } from "../../src/core/engine/prng.ts";
import type { Prng } from "../../src/core/engine/prng.ts";
import { spawnThread } from "../../src/core/engine/thread.ts";
import { World } from "../../src/core/engine/world.ts";
import { checkLedger } from "../../src/core/hypervisor/check-ledger.ts";
import { deadDomains, domainById, domainPagesCell, forEachDomain } from "../../src/core/hypervisor/domain.ts";
import * as domctl from "../../src/core/hypervisor/domctl.ts";
import { incarnationCell } from "../../src/core/hypervisor/domid.ts";
import * as evtchn from "../../src/core/hypervisor/event-channel-op.ts";
import { forceFreePage, pagesLeft } from "../../src/core/hypervisor/force-free.ts";
import { ownedFrames } from "../../src/core/hypervisor/frames.ts";
import * as gnttab from "../../src/core/hypervisor/grant-table-op.ts";
import { heapCell } from "../../src/core/hypervisor/heap.ts";
import * as ioreq from "../../src/core/hypervisor/ioreq-op.ts";
import * as shadow from "../../src/core/hypervisor/legacy-shadow.ts";
import { mapFrame, unmapFrame } from "../../src/core/hypervisor/mapping.ts";
import { decreaseReservation, populatePhysmap } from "../../src/core/hypervisor/memory-op.ts";
import * as mmuext from "../../src/core/hypervisor/mmuext-op.ts";
import { pageOf } from "../../src/core/hypervisor/page.ts";
import { referenceKindNames } from "../../src/core/hypervisor/reference-kinds.ts";
import { runsOf } from "../../src/core/hypervisor/runs.ts";
import { registerPhysArea, registerVcpuInfo, schedopShutdown } from "../../src/core/hypervisor/sched-op.ts";
import { startHypervisor } from "../../src/core/hypervisor/setup.ts";
import { mapLdtShadowPage } from "../../src/core/hypervisor/vcpu-pages.ts";
import { testBit } from "../../src/core/hypervisor/bitmap.ts";

const xl = { domid: 0, process: "xl" };

/** Somebody's hold on a page, outside its domain. */
interface Hold {
  domid: number;
  incarnation: number;
  mfn: number;
  /** Whose hold it is: gone, at the latest, with that domain. */
  mapper: number;
  mapperIncarnation: number;
  release: (host: Host) => void;
}

/** What a run came to. */
export interface ChaosFigures {
  steps: number;
  domains: number;
  zombies: number;
  holds: number;
  [figure: string]: number;
}

type Event = (host: Host, domid: number, by: number) => void;
type Version = "4.17" | "4.23";

/** One run of random events on a host of its own. */
export class Chaos {
  readonly world: World;
  readonly figures: ChaosFigures = { steps: 0, domains: 0, zombies: 0, holds: 0 };
  readonly #prng: Prng;
  readonly #version: Version;
  readonly #free: number;
  #holds: Hold[] = [];
  #threads = 0;
  /** Where each life of each domid stands, by what the trace says of it. */
  readonly #states = new Map<string, string>();

  constructor(seed: number) {
    this.#prng = seedPrng(seed);
    this.#version = this.#below(2) === 0 ? "4.17" : "4.23";
    const paging = this.#below(3) === 0 ? "legacy-shadow" : "xen";
    this.world = new World({ tracking: { undo: false, hash: false }, seed });
    this.#act((host) => startHypervisor(host, { version: this.#version, paging, preemptPages: 4 }));
    this.world.sink = (record) => {
      if (record.kind === "domain") this.#domainEvent(record.data.domid, record.data.state);
    };
    this.#free = must(this.world, heapCell, 0).freePages;
  }

  #below(count: number): number {
    return nextBelow(this.#prng, Math.max(count, 1));
  }

  #pick<T>(from: readonly T[]): T | undefined {
    return from[this.#below(from.length)];
  }

  #act<R>(step: (host: Host) => R): R {
    let result: R | undefined;
    this.world.boot((host) => void (result = step(host)));
    return result as R;
  }

  #incarnation(domid: number): number {
    return this.world.get(incarnationCell, domid)?.count ?? 0;
  }

  /** A domid's lives do not overlap, and each ends once. */
  #domainEvent(domid: number, state: string): void {
    const life = this.#incarnation(domid);
    if (state === "shutdown" || state === "resumed") return;
    // What is freed may be an earlier life than the one that has the number now: 4.17 gives it again before.
    const of = state === "freed" ? this.#removedLife(domid) : life;
    const before = this.#states.get(`${domid}/${of}`);
    if (state === "created") {
      this.figures.domains++;
      assert.equal(before, undefined);
      const last = this.#states.get(`${domid}/${of - 1}`);
      const ended = this.#version === "4.17" ? ["removed", "freed"] : ["freed"];
      assert.ok(last === undefined || ended.includes(last), `d${domid} made again while ${last}`);
    }
    if (state === "freed") assert.equal(before, "removed", `d${domid} freed when ${before}`);
    if (state === "removed") assert.equal(before, "dead");
    if (state === "dead") assert.equal(before, "dying");
    this.#states.set(`${domid}/${of}`, state);
  }

  #removedLife(domid: number): number {
    for (let life = this.#incarnation(domid); life > 0; life--)
      if (this.#states.get(`${domid}/${life}`) === "removed") return life;
    throw new Error(`d${domid} is freed and was not there`);
  }

  #domids(): number[] {
    return [...forEachDomain(this.world)].map(({ domid }) => domid);
  }

  #frames(domid: number): number[] {
    if (domid === 0) return [];
    return [...runsOf(this.world, ownedFrames(domid))].flatMap(({ start, count }) =>
      Array.from({ length: Math.min(count, 6) }, (_, at) => start + at),
    );
  }

  /** Takes that many random steps, then ends everything: nothing may be left. */
  run(steps: number): ChaosFigures {
    for (let at = 0; at < steps; at++) {
      const { runnable } = this.world;
      if (runnable.length > 0 && this.#below(3) > 0) {
        this.world.perform({ thread: this.#pick(runnable) as string, choice: 0 });
      } else this.#act((host) => this.#event(host));
      this.figures.steps++;
      this.#look();
    }
    this.#end();
    return this.figures;
  }

  #look(): void {
    for (const domid of this.#domids()) {
      assert.deepEqual(checkLedger(this.world, domid), []);
      if (testBit(this.world, deadDomains, domid)) this.figures.zombies++;
    }
    this.#holds = this.#holds.filter((hold) => this.#stands(hold));
    for (const { domid, incarnation, mfn } of this.#holds) {
      const owner = pageOf(this.world, mfn)?.owner;
      assert.ok(
        owner === domid && this.#incarnation(domid) === incarnation,
        `frame ${mfn} of d${domid} was freed while somebody held it`,
      );
    }
  }

  /** Whether a hold is still its mapper's: a dying domain lets go in its own time. */
  #stands({ mapper, mapperIncarnation }: Hold): boolean {
    return (
      domainById(this.world, mapper)?.isDying === "alive" && this.#incarnation(mapper) === mapperIncarnation
    );
  }

  #hold(domid: number, mfn: number, mapper: number, release: Hold["release"]): void {
    this.figures.holds++;
    this.#holds.push({
      domid,
      incarnation: this.#incarnation(domid),
      mfn,
      mapper,
      mapperIncarnation: this.#incarnation(mapper),
      release,
    });
  }

  #event(host: Host): void {
    const all = this.#domids();
    const domid = this.#pick(all) as number;
    this.#pick(this.#events)?.(host, domid, this.#pick(all) as number);
  }

  readonly #events: readonly Event[] = [
    (host) => this.#create(host),
    (host) => this.#create(host),
    (host, domid) =>
      void populatePhysmap(host, xl, { domid, gpfns: [this.#below(8) * 8], order: this.#below(4) }),
    (host, domid) => this.#decrease(host, domid),
    (host, domid) => this.#mapForeign(host, domid),
    (host, domid) => this.#mapForeign(host, domid),
    (host, domid, by) => this.#mapGrant(host, domid, by),
    (host, domid, by) => this.#mapGrant(host, domid, by),
    (host) => this.#release(host),
    (host) => this.#release(host),
    (host, domid) => this.#pageTables(host, domid),
    (host, domid) => this.#pageTables(host, domid),
    (host, domid) => this.#descriptors(host, domid),
    (host, domid) => this.#areas(host, domid),
    (host, domid) => this.#ioreqServer(host, domid),
    (host, domid) => this.#shadows(host, domid),
    (host, domid, by) => this.#channel(host, domid, by),
    (host, domid, by) => void (domid > by && domctl.setTarget(host, xl, { domid, target: by })),
    (host, domid) => this.#crash(host, domid),
    (host, domid) => this.#forget(host, domid),
    (host) => this.#force(host),
    (host, domid) => this.#kill(host, domid),
    (host, domid) => this.#kill(host, domid),
  ];

  #create(host: Host): void {
    const config = [{}, { flags: 1, emulationFlags: 1 }, { flags: 1, emulationFlags: 0x3ff }];
    const made = domctl.createdomain(host, xl, { ...this.#pick(config), maxVcpus: 2 });
    if (isFailure(made)) return;
    domctl.maxVcpus(host, xl, { domid: made.domid, max: 2 });
    domctl.maxMem(host, xl, { domid: made.domid, maxMemkb: 4096 });
    populatePhysmap(host, xl, { domid: made.domid, gpfns: [0], order: 3 });
  }

  #gfn(domid: number): number {
    const frames = this.#frames(domid);
    return domainById(this.world, domid)?.type === "pv" ? (this.#pick(frames) ?? 0) : this.#below(8);
  }

  #decrease(host: Host, domid: number): void {
    if (domid !== 0) decreaseReservation(host, xl, { domid, gmfns: [this.#gfn(domid)] });
  }

  #mapForeign(host: Host, domid: number): void {
    const counts = must(host, domainPagesCell, domid);
    const mfn = this.#pick([...this.#frames(domid), ...counts.xenpages, ...counts.extraPages]);
    if (mfn === undefined || domid === 0) return;
    const process = `p${this.#below(3)}`;
    const readonly = this.#below(2) === 0;
    if (isFailure(mapFrame(host, 0, process, "foreign map", domid, mfn, readonly))) return;
    this.#hold(domid, mfn, 0, (h) =>
      assert.equal(unmapFrame(h, 0, process, "foreign map", mfn, readonly), 0),
    );
  }

  #mapGrant(host: Host, domid: number, by: number): void {
    if (domainById(host, by)?.isDying !== "alive" || domid === 0) return;
    const ref = this.#below(16);
    const readonly = this.#below(4) === 0;
    gnttab.grantAccess(host, domid, ref, by, this.#gfn(domid), readonly);
    const kernel = { domid: by, process: "kernel" };
    const mapping = gnttab.mapGrantRef(host, kernel, { domid, ref, flags: readonly ? 6 : 2 });
    if (mapping.status !== 0) return;
    const { handle, mfn } = mapping;
    this.#hold(domid, mfn, by, (h) => assert.equal(gnttab.unmapGrantRef(h, kernel, { handle }).status, 0));
  }

  #release(host: Host): void {
    this.#holds = this.#holds.filter((hold) => this.#stands(hold));
    const [hold] = this.#holds.splice(this.#below(this.#holds.length), 1);
    hold?.release(host);
  }

  #pageTables(host: Host, domid: number): void {
    const kernel = { domid, process: "kernel" };
    const [table, mfn] = [this.#pick(this.#frames(domid)), this.#pick(this.#frames(domid))];
    if (table === undefined || mfn === undefined) return;
    const level = (1 + this.#below(4)) as 1 | 2 | 3 | 4;
    // A toolstack may pin at any time; a dying domain's own vCPUs make no hypercalls.
    switch (domainById(host, domid)?.isDying === "alive" ? this.#below(5) : this.#below(2)) {
      case 0:
        return void mmuext.mmuextPin(host, xl, { domid, level, mfn: table });
      case 1:
        return void mmuext.mmuextUnpin(host, xl, { domid, mfn: table });
      case 2:
        return void mmuext.mmuextNewBaseptr(host, kernel, { vcpu: 0, mfn: table, user: level > 2 });
      default:
        return void mmuext.mmuUpdate(host, kernel, {
          table,
          index: this.#below(4),
          mfn: this.#below(4) === 0 ? 0 : mfn,
        });
    }
  }

  #descriptors(host: Host, domid: number): void {
    const kernel = { domid, process: "kernel" };
    const frames = this.#frames(domid).slice(0, this.#below(3));
    if (domid === 0 || domainById(host, domid)?.isDying !== "alive") return;
    if (this.#below(2) === 0) return void mmuext.setGdtOf(host, kernel, { vcpu: 0, frames });
    mmuext.mmuextSetLdt(host, kernel, { vcpu: 0, frames });
    if (domainById(host, domid)?.type === "pv") mapLdtShadowPage(host, domid, 0, 0);
  }

  #areas(host: Host, domid: number): void {
    if (domid === 0) return;
    const kernel = { domid, process: "kernel" };
    const [vcpu, gfn] = [this.#below(2), this.#gfn(domid)];
    if (domainById(host, domid)?.isDying !== "alive") return;
    if (this.#below(2) === 0) registerVcpuInfo(host, kernel, { vcpu, gfn });
    else registerPhysArea(host, kernel, { vcpu, area: this.#below(2) === 0 ? "runstate" : "vcpu_time", gfn });
  }

  #ioreqServer(host: Host, domid: number): void {
    const qemu = { domid: 0, process: "qemu" };
    const id = this.#below(2);
    switch (this.#below(3)) {
      case 0:
        // A server is made before its domain's kill has come to the end of them.
        if (domainById(host, domid)?.isDying === "alive")
          ioreq.createIoreqServer(host, qemu, { domid, bufioreqHandling: this.#below(3) });
        return;
      case 1:
        return void ioreq.acquireIoreqFrames(host, qemu, { domid, id, frame: 1, nrFrames: 1 });
      default:
        return void ioreq.destroyIoreqServer(host, qemu, { domid, id });
    }
  }

  #shadows(host: Host, domid: number): void {
    const frames = this.#frames(domid);
    const d = domainById(host, domid);
    if (!shadow.legacyShadow(host) || d?.isDying !== "alive" || d.type === "pv" || frames.length < 4) return;
    const [l2, l1, page, pte] = frames as [number, number, number, number];
    shadow.updatePagetables(host, domid, 0, l2);
    shadow.shadowFault(host, domid, { l2, l1 }, page);
    if (this.#below(2) === 0) shadow.markOutOfSync(host, domid, l1, pte);
    if (this.#below(4) === 0) shadow.shadowSyncAll(host, domid);
    if (this.#below(4) === 0) shadow.updatePagetables(host, domid, 1, page);
  }

  #channel(host: Host, domid: number, by: number): void {
    const made = evtchn.allocUnbound(host, xl, { domid, remoteDomid: by });
    if (isFailure(made) || this.#below(2) === 0) return;
    evtchn.bindInterdomain(host, { domid: by, process: "k" }, { remoteDomid: domid, remotePort: made.port });
  }

  #crash(host: Host, domid: number): void {
    if (domid !== 0 && domainById(host, domid)?.isDying === "alive")
      schedopShutdown(host, { domid, process: "k" }, { reason: 3 });
  }

  #forget(host: Host, domid: number): void {
    if (domid === 0) return;
    if (this.#below(2) === 0) return void clearFaults(host, "forget-put", [String(domid)]);
    const kind = (this.#pick(referenceKindNames) as string).replaceAll(" ", "-");
    injectFault(host, "forget-put", [String(domid), kind, String(1 + this.#below(3))]);
  }

  /** Tries to force a dead domain's page free: never one that somebody holds. */
  #force(host: Host): void {
    const dead = this.#pick(this.#domids().filter((domid) => testBit(host, deadDomains, domid)));
    const left = dead === undefined ? [] : pagesLeft(host, dead);
    const page = isFailure(left) ? undefined : this.#pick(left);
    if (dead === undefined || page === undefined) return;
    const held = this.#holds.some((hold) => hold.mfn === page.mfn && this.#stands(hold));
    const forced = forceFreePage(host, dead, page.mfn);
    if (held) assert.ok(isFailure(forced) && forced.errno === "EBUSY");
  }

  #kill(host: Host, domid: number): void {
    if (domid === 0) return;
    spawnThread(host, `dom0/xl.${this.#threads++}`, domctl.destroydomain, { caller: xl, domid });
  }

  #settle(): void {
    while (this.world.runnable.length > 0) {
      this.world.perform({ thread: this.#pick(this.world.runnable) as string, choice: 0 });
      this.#look();
    }
  }

  /** Kills all, in the presence of all holds; lets them go in any order: with the last one its zombie ends. */
  #end(): void {
    this.#act((host) => {
      for (const domid of this.#domids()) this.#kill(host, domid);
    });
    this.#settle();
    this.#act((host) => void clearFaults(host));
    this.#settle();
    while (this.#holds.length > 0) {
      const [hold] = this.#holds.splice(this.#below(this.#holds.length), 1) as [Hold];
      this.#act((host) => hold.release(host));
      this.#settle();
      this.#lingersByHolds(hold.domid);
    }
    assert.deepEqual(this.#domids(), [0]);
    this.#act((host) => {
      for (let port = 1; port < 400; port++) evtchn.close(host, xl, { port });
    });
    assert.deepEqual(checkLedger(this.world, 0), []);
    assert.deepEqual(must(this.world, heapCell, 0), { freePages: this.#free, outstandingClaims: 0 });
    for (const [life, state] of this.#states) assert.equal(state, "freed", `d${life} ends ${state}`);
  }

  /** A dead domain is there as long as somebody holds it, and no longer. */
  #lingersByHolds(domid: number): void {
    const held = this.#holds.some((hold) => hold.domid === domid);
    const d = domainById(this.world, domid);
    const target = this.#domids().some((other) => domainById(this.world, other)?.target === domid);
    assert.ok(held || target || d === undefined, `d${domid} stays though nobody holds it`);
  }
}
