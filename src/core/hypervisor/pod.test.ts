// SPDX-License-Identifier: Apache-2.0
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { must } from "../engine/cells.ts";
import { isFailure } from "../engine/errno.ts";
import { checkLedger } from "./check-ledger.ts";
import { CONRING_SIZE, readConsoleRing } from "./console-ring.ts";
import { handleKeypress } from "./debug-keys.ts";
import { CDF_hap, CDF_hvm } from "./create.ts";
import { domainById, domainCell, domainPagesCell } from "./domain.ts";
import * as domctl from "./domctl.ts";
import { mapForeignBatch, mapsNothing } from "./foreign-map.ts";
import { heapCell } from "./heap.ts";
import * as memory from "./memory-op.ts";
import { p2mType } from "./p2m.ts";
import { populateFramesAsked } from "./page-tables.ts";
import { getPodTarget, setPodTarget } from "./pod-target.ts";
import type { PodTarget } from "./pod-target.ts";
import { getGfn } from "./pod-populate.ts";
import { relocateMemory } from "./physmap-op.ts";
import { TestHost, xl } from "./testing.ts";

const PVH = { flags: CDF_hvm | CDF_hap, emulationFlags: 1 };
const SHADOW = { flags: CDF_hvm, emulationFlags: 1 };

/** A domain as libxc builds one of `max` pages that is to have `target` at first (xg_dom_x86.c, meminit_hvm). */
class PodHost extends TestHost {
  readonly domid: number;
  readonly kernel: { domid: number; process: string };

  constructor(max: number, target: number, config: domctl.CreatedomainArgs = PVH) {
    super();
    this.domid = this.makeDomain(target + 256, config);
    this.kernel = { domid: this.domid, process: "kernel" };
    this.setTarget(target);
    this.mark(0, max);
  }

  /** Marks frames as populated on demand in extents of 2 MiB: how many. */
  mark(gfn: number, pages: number): number {
    const gpfns = Array.from({ length: pages >> 9 }, (_, i) => gfn + i * 512);
    const result = this.act((host) =>
      memory.populatePhysmap(host, xl, { domid: this.domid, gpfns, order: 9, onDemand: true }),
    );
    return isFailure(result) ? -1 : result.done;
  }

  setTarget(targetPages: number): PodTarget | { errno: string } {
    return this.act((host) => setPodTarget(host, xl, { domid: this.domid, targetPages }));
  }

  /** What there is: all pages, those in the cache, entries. */
  get counts(): [number, number, number] {
    const found = this.act((host) => getPodTarget(host, xl, { domid: this.domid }));
    if (isFailure(found)) throw new Error(found.errno);
    return [found.totPages, found.cachePages, found.entries];
  }

  /** The guest touches a frame, and writes to it where a byte is given. */
  touch(gfn: number, byte?: number): number {
    return this.act((host) => {
      const mfn = getGfn(host, must(host, domainCell, this.domid), gfn, this.domid);
      if (mfn >= 0 && byte !== undefined) host.memory.write(mfn, 100, Uint8Array.of(byte));
      return mfn;
    });
  }

  decrease(gmfns: number[], order = 0): number {
    const result = this.act((host) =>
      memory.decreaseReservation(host, this.kernel, { domid: this.domid, gmfns, order }),
    );
    return isFailure(result) ? -1 : result.done;
  }

  get log(): string {
    return readConsoleRing(this.world, 0, CONRING_SIZE).text;
  }

  type(gfn: number): string | undefined {
    return p2mType(this.world, this.domid, gfn);
  }

  get problems(): string[] {
    return checkLedger(this.world, this.domid);
  }
}

