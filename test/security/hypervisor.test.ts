// SPDX-License-Identifier: Apache-2.0
//
// Advisories about the hypervisor itself: docs/reference/hypervisor-advisories.md says what
// each demands; those the model can show are tests here, by name.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { must } from "../../src/core/engine/cells.ts";
import { isFailure } from "../../src/core/engine/errno.ts";
import type { Host } from "../../src/core/engine/host.ts";
import { canonicalHost } from "../../src/core/engine/save.ts";
import { spawnThread } from "../../src/core/engine/thread.ts";
import { bitmapEmpty, findNextBit } from "../../src/core/hypervisor/bitmap.ts";
import { checkLedger } from "../../src/core/hypervisor/check-ledger.ts";
import { domainById } from "../../src/core/hypervisor/domain.ts";
import * as settings from "../../src/core/hypervisor/domain-settings.ts";
import * as domctl from "../../src/core/hypervisor/domctl.ts";
import * as vcpus from "../../src/core/hypervisor/domctl-vcpu.ts";
import * as evtchn from "../../src/core/hypervisor/event-channel-op.ts";
import { handlesInUse } from "../../src/core/hypervisor/grant-cells.ts";
import * as gnttab from "../../src/core/hypervisor/grant-table-op.ts";
import { heapCell } from "../../src/core/hypervisor/heap.ts";
import * as memory from "../../src/core/hypervisor/memory-op.ts";
import { mmuextPin, mmuUpdate } from "../../src/core/hypervisor/mmuext-op.ts";
import { isPod, p2m } from "../../src/core/hypervisor/p2m.ts";
import { pageOf } from "../../src/core/hypervisor/page.ts";
import { podCounts } from "../../src/core/hypervisor/pod-cell.ts";
import { setPodTarget } from "../../src/core/hypervisor/pod-target.ts";
import { evtchnPort, evtchnTableCell, portsInUse } from "../../src/core/hypervisor/port.ts";
import { runsOf } from "../../src/core/hypervisor/runs.ts";
import * as sysctl from "../../src/core/hypervisor/sysctl.ts";
import { TestHost, xl } from "../../src/core/hypervisor/testing.ts";
import { VIRQ_DOM_EXC } from "../../src/core/hypervisor/virq.ts";
import { root } from "../source-files.ts";

const HVM = { flags: 1, emulationFlags: 0x3ff };

interface Row {
  names: string[];
  demand: string;
  here: string;
}

/** The page's table. */
function rows(): Row[] {
  const text = readFileSync(join(root, "docs/reference/hypervisor-advisories.md"), "utf8");
  return text.split("\n").flatMap((line) => {
    const [, names = "", demand = "", here = ""] = line.split("|").map((cell) => cell.trim());
    return names.startsWith("XSA-") ? [{ names: names.split(", "), demand, here }] : [];
  });
}

/** A PV guest with its memory. */
function guest(order = 4, config = {}): { t: TestHost; domid: number; mfn: number } {
  const t = new TestHost({ preemptPages: 64, version: "4.17", ...config });
  const domid = t.makeDomain(2 ** order);
  return { t, domid, mfn: populate(t, domid, [0], order) };
}

function populate(t: TestHost, domid: number, gpfns: number[], order: number): number {
  const got = t.act((host) => memory.populatePhysmap(host, xl, { domid, gpfns, order }));
  if (isFailure(got)) throw new Error(got.errno);
  return got.mfns[0] as number;
}

/** Takes a kill's slices one by one. */
function* slicesOf(t: TestHost, domid: number): Generator<void> {
  t.destroy(domid);
  while (t.world.runnable.length > 0) {
    t.world.perform({ thread: t.world.runnable[0] as string, choice: 0 });
    yield;
  }
}

function unbound(host: Host, domid: number, count: number): void {
  for (let at = 0; at < count; at++) {
    const made = evtchn.allocUnbound(host, xl, { domid, remoteDomid: 0 });
    expect(isFailure(made)).toBe(false);
  }
}

/** How many of the most a domain has go in one slice of its kill. */
function mostAtOnce(t: TestHost, domid: number, count: () => number): number {
  let most = 0;
  for (let last = count(), slices = slicesOf(t, domid); slices.next().done !== true;) {
    most = Math.max(most, last - count());
    last = count();
  }
  return most;
}

/** Both ends of every channel agree, and no port is beyond what its domain may have. */
function checkChannels({ world }: TestHost): void {
  for (const domid of [0, 1, 2]) {
    if (domainById(world, domid) === undefined) continue;
    const ports = portsInUse(domid);
    for (let port = findNextBit(world, ports, 1); port > 0; port = findNextBit(world, ports, port + 1)) {
      const chn = evtchnPort(world, domid, port);
      if (chn?.state !== "interdomain") continue;
      expect(evtchnPort(world, chn.remoteDomid, chn.remotePort)).toMatchObject({
        state: "interdomain",
        remoteDomid: domid,
        remotePort: port,
      });
    }
  }
}

