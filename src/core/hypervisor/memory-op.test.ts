// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import { cellTypes, must } from "../engine/cells.ts";
import { isFailure } from "../engine/errno.ts";
import { checkLedger } from "./check-ledger.ts";
import { domainPagesCell } from "./domain.ts";
import * as domctl from "./domctl.ts";
import { heapCell } from "./heap.ts";
import * as op from "./memory-op.ts";
import { pageOf } from "./page.ts";
import { TestHost, xl } from "./testing.ts";

const HVM = { flags: 1, emulationFlags: 1 };

function populate(t: TestHost, domid: number, gpfns: number[], order = 0): { done: number; mfns: number[] } {
  const result = t.act((host) => op.populatePhysmap(host, xl, { domid, gpfns, order }));
  if (isFailure(result)) throw new Error(result.errno);
  return result;
}

test("a claim promises memory, shrinks with what is allocated and can be taken back", () => {
  const t = new TestHost();
  const domid = t.makeDomain(2048);
  const claim = (nr: number) => t.act((host) => op.claimPages(host, xl, { domid, nr }));
  const outstanding = () => [
    must(t.world, domainPagesCell, domid).outstandingPages,
    must(t.world, heapCell, 0).outstandingClaims,
  ];
  populate(t, domid, [0], 9);
  expect(claim(512), "not more than it has").toEqual({ errno: "EINVAL" });
  expect(claim(2049), "beyond its maximum").toEqual({ errno: "EINVAL" });
  expect(claim(2048)).toBe(0);
  expect(outstanding()).toEqual([1536, 1536]);
  expect(claim(2048), "one at a time").toEqual({ errno: "EINVAL" });
  populate(t, domid, [512], 9);
  expect(outstanding()).toEqual([1024, 1024]);
  expect(claim(0)).toBe(0);
  expect(outstanding()).toEqual([0, 0]);
  claim(2048);
  t.destroy(domid);
  t.settle();
  expect(must(t.world, heapCell, 0).outstandingClaims).toBe(0);
});

test("what one domain has claimed no other gets", () => {
  const t = new TestHost({ totalPages: 340_000 });
  const free = must(t.world, heapCell, 0).freePages;
  const [first, second] = [t.makeDomain(1000), t.makeDomain(1000)];
  expect(t.act((host) => op.claimPages(host, xl, { domid: first, nr: free }))).toEqual({ errno: "EINVAL" });
  t.act((host) => domctl.maxMem(host, xl, { domid: first, maxMemkb: free * 4 }));
  expect(t.act((host) => op.claimPages(host, xl, { domid: first, nr: free }))).toEqual({ errno: "ENOMEM" });
  const most = must(t.world, heapCell, 0).freePages;
  expect(t.act((host) => op.claimPages(host, xl, { domid: first, nr: most }))).toBe(0);
  expect(populate(t, second, [0])).toEqual({ done: 0, mfns: [], translated: false });
  expect(populate(t, first, [0]).done).toBe(1);
});

test("populating stops at the domain's maximum, at the largest order and at the host's end", () => {
  const t = new TestHost();
  const domid = t.makeDomain(1024);
  expect(populate(t, domid, [0, 512, 1024], 9).done).toBe(2);
  expect(populate(t, domid, [0], 13).done).toBe(0);
  expect(
    t.act((host) =>
      op.populatePhysmap(host, { domid, process: "kernel" }, { domid: 0x7ff0, gpfns: [0], order: 10 }),
    ),
  ).toMatchObject({ done: 0 });
  t.act((host) => domctl.maxMem(host, xl, { domid, maxMemkb: 8_000_000 }));
  const { freePages } = must(t.world, heapCell, 0);
  const extents = Math.ceil(freePages / 512) + 1;
  expect(
    populate(
      t,
      domid,
      Array.from({ length: extents }, (_, i) => 1024 + i * 512),
      9,
    ).done,
  ).toBeLessThan(extents);
  expect(checkLedger(t.world, domid)).toEqual([]);
  expect(must(t.world, domainPagesCell, domid).totPages).toBeGreaterThan(freePages - 3000);
});