describe("XENMEM_set_pod_target (p2m_pod_set_mem_target)", () => {
  /** M = 4096 pages at most, T = 2048 at first: what P, B and a new target make of the cache. */
  const cases: [string, (t: PodHost) => void, number, [number, number, number]][] = [
    ["P = 0: the cache is as large as the target", () => {}, 2304, [2304, 2304, 4096]],
    ["T' < T: the cache is not made smaller", () => {}, 1024, [2048, 2048, 4096]],
    ["T < T' < B: it grows by what is more", (t) => t.touch(0), 2200, [2200, 1688, 3584]],
    [
      "B < T': it grows to the entries, the balloon does the rest",
      (t) => {
        t.touch(0);
        t.decrease([512, 1024, 1536, 2048, 2560], 9);
      },
      2304,
      [1536, 1024, 1024],
    ],
    [
      "P = B: nothing to do",
      (t) => {
        for (const gfn of [0, 512, 1024, 1536]) t.touch(gfn, 1);
        t.decrease([2048, 2560, 3072, 3584], 9);
      },
      2304,
      [2048, 0, 0],
    ],
  ];

  test.each(cases)("%s", (_name, before, target, counts) => {
    const t = new PodHost(4096, 2048);
    before(t);
    expect(t.setTarget(target)).not.toHaveProperty("errno");
    expect(t.counts).toEqual(counts);
    expect(t.problems).toEqual([]);
  });

  test("refuses: more than the domain may have, a PV domain, who is no control domain, no domain", () => {
    const t = new PodHost(1024, 512);
    const pv = t.makeDomain(64);
    const as = (domid: number, caller: typeof xl) =>
      t.act((host) => setPodTarget(host, caller, { domid, targetPages: 1 }));
    expect(t.setTarget(512 + 257)).toEqual({ errno: "EINVAL" });
    expect(as(pv, xl)).toEqual({ errno: "EINVAL" });
    expect(as(pv, t.kernel), "what it is comes before who asks").toEqual({ errno: "EINVAL" });
    expect(as(t.domid, t.kernel)).toEqual({ errno: "EPERM" });
    expect(as(0x7ff0, t.kernel), "DOMID_SELF").toEqual({ errno: "EPERM" });
    expect(as(77, xl)).toEqual({ errno: "ESRCH" });
  });

  test("ENOMEM where the host has no more, and keeps what it got", () => {
    const t = new PodHost(1024, 512);
    const { freePages } = must(t.world, heapCell, 0);
    t.act((host) => domctl.maxMem(host, xl, { domid: t.domid, maxMemkb: freePages * 8 }));
    expect(t.setTarget(freePages + 1024)).toEqual({ errno: "ENOMEM" });
    expect(must(t.world, heapCell, 0).freePages).toBe(0);
    expect(t.log).toContain(
      `p2m_pod_set_cache_target: Unable to allocate page for PoD cache (target=${freePages + 1024} cache=${freePages + 512})`,
    );
    expect(t.problems).toEqual([]);
  });
});