type Between = { what: number; port: number };

/** Resets a paused domain's channels, with other calls between the parts. */
function resetWith(
  between: readonly Between[],
  calls: readonly ((host: Host, n: number) => unknown)[],
): TestHost {
  const t = new TestHost();
  const [domid, peer] = [t.makeDomain(), t.makeDomain()];
  t.act((host) => {
    unbound(host, domid, 200);
    for (let port = 1; port <= 100; port++)
      evtchn.bindInterdomain(host, xl, { remoteDomid: domid, remotePort: port });
    domctl.pausedomain(host, xl, domid);
    spawnThread(host, "dom0/reset", evtchn.reset, { caller: xl, domid });
    void peer;
  });
  for (const { what, port } of between) {
    if (t.world.runnable.length > 0) t.world.perform({ thread: t.world.runnable[0] as string, choice: 0 });
    t.act((host) => calls[what % calls.length]?.(host, port));
    checkChannels(t);
  }
  t.settle();
  checkChannels(t);
  return t;
}

const betweens = fc.array(fc.record({ what: fc.nat(), port: fc.nat({ max: 220 }) }), { maxLength: 12 });

const kernel = { domid: 1, process: "kernel" };
const calls: ((host: Host, n: number) => unknown)[] = [
  (host, n) => evtchn.close(host, kernel, { port: n }),
  (host, n) => evtchn.close(host, xl, { port: n }),
  (host, n) => evtchn.send(host, xl, { port: n }),
  (host) => evtchn.allocUnbound(host, xl, { domid: 1, remoteDomid: 0 }),
  (host, n) => evtchn.bindInterdomain(host, xl, { remoteDomid: 1, remotePort: n }),
  (host) => evtchn.bindIpi(host, kernel, { vcpu: 0 }),
  (host, n) => evtchn.unmask(host, kernel, { port: n }),
  (host) => evtchn.allocUnbound(host, kernel, { domid: 2, remoteDomid: 1 }),
];

/** Every operation of the toolstack's on a domain, as a guest would call it. */
const controlling: { readonly [name: string]: (host: Host, domid: number) => unknown } = {
  createdomain: (host) => domctl.createdomain(host, kernel, {}),
  max_vcpus: (host, domid) => domctl.maxVcpus(host, kernel, { domid, max: 1 }),
  max_mem: (host, domid) => domctl.maxMem(host, kernel, { domid, maxMemkb: 4 }),
  pausedomain: (host, domid) => domctl.pausedomain(host, kernel, domid),
  unpausedomain: (host, domid) => domctl.unpausedomain(host, kernel, domid),
  resumedomain: (host, domid) => domctl.resumedomain(host, kernel, domid),
  setdomainhandle: (host, domid) => domctl.setdomainhandle(host, kernel, { domid, handle: "0".repeat(32) }),
  set_virq_handler: (host, domid) => domctl.setVirqHandler(host, kernel, { domid, virq: 3 }),
  set_target: (host, domid) => domctl.setTarget(host, kernel, { domid, target: 1 }),
  getdomaininfo: (host, domid) => domctl.getdomaininfo(host, kernel, domid),
  setvcpucontext: (host, domid) => vcpus.setvcpucontext(host, kernel, { domid, vcpu: 0, context: null }),
  settimeoffset: (host, domid) => settings.settimeoffset(host, kernel, { domid, seconds: 1 }),
  claim_pages: (host, domid) => memory.claimPages(host, kernel, { domid, nr: 1 }),
  getdomaininfolist: (host) => sysctl.getdomaininfolist(host, kernel, { firstDomain: 0, maxDomains: 9 }),
  debug_keys: (host) => sysctl.debugKeys(host, kernel, { keys: "q" }),
  readconsole: (host) => sysctl.readconsole(host, kernel),
};

