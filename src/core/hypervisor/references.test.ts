// SPDX-License-Identifier: Apache-2.0
//
// Whatever happens in whatever order: counts and ledgers agree after every step,
// no page is freed while held, each domain is freed once, nothing is left.
import fc from "fast-check";
import { expect, test } from "vitest";
import { cellTypes, must } from "../engine/cells.ts";
import { isFailure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { canonicalHost, checkHash } from "../engine/save.ts";
import { checkLedger } from "./check-ledger.ts";
import { domainById, domainPagesCell, forEachDomain } from "./domain.ts";
import * as domctl from "./domctl.ts";
import * as evtchn from "./event-channel-op.ts";
import { mapForeignBatch, unmapForeignBatch } from "./foreign-map.ts";
import { eachRun, frameRuns } from "./frame-runs.ts";
import { frameOwner, ownedFrames } from "./frames.ts";
import * as gnttab from "./grant-table-op.ts";
import { heapCell } from "./heap.ts";
import { decreaseReservation, mapForeign, populatePhysmap, unmapForeign } from "./memory-op.ts";
import { mmuextPin } from "./mmuext-op.ts";
import { runsOf } from "./runs.ts";
import { schedopShutdown } from "./sched-op.ts";
import { TestHost, xl } from "./testing.ts";

/** What a run remembers to be able to take back. */
interface Held {
  foreign: { domid: number; mfn: number; readonly: boolean }[];
  grants: { domid: number; handle: number }[];
}

/** Numbers choose among what there is, so that most actions mean something. */
type Chosen = { what: number; who: number; by: number; n: number };

function domids(host: Host): number[] {
  return [...forEachDomain(host)].map(({ domid }) => domid);
}

function pick<T>(from: readonly T[], n: number): T | undefined {
  return from[n % Math.max(from.length, 1)];
}

const actions: ((t: TestHost, held: Held, host: Host, domid: number, by: number, n: number) => void)[] = [
  (_t, _held, host, _domid, _by, n) => {
    const made = domctl.createdomain(host, xl, n % 2 === 0 ? {} : { flags: 1, emulationFlags: 1 });
    if ("errno" in made) return;
    domctl.maxVcpus(host, xl, { domid: made.domid, max: 1 });
    domctl.maxMem(host, xl, { domid: made.domid, maxMemkb: 4096 });
  },
  (_t, _held, host, domid, _by, n) =>
    void populatePhysmap(host, xl, { domid, gpfns: [n * 8, n * 8 + 4], order: n % 3 }),
  (_t, _held, host, domid, _by, n) => {
    const frames = framesOf(host, domid);
    if (domid !== 0)
      decreaseReservation(host, xl, {
        domid,
        gmfns: [domainById(host, domid)?.type === "pv" ? (pick(frames, n) ?? 0) : n * 8],
      });
  },
  (_t, held, host, domid, by, n) => {
    const d = domainById(host, domid);
    if (d === undefined) return;
    const gfn =
      d.type === "pv"
        ? (pick([...framesOf(host, domid), must(host, domainPagesCell, domid).sharedInfo], n) ?? 0)
        : n * 8;
    const mapper = domainById(host, by)?.isDying === "alive" && by === 0 ? by : 0;
    const mapped = mapForeign(
      host,
      { domid: mapper, process: `p${n % 3}` },
      { domid, gfn, readonly: n % 2 === 0 },
    );
    if (!("errno" in mapped)) held.foreign.push({ domid: n % 3, mfn: mapped.mfn, readonly: n % 2 === 0 });
  },
  (_t, held, host, _domid, _by, n) => {
    const [one] = held.foreign.splice(n % Math.max(held.foreign.length, 1), 1);
    if (one !== undefined) expect(unmapForeign(host, { domid: 0, process: `p${one.domid}` }, one)).toBe(0);
  },
  // Many at once, as a process outside maps; they go one by one or in parts.
  (_t, held, host, domid, _by, n) => {
    const d = domainById(host, domid);
    if (d === undefined) return;
    const gfns =
      d.type === "pv" ? framesOf(host, domid) : Array.from({ length: 12 }, (_, i) => n * 8 - 4 + i);
    const readonly = n % 2 === 0;
    const caller = { domid: 0, process: `p${n % 3}` };
    const mapped = mapForeignBatch(host, caller, { domid, gfns: frameRuns(gfns), readonly });
    if (isFailure(mapped)) return;
    for (const [mfn, count] of eachRun(mapped.mfns)) {
      if (mfn < 0) continue;
      for (let i = 0; i < count; i++) held.foreign.push({ domid: n % 3, mfn: mfn + i, readonly });
    }
  },
  (_t, held, host, _domid, _by, n) => {
    const some = held.foreign.splice(n % Math.max(held.foreign.length, 1), 1 + (n % 7));
    for (const by of [0, 1, 2]) {
      for (const readonly of [true, false]) {
        const mfns = some
          .filter((one) => one.domid === by && one.readonly === readonly)
          .map(({ mfn }) => mfn);
        const caller = { domid: 0, process: `p${by}` };
        expect(unmapForeignBatch(host, caller, { mfns: frameRuns(mfns), readonly })).toBe(0);
      }
    }
  },
  (_t, held, host, domid, by, n) => {
    const d = domainById(host, domid);
    if (d === undefined || domainById(host, by)?.isDying !== "alive") return;
    gnttab.grantAccess(
      host,
      domid,
      n,
      by,
      d.type === "pv" ? (pick(framesOf(host, domid), n) ?? 0) : n * 8,
      n % 4 === 0,
    );
    const mapping = gnttab.mapGrantRef(
      host,
      { domid: by, process: "kernel" },
      { domid, ref: n, flags: n % 4 === 0 ? 6 : 2 },
    );
    if (mapping.status === 0) held.grants.push({ domid: by, handle: mapping.handle });
  },
  (_t, held, host, _domid, _by, n) => {
    const [one] = held.grants.splice(n % Math.max(held.grants.length, 1), 1);
    if (one !== undefined && domainById(host, one.domid)?.isDying === "alive")
      gnttab.unmapGrantRef(host, { domid: one.domid, process: "kernel" }, one);
  },
  (_t, _held, host, domid, by, n) => {
    const made = evtchn.allocUnbound(host, xl, { domid, remoteDomid: by });
    if (!("errno" in made) && n % 2 === 0)
      evtchn.bindInterdomain(
        host,
        { domid: by, process: "kernel" },
        { remoteDomid: domid, remotePort: made.port },
      );
  },
  (_t, _held, host, domid, _by, n) =>
    void (domid !== 0 && schedopShutdown(host, { domid, process: "kernel" }, { reason: n % 6 })),
  (_t, _held, host, domid, _by, n) =>
    void mmuextPin(host, xl, {
      domid,
      level: ((n % 4) + 1) as 1 | 2 | 3 | 4,
      mfn: pick(framesOf(host, domid), n) ?? 0,
    }),
  // A stub domain keeps its target; two that keep each other would stay for ever, as on Xen.
  (_t, _held, host, domid, by) => void (domid > by && domctl.setTarget(host, xl, { domid, target: by })),
  // 4.17 lets a dying domain become a handler, and never frees it: the test below.
  (_t, _held, host, domid) =>
    void (
      domid !== 0 &&
      domainById(host, domid)?.isDying === "alive" &&
      domctl.setVirqHandler(host, xl, { domid, virq: 8 })
    ),
];

/** A guest's frames; dom0 keeps its own out of it. */
function framesOf(host: Host, domid: number): number[] {
  return domid === 0
    ? []
    : [...runsOf(host, ownedFrames(domid))].flatMap(({ start, count }) =>
        Array.from({ length: Math.min(count, 8) }, (_, i) => start + i),
      );
}

/** A thread's step, taken, given back and taken again: undoing it must leave no trace. */
function stepTwice(t: TestHost, thread: string): void {
  const before = canonicalHost(t.world);
  const undo = t.world.perform({ thread, choice: 0 });
  if (undo === null) throw new Error("no undo");
  const after = canonicalHost(t.world);
  t.world.unperform(undo);
  expect(canonicalHost(t.world)).toBe(before);
  t.trace.length = t.trace.findLastIndex((record) => record.step < t.world.counters.step + 1) + 1;
  t.world.perform({ thread, choice: 0 });
  expect(canonicalHost(t.world)).toBe(after);
}

function perform(t: TestHost, held: Held, { what, who, by, n }: Chosen): void {
  const all = domids(t.world);
  const domid = pick(all, who) as number;
  const other = pick(all, by) as number;
  const { runnable } = t.world;
  if (what < actions.length) t.act((host) => actions[what]?.(t, held, host, domid, other, n));
  else if (what === actions.length) {
    if (domid !== 0) t.destroy(domid);
  } else if (runnable.length > 0) stepTwice(t, pick(runnable, n) as string);
}

function expectSound(t: TestHost, held: Held): void {
  expect(checkHash(t.world)).toBeNull();
  for (const domid of domids(t.world)) expect(checkLedger(t.world, domid)).toEqual([]);
  for (const { mfn } of held.foreign) {
    const xenheap = domids(t.world).some((domid) =>
      must(t.world, domainPagesCell, domid).xenpages.includes(mfn),
    );
    expect(frameOwner(t.world, mfn) !== null || xenheap, `frame ${mfn} was freed while mapped`).toBe(true);
  }
}

const chosen = fc.record({
  what: fc.nat({ max: actions.length + 3 }),
  who: fc.nat({ max: 4 }),
  by: fc.nat({ max: 4 }),
  n: fc.nat({ max: 40 }),
});

test("references, pages and domains come and go in any order", () => {
  fc.assert(
    fc.property(
      fc.constantFrom("4.17" as const, "4.23" as const),
      fc.array(chosen, { minLength: 20, maxLength: 90 }),
      (version, sequence) => {
        const t = new TestHost({ version, preemptPages: 4 });
        const before = cellCounts(t);
        const { freePages } = must(t.world, heapCell, 0);
        const held: Held = { foreign: [], grants: [] };
        for (const one of sequence) {
          perform(t, held, one);
          expectSound(t, held);
        }
        // Everybody lets go, every domain is destroyed: nothing is left.
        for (const domid of domids(t.world)) if (domid !== 0) t.destroy(domid);
        t.settle();
        t.act((host) => {
          for (const one of held.foreign)
            expect(unmapForeign(host, { domid: 0, process: `p${one.domid}` }, one)).toBe(0);
          for (const { domid, handle } of held.grants)
            if (domid === 0) gnttab.unmapGrantRef(host, { domid, process: "kernel" }, { handle });
          for (let port = 1; port < 200; port++) evtchn.close(host, xl, { port });
        });
        t.settle();
        expect(domids(t.world)).toEqual([0]);
        expect(checkLedger(t.world, 0)).toEqual([]);
        expect(must(t.world, heapCell, 0)).toEqual({ freePages, outstandingClaims: 0 });
        expect(
          cellCounts(t).filter(
            (line) => !before.includes(line) && !/^(domid-incarnation|memory-|run |bitmap)/.test(line),
          ),
        ).toEqual([]);
        const created = t.trace.filter((r) => r.kind === "domain" && r.data.state === "created").length - 1;
        expect(t.trace.filter((r) => r.kind === "domain" && r.data.state === "freed").length).toBe(created);
      },
    ),
    { numRuns: 150 },
  );
});

test("slices of two kills commute: either order leaves the same state", () => {
  const t = new TestHost({ preemptPages: 256 });
  for (const config of [{}, { flags: 1, emulationFlags: 1 }]) {
    const domid = t.makeDomain(4096, config);
    t.act((host) => {
      populatePhysmap(host, xl, { domid, gpfns: [0, 512, 1024], order: 9 });
      for (let i = 0; i < 66; i++) openChannel(host, domid);
    });
    t.destroy(domid);
  }
  let pairs = 0;
  for (const [a, b] of both(t)) {
    const orders = [
      [a, b],
      [b, a],
    ].map((order) => {
      const undone = order.map((thread) => t.world.perform({ thread, choice: 0 }));
      const state = canonicalHost(t.world);
      for (const undo of undone.toReversed()) if (undo !== null) t.world.unperform(undo);
      return state;
    });
    expect(orders[0]).toBe(orders[1]);
    pairs++;
  }
  expect(pairs).toBeGreaterThan(10);
});

function openChannel(host: Host, domid: number): void {
  const made = evtchn.allocUnbound(host, xl, { domid, remoteDomid: 0 });
  if (!("errno" in made)) evtchn.bindInterdomain(host, xl, { remoteDomid: domid, remotePort: made.port });
}

/** Pairs of threads that can both step; the first of each pair steps before the next. */
function* both(t: TestHost): Generator<[string, string]> {
  for (let turn = 0; t.world.runnable.length > 0; turn++) {
    const [a, b] = t.world.runnable;
    if (a !== undefined && b !== undefined) yield [a, b];
    t.world.perform({ thread: (turn % 2 === 0 ? a : (b ?? a)) as string, choice: 0 });
  }
}

test.each([
  ["4.17", 0, "dead"],
  ["4.23", { errno: "EINVAL" }, "freed"],
] as const)("a dying domain made the handler of a VIRQ (Xen %s)", (version, result, state) => {
  const t = new TestHost({ version, preemptPages: 4 });
  const domid = t.makeDomain();
  t.act((host) => populatePhysmap(host, xl, { domid, gpfns: [0], order: 4 }));
  t.destroy(domid);
  t.world.perform({ thread: t.world.runnable[0] as string, choice: 0 });
  expect(t.act((host) => domctl.setVirqHandler(host, xl, { domid, virq: 8 }))).toEqual(result);
  t.settle();
  expect(t.statesOf(domid).at(-1)).toBe(state);
});

function cellCounts(t: TestHost): string[] {
  return cellTypes().map((type) => `${type.name} ${t.world.count(type)}`);
}