test.each([
  ["PV", {}],
  ["PVH", HVM],
])("memory given back is free at once, unless somebody maps it (%s)", (_type, config) => {
  const t = new TestHost();
  const domid = t.makeDomain(1024, config);
  const { mfns } = populate(t, domid, [0, 1, 2, 3]);
  const frames = config === HVM ? [0, 1, 2, 3] : mfns;
  const mapped = t.act((host) => op.mapForeign(host, xl, { domid, gfn: frames[1] as number }));
  expect(mapped).toEqual({ mfn: mfns[1] });
  const { freePages } = must(t.world, heapCell, 0);
  expect(
    t.act((host) =>
      op.decreaseReservation(host, xl, { domid, gmfns: [frames[0] as number, frames[1] as number] }),
    ),
  ).toEqual({ done: 2 });
  expect(must(t.world, domainPagesCell, domid).totPages).toBe(3);
  expect(must(t.world, heapCell, 0).freePages).toBe(freePages + 1);
  expect(pageOf(t.world, mfns[1] as number)).toMatchObject({ allocated: false, count: 1 });
  t.act((host) => op.unmapForeign(host, xl, { mfn: mfns[1] as number }));
  expect(must(t.world, domainPagesCell, domid).totPages).toBe(2);
  expect(
    t.act((host) => op.decreaseReservation(host, xl, { domid, gmfns: [frames[2] as number, 99_999_999] })),
  ).toEqual({ done: 1 });
  expect(checkLedger(t.world, domid)).toEqual([]);
});

test("the map of a PV domain's machine frames follows what was asked for", () => {
  const t = new TestHost();
  const domid = t.makeDomain(1024);
  const { mfns } = populate(t, domid, [5, 100]);
  expect(mfns.map((mfn) => op.mfnToGfn(t.world, mfn))).toEqual([5, 100]);
  expect(op.maximumGpfnOf(t.world, xl, domid)).toBe(100);
});

test("shared frames are put into a translated domain's physical memory", () => {
  const t = new TestHost();
  const domid = t.makeDomain(1024, HVM);
  t.act((host) => {
    expect(op.addToPhysmap(host, xl, { domid, space: "shared_info", index: 0, gpfn: 0x1000 })).toBe(0);
    expect(op.addToPhysmap(host, xl, { domid, space: "grant_table", index: 2, gpfn: 0x1001 })).toBe(0);
    expect(op.addToPhysmap(host, xl, { domid, space: "shared_info", index: 1, gpfn: 0x1002 })).toEqual({
      errno: "EINVAL",
    });
    expect(must(host, domainPagesCell, domid).xenheapPages, "shared_info and three grant frames").toBe(4);
    expect(op.maximumGpfnOf(host, xl, domid)).toBe(0x1001);
    expect(op.removeFromPhysmap(host, xl, { domid, gpfn: 0x1001 })).toBe(0);
    expect(op.removeFromPhysmap(host, xl, { domid, gpfn: 0x1001 })).toEqual({ errno: "ENOENT" });
  });
});

test("a process maps only what it may, and unmaps only what it maps", () => {
  const t = new TestHost();
  const [domid, other] = [t.makeDomain(64), t.makeDomain(64)];
  const { mfns } = populate(t, domid, [0]);
  const [mfn] = mfns as [number];
  t.act((host) => {
    expect(op.mapForeign(host, { domid: other, process: "kernel" }, { domid, gfn: mfn })).toEqual({
      errno: "EPERM",
    });
    expect(op.mapForeign(host, xl, { domid: 99, gfn: mfn })).toEqual({ errno: "ESRCH" });
    expect(op.mapForeign(host, xl, { domid, gfn: mfn + 1000 })).toEqual({ errno: "EBUSY" });
    expect(op.mapForeign(host, xl, { domid: other, gfn: mfn })).toEqual({ errno: "EBUSY" });
    op.mapForeign(host, xl, { domid, gfn: mfn, readonly: true });
    expect(op.unmapForeign(host, xl, { mfn })).toEqual({ errno: "EINVAL" });
    expect(op.unmapForeign(host, { domid: 0, process: "qemu" }, { mfn, readonly: true })).toEqual({
      errno: "EINVAL",
    });
    expect(op.unmapForeign(host, xl, { mfn, readonly: true })).toBe(0);
  });
});

test.each([{}, HVM])("a terabyte is a few cells, and goes slice by slice (%o)", (config) => {
  const t = new TestHost({ totalPages: 300_000_000, preemptPages: 1 << 20 });
  const cells = (): number => cellTypes().reduce((sum, type) => sum + t.world.count(type), 0);
  const before = cells();
  const pages = 1 << 28;
  const domid = t.makeDomain(pages, config);
  expect(
    populate(
      t,
      domid,
      Array.from({ length: pages / 512 }, (_, i) => i * 512),
      9,
    ).done,
  ).toBe(pages / 512);
  expect(cells() - before).toBeLessThan(300);
  t.destroy(domid);
  let slices = 0;
  for (; t.world.runnable.length > 0; slices++)
    t.world.perform({ thread: t.world.runnable[0] as string, choice: 0 });
  expect(slices).toBeGreaterThanOrEqual(256);
  expect(cells() - before).toBeLessThanOrEqual(1);
});