describe("populating on demand (p2m_pod_demand_populate)", () => {
  test("a touch populates the entry it is in: 2 MiB with the processor's own tables, a page with shadows", () => {
    const hap = new PodHost(1024, 512);
    expect(hap.type(700)).toBe("pod_2m");
    hap.touch(700);
    expect([hap.type(512), hap.type(1023), hap.type(0)]).toEqual(["ram", "ram", "pod_2m"]);
    expect(hap.counts).toEqual([512, 0, 512]);
    const shadow = new PodHost(1024, 512, SHADOW);
    shadow.touch(700);
    expect([shadow.type(699), shadow.type(700)]).toEqual(["pod", "ram"]);
    expect(shadow.counts).toEqual([512, 511, 1023]);
    expect(hap.problems).toEqual([]);
    expect(shadow.problems).toEqual([]);
  });

  test("where only single pages are left, an entry of 2 MiB becomes single ones", () => {
    const t = new PodHost(1024, 400);
    t.touch(5);
    expect([t.type(4), t.type(5), t.type(512)]).toEqual(["pod", "ram", "pod_2m"]);
    expect(t.counts).toEqual([400, 399, 1023]);
    expect(t.problems).toEqual([]);
  });

  const users: [string, (t: PodHost) => unknown, unknown][] = [
    [
      "a foreign map",
      (t) => t.act((h) => !isFailure(memory.mapForeign(h, xl, { domid: t.domid, gfn: 9 }))),
      true,
    ],
    [
      "a batch of foreign maps",
      (t) => t.act((h) => mapForeignBatch(h, xl, { domid: t.domid, gfns: [9, 3], readonly: false })),
      { errors: [] },
    ],
    [
      "XEN_DOMCTL_getpageframeinfo3",
      (t) => t.act((h) => populateFramesAsked(h, xl, { domid: t.domid, gfns: [9] })),
      [{ table: 0, pinned: false, present: true }],
    ],
    [
      "XENMEM_remove_from_physmap",
      (t) => t.act((h) => memory.removeFromPhysmap(h, xl, { domid: t.domid, gpfn: 9 })),
      0,
    ],
    [
      "XENMEM_add_to_physmap of a gmfn",
      (t) => t.act((h) => relocateMemory(h, xl, { domid: t.domid, from: 9, to: 5000, nr: 1 })),
      0,
    ],
  ];
  test.each(users)("%s populates", (_name, use, result) => {
    const t = new PodHost(1024, 512);
    expect(t.act((h) => mapsNothing(h, xl, t.domid, [9, 3]))).toBe(false);
    const got = use(t);
    if (typeof result === "object" && !Array.isArray(result)) expect(got).toMatchObject(result as object);
    else expect(got).toEqual(result);
    expect(t.counts).toEqual([512, 0, 512]);
    expect(t.problems).toEqual([]);
  });

  test("without memory left the domain crashes, and whoever asked gets EINVAL", () => {
    const t = new PodHost(1536, 512);
    for (let gfn = 0; gfn < 512; gfn++) t.touch(gfn, 7);
    const batch = t.act((h) =>
      mapForeignBatch(h, xl, { domid: t.domid, gfns: [0, 2, 600, 2], readonly: true }),
    );
    expect(batch).toMatchObject({ errors: [{ page: 2, count: 2, errno: "EINVAL" }] });
    expect(must(t.world, domainCell, t.domid)).toMatchObject({ shutdown: "complete", shutdownCode: 3 });
    const dom = `Dom${t.domid} out of PoD memory! (tot=512 ents=1024 dom0)`;
    expect(t.log).toContain(`p2m_pod_demand_populate: ${dom}`);
    expect(t.log).toContain(`Domain ${t.domid} reported crashed by domain 0 on cpu#0:`);
    expect(t.problems).toEqual([]);
  });

  test("a dying domain's frames are not populated", () => {
    const t = new PodHost(1024, 512);
    t.act((host) => void (host.edit(domainCell, t.domid).isDying = "dying"));
    expect(t.touch(0)).toBe(-1);
    expect(t.counts).toEqual([512, 512, 1024]);
  });
});

describe("zero pages are taken back", () => {
  test("eagerly, of those populated last, while the cache is short (pod_eager_reclaim)", () => {
    const t = new PodHost(2048, 1024);
    t.touch(0);
    t.touch(512, 1);
    // The cache is empty: the first superpage holds nothing and is worth having.
    expect(t.touch(1024)).toBeGreaterThanOrEqual(0);
    expect([0, 512, 1024].map((gfn) => t.type(gfn))).toEqual(["pod_2m", "ram", "ram"]);
    expect(t.counts).toEqual([1024, 0, 1024]);
    expect(t.problems).toEqual([]);
  });

  test("page by page, where a superpage holds something", () => {
    const t = new PodHost(1024, 512);
    t.touch(100, 1);
    t.touch(600);
    expect([t.type(99), t.type(100), t.type(600), t.type(601)]).toEqual(["pod", "ram", "ram", "pod"]);
    expect(t.counts).toEqual([512, 510, 1022]);
    expect(t.problems).toEqual([]);
  });

  test("not what somebody maps", () => {
    const t = new PodHost(1024, 512);
    t.act((host) => mapForeignBatch(host, xl, { domid: t.domid, gfns: [0, 512], readonly: true }));
    expect(t.touch(600)).toBe(-1);
    expect(must(t.world, domainCell, t.domid).shutdownCode).toBe(3);
  });

  test("by a sweep, when what was populated last is all in use (p2m_pod_emergency_sweep)", () => {
    const t = new PodHost(1536, 600, SHADOW);
    for (let gfn = 0; gfn < 600; gfn++) t.touch(gfn, 9);
    // Those populated last hold something; of the others most do not any more.
    for (let gfn = 0; gfn < 550; gfn++) t.touch(gfn, 0);
    expect(t.counts).toEqual([600, 0, 936]);
    expect(t.touch(700)).toBeGreaterThanOrEqual(0);
    const [tot, cached, entries] = t.counts;
    expect([tot, entries - cached]).toEqual([600, 936]);
    expect(cached).toBeGreaterThan(500);
    expect(t.problems).toEqual([]);
  });
});