const tests: { readonly [advisory: string]: () => void } = {
  "XSA-149, XSA-207": () => {
    const t = new TestHost();
    const life = (config: object): void => {
      const domid = t.makeDomain(64, config);
      t.destroy(domid);
      t.settle();
    };
    life({});
    const before = [
      canonicalHost(t.world).replace(/domid-\S+ .*\n/g, ""),
      must(t.world, heapCell, 0).freePages,
    ];
    for (const config of [{}, HVM, { maxVcpus: 64 }]) life(config);
    // One that fails half-way, when its grant table was made.
    expect(t.act((host) => domctl.createdomain(host, xl, { cpupoolId: 9 }))).toEqual({ errno: "ESRCH" });
    expect([
      canonicalHost(t.world).replace(/domid-\S+ .*\n/g, ""),
      must(t.world, heapCell, 0).freePages,
    ]).toEqual(before);
  },

  "XSA-310": () => {
    const { t, domid, mfn } = guest(9);
    const { freePages } = must(t.world, heapCell, 0);
    t.act((host) => {
      for (let at = 0; at < 4; at++) mmuUpdate(host, kernel, { table: mfn, index: at, mfn: mfn + 1 + at });
      for (let at = 0; at < 300; at++)
        mmuUpdate(host, kernel, { table: mfn + 1 + (at % 4), index: at >> 2, mfn: mfn + 100 + at });
      expect(mmuextPin(host, xl, { domid, level: 4, mfn })).toBe(0);
    });
    let partial = 0;
    for (const _slice of slicesOf(t, domid)) {
      expect(checkLedger(t.world, domid)).toEqual([]);
      for (let at = 0; at < 5; at++) if (pageOf(t.world, mfn + at)?.partial === true) partial++;
    }
    expect(partial).toBeGreaterThan(3);
    expect(domainById(t.world, domid)).toBeUndefined();
    expect(must(t.world, heapCell, 0).freePages).toBe(freePages + 512 + 2);
  },

  "XSA-338": () => {
    const t = new TestHost();
    const domid = t.makeDomain(16, { maxEvtchnPort: -1 });
    t.act((host) => {
      evtchn.initControl(host, kernel);
      unbound(host, domid, 5000);
      domctl.pausedomain(host, xl, domid);
      spawnThread(host, "dom0/reset", evtchn.reset, { caller: xl, domid });
    });
    t.settle();
    t.act((host) => {
      // Two levels again, which could not address it: it is free, not unknown.
      expect(must(host, evtchnTableCell, domid).abi).toBe("2l");
      expect(evtchn.status(host, xl, { domid, port: 4999 })).toMatchObject({ status: "closed" });
      expect(evtchn.status(host, xl, { domid, port: 5055 })).toMatchObject({ status: "closed" });
      expect(evtchn.status(host, xl, { domid, port: 5056 })).toEqual({ errno: "EINVAL" });
    });
  },

  "XSA-342": () => {
    const t = new TestHost();
    const domid = t.makeDomain(16, { maxEvtchnPort: -1 });
    t.act((host) => {
      expect(settings.setAddressSize(host, xl, { domid, size: 32 })).toBe(0);
      unbound(host, domid, 1023);
      expect(evtchn.allocUnbound(host, xl, { domid, remoteDomid: 0 })).toEqual({ errno: "ENOSPC" });
      evtchn.initControl(host, kernel);
      expect(evtchn.allocUnbound(host, xl, { domid, remoteDomid: 0 })).toEqual({ port: 1024 });
    });
  },

  "XSA-343": () =>
    fc.assert(
      fc.property(betweens, (between) => void resetWith(between, calls)),
      { numRuns: 60 },
    ),

  "XSA-344": () => {
    const t = new TestHost();
    const domid = t.makeDomain();
    const open = (): number => {
      let count = 0;
      const ports = portsInUse(domid);
      for (let port = findNextBit(t.world, ports, 1); port > 0; port = findNextBit(t.world, ports, port + 1))
        count++;
      return count;
    };
    t.act((host) => {
      unbound(host, domid, 400);
      domctl.pausedomain(host, xl, domid);
      spawnThread(host, "dom0/reset", evtchn.reset, { caller: xl, domid });
    });
    for (let last = open(); t.world.runnable.length > 0; last = open()) {
      t.world.perform({ thread: t.world.runnable[0] as string, choice: 0 });
      expect(last - open()).toBeLessThanOrEqual(64);
    }
    expect(open()).toBe(0);
    t.act((host) => unbound(host, domid, 400));
    expect(mostAtOnce(t, domid, open)).toBe(64);
  },

  "XSA-380": () => {
    const { t, domid, mfn } = guest();
    const driver = t.makeDomain(16);
    t.act((host) => {
      expect(gnttab.setupTable(host, xl, { domid, nrFrames: 2 }).status).toBe(0);
      for (let ref = 8; ref < 1000; ref++) {
        gnttab.grantAccess(host, domid, ref, driver, mfn);
        const mapped = gnttab.mapGrantRef(host, { domid: driver, process: "kernel" }, { domid, ref });
        expect(mapped.status).toBe(0);
      }
    });
    const handles = (): number => {
      let count = 0;
      const used = handlesInUse(driver);
      for (let at = findNextBit(t.world, used, 0); at >= 0; at = findNextBit(t.world, used, at + 1)) count++;
      return count;
    };
    expect(handles()).toBe(992);
    expect(mostAtOnce(t, driver, handles)).toBeLessThanOrEqual(256);
    expect(pageOf(t.world, mfn)?.count).toBe(1);
  },

  "XSA-388": () => {
    const t = new TestHost();
    const domid = t.makeDomain(2048, HVM);
    const frames = (): [number, number][] =>
      [...runsOf(t.world, p2m(domid))]
        .filter(({ tag }) => isPod(tag))
        .map(({ start, count }) => [start, start + count]);
    t.act((host) => setPodTarget(host, xl, { domid, targetPages: 1024 }));
    const extent = { domid, order: 9 };
    t.act((host) => memory.populatePhysmap(host, xl, { ...extent, gpfns: [5], onDemand: true }));
    expect(frames()).toEqual([[5, 517]]);
    t.act((host) => memory.decreaseReservation(host, xl, { domid, order: 3, gmfns: [101] }));
    expect(frames()).toEqual([
      [5, 101],
      [109, 517],
    ]);
    expect(podCounts(t.world, domid)).toEqual({ entries: 504, cached: 504 });
    expect(checkLedger(t.world, domid)).toEqual([]);
  },

  "XSA-410": () => {
    const t = new TestHost({ preemptPages: 64 });
    const domid = t.makeDomain(2048, HVM);
    // Every other frame: nothing merges.
    populate(
      t,
      domid,
      Array.from({ length: 1000 }, (_, at) => at * 2),
      0,
    );
    const runs = (): number => [...runsOf(t.world, p2m(domid))].length;
    expect(runs()).toBe(1000);
    expect(mostAtOnce(t, domid, runs)).toBe(64);
  },

  "XSA-492, XSA-499": () => {
    const { t } = guest(4, { preemptPages: 4 });
    const other = t.makeDomain(64);
    populate(t, other, [0], 6);
    t.destroy(other);
    t.world.perform({ thread: t.world.runnable[0] as string, choice: 0 });
    const before = canonicalHost(t.world);
    for (const [name, call] of Object.entries(controlling))
      for (const domid of [0, 1, other])
        expect([name, t.act((host) => call(host, domid))]).toEqual([name, { errno: "EPERM" }]);
    expect(canonicalHost(t.world)).toBe(before);
  },

  "XSA-496": () => {
    const t = new TestHost({ version: "4.23" });
    const xenstored = { domid: 0, process: "xenstored" };
    const first = t.makeDomain();
    t.act((host) => {
      expect(isFailure(evtchn.bindVirq(host, xenstored, { virq: VIRQ_DOM_EXC, vcpu: 0 }))).toBe(false);
      while (!isFailure(domctl.getDomainState(host, xenstored)));
      domctl.pausedomain(host, xl, first);
    });
    t.destroy(first);
    t.settle();
    t.act((host) => {
      const bind = (domid: number, virq: number, vcpu: number): unknown =>
        evtchn.bindVirq(host, { domid, process: "kernel" }, { virq, vcpu });
      expect(bind(0, VIRQ_DOM_EXC, 0), "bound already").toEqual({ errno: "EEXIST" });
      expect(bind(0, 99, 0), "no such").toEqual({ errno: "EINVAL" });
      expect(bind(0, 8, 1), "a global one belongs to vCPU 0").toEqual({ errno: "EINVAL" });
      // The change that was waiting is still told.
      expect(domctl.getDomainState(host, xenstored)).toMatchObject({ domid: first });
    });
  },

  "XSA-505": () =>
    fc.assert(
      fc.property(betweens, (between) => {
        const t = resetWith(between, [...calls, (host) => evtchn.initControl(host, kernel)]);
        const table = must(t.world, evtchnTableCell, 1);
        expect(table.nextEvtchn).toBe(0);
        // What was made behind the reset's back is all that there can be.
        t.destroy(1);
        t.settle();
        expect(bitmapEmpty(t.world, portsInUse(1))).toBe(true);
      }),
      { numRuns: 40 },
    ),
};

describe("the hypervisor's advisories", () => {
  test.each(Object.entries(tests))("%s", (_advisory, holds) => {
    holds();
    expect.hasAssertions();
  });
});

test("each is a test here or says why it is not", () => {
  const listed = rows();
  expect(listed.flatMap(({ names }) => names).length).toBeGreaterThanOrEqual(20);
  const tested = listed.filter(({ here }) => here === "tested").map(({ names }) => names.join(", "));
  expect(tested.toSorted()).toEqual(Object.keys(tests).toSorted());
  for (const { here, demand } of listed) {
    expect(demand).not.toBe("");
    if (here !== "tested") expect(here).toMatch(/^not modelled: .{20,}/);
  }
});