describe("XENMEM_decrease_reservation (p2m_pod_decrease_reservation)", () => {
  const cases: [string, (t: PodHost) => void, number[], number, number, [number, number, number]][] = [
    ["entries just go", () => {}, [512], 9, 1, [1024, 1024, 1536]],
    ["one page of an entry of 2 MiB", () => {}, [600], 0, 1, [1024, 1024, 2047]],
    ["memory goes into a cache that is short", (t) => t.touch(0, 1), [1], 0, 1, [1024, 513, 1536]],
    [
      "a page of a superpage that is zero brings all of it back",
      (t) => t.touch(0),
      [1],
      0,
      1,
      [1024, 1024, 2047],
    ],
    [
      "a cache with more than the entries gives up the rest",
      (t) => t.decrease([0, 512], 9),
      [1024],
      9,
      1,
      [512, 512, 512],
    ],
    ["a hole ends it", () => {}, [600, 9999, 601], 0, 1, [1024, 1024, 2047]],
    ["part of an extent is a hole", () => {}, [2048 - 256], 9, 0, [1024, 1024, 1792]],
    ["an extent larger than a domain may name", () => {}, [0], 10, 0, [1024, 1024, 2048]],
  ];
  test.each(cases)("%s", (_name, before, gmfns, order, done, counts) => {
    const t = new PodHost(2048, 1024);
    before(t);
    expect(t.decrease(gmfns, order)).toBe(done);
    expect(t.counts).toEqual(counts);
    expect(t.problems).toEqual([]);
  });

  test("with no entry left, memory goes back to the host", () => {
    const t = new PodHost(1024, 512);
    t.touch(0, 1);
    t.decrease([512], 9);
    expect(t.counts).toEqual([512, 0, 0]);
    expect(t.decrease([0, 1])).toBe(2);
    expect(t.counts).toEqual([510, 0, 0]);
  });

  test("a page that somebody maps goes into the cache, empty, and is freed when they let go", () => {
    const t = new PodHost(1024, 512);
    const mfn = t.touch(0, 1);
    t.touch(0);
    const mapped = t.act((host) => memory.mapForeign(host, xl, { domid: t.domid, gfn: 0 }));
    expect(mapped).toEqual({ mfn });
    expect(t.decrease([0])).toBe(1);
    expect(t.counts).toEqual([512, 1, 512]);
    expect(t.act((host) => host.memory.isZero(mfn))).toBe(true);
    // Without entries nothing is to be cached: the page is given up and stays, mapped.
    expect(t.decrease([512], 9)).toBe(1);
    expect(t.counts).toEqual([512, 0, 0]);
    t.act((host) => memory.unmapForeign(host, xl, { mfn }));
    expect(t.counts).toEqual([511, 0, 0]);
    expect(t.problems).toEqual([]);
  });
});

describe("marking frames (guest_physmap_mark_populate_on_demand)", () => {
  test("again is nothing new; one in use is EBUSY; a plain populate takes an entry's place", () => {
    const t = new PodHost(1024, 512);
    expect(t.mark(0, 1024)).toBe(2);
    expect(t.counts).toEqual([512, 512, 1024]);
    t.touch(0);
    expect(t.mark(0, 512)).toBe(0);
    t.act((host) => memory.populatePhysmap(host, xl, { domid: t.domid, gpfns: [600], order: 0 }));
    expect([t.type(599), t.type(600)]).toEqual(["pod", "ram"]);
    expect(t.counts).toEqual([513, 0, 511]);
    expect(t.problems).toEqual([]);
  });

  test("a domain does not mark its own, means nothing to a PV one, and beyond the p2m ends the domain", () => {
    const t = new PodHost(1024, 512);
    const own = { domid: 0x7ff0, gpfns: [4096], order: 0, onDemand: true };
    expect(t.act((host) => memory.populatePhysmap(host, t.kernel, own))).toMatchObject({ done: 0 });
    const pv = t.makeDomain(64);
    const args = { domid: pv, gpfns: [0, 1], order: 0, onDemand: true };
    expect(t.act((host) => memory.populatePhysmap(host, xl, args))).toMatchObject({ done: 2 });
    expect(must(t.world, domainPagesCell, pv).totPages).toBe(0);
    expect(t.mark(2 ** 40, 512)).toBe(0);
    expect(t.log).toContain(`d${t.domid}: marking GFN 0x10000000000 (order 9) as PoD failed: -22`);
    expect(domainById(t.world, t.domid)?.shutdownCode).toBe(3);
  });
});

test("a domain that dies takes its cache with it; what the keys print of one that cannot go", () => {
  const t = new PodHost(2048, 1024);
  t.touch(0, 1);
  const lines = () => {
    t.act((host) => handleKeypress(host, "q"));
    return t.log.slice(t.log.lastIndexOf(`General information for domain ${t.domid}`));
  };
  expect(lines()).toContain("    PoD entries=1536 cachesize=512\n");
  const mapped = t.act((host) => memory.mapForeign(host, xl, { domid: t.domid, gfn: 3 }));
  t.destroy(t.domid);
  t.settle();
  // Entries are counted to the end (p2m_teardown), and the cache is memory again (p2m_pod_empty_cache).
  expect(lines()).toContain("    PoD entries=1536 cachesize=0\n");
  expect(must(t.world, domainPagesCell, t.domid).totPages).toBe(1);
  expect(t.problems).toEqual([]);
  const { freePages } = must(t.world, heapCell, 0);
  t.act((host) => memory.unmapForeign(host, xl, { mfn: isFailure(mapped) ? -1 : mapped.mfn }));
  t.settle();
  expect(domainById(t.world, t.domid)).toBeUndefined();
  expect(must(t.world, heapCell, 0).freePages).toBeGreaterThan(freePages);
});

test("whatever is touched, given back and asked for, counts agree and no page is lost", () => {
  const step = fc.oneof(
    fc.record({ do: fc.constant("touch" as const), gfn: fc.nat(2047), byte: fc.option(fc.nat(1)) }),
    fc.record({ do: fc.constant("decrease" as const), gfn: fc.nat(2047), order: fc.nat(9) }),
    fc.record({ do: fc.constant("target" as const), pages: fc.nat(1100) }),
    fc.record({ do: fc.constant("populate" as const), gfn: fc.nat(2047) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const t = new PodHost(2048, 900);
      const before = must(t.world, heapCell, 0).freePages + 900;
      for (const one of steps) {
        if (one.do === "touch") t.touch(one.gfn, one.byte ?? undefined);
        else if (one.do === "decrease") t.decrease([one.gfn], one.order);
        else if (one.do === "target") t.setTarget(one.pages);
        else
          t.act((host) => memory.populatePhysmap(host, xl, { domid: t.domid, gpfns: [one.gfn], order: 0 }));
        expect(t.problems).toEqual([]);
        const [tot] = t.counts;
        expect(must(t.world, heapCell, 0).freePages + tot).toBe(before);
      }
    }),
    { numRuns: 40 },
  );
});
