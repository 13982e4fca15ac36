// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import { must } from "../engine/cells.ts";
import { isFailure } from "../engine/errno.ts";
import { canonicalHost, checkHash } from "../engine/save.ts";
import { checkLedger } from "./check-ledger.ts";
import { domainById, domainPagesCell } from "./domain.ts";
import { heapCell } from "./heap.ts";
import { mapForeign, populatePhysmap, unmapForeign } from "./memory-op.ts";
import { mmuextNewBaseptr, mmuextPin, mmuextUnpin, mmuUpdate } from "./mmuext-op.ts";
import { pageOf, typeInfo } from "./page.ts";
import { entriesOf } from "./page-table.ts";
import { TestHost, xl } from "./testing.ts";

interface Guest {
  t: TestHost;
  domid: number;
  /** The first of its frames. */
  mfn: number;
}

function guest(order = 9): Guest {
  const t = new TestHost({ preemptPages: 64 });
  const domid = t.makeDomain(2 ** order);
  const populated = t.act((host) => populatePhysmap(host, xl, { domid, gpfns: [0], order }));
  if (isFailure(populated)) throw new Error(populated.errno);
  return { t, domid, mfn: populated.mfns[0] as number };
}

const kernelOf = ({ domid }: Guest) => ({ domid, process: "kernel" });

/** Writes an entry: `table` and `to` count from the guest's first frame; null for none. */
function link(g: Guest, table: number, index: number, to: number | null): unknown {
  const mfn = to === null ? 0 : g.mfn + to;
  return g.t.act((host) => mmuUpdate(host, kernelOf(g), { table: g.mfn + table, index, mfn }));
}

function pin(g: Guest, at: number, level: 1 | 2 | 3 | 4 = 4): unknown {
  return g.t.act((host) => mmuextPin(host, kernelOf(g), { domid: g.domid, level, mfn: g.mfn + at }));
}

function typeOf(g: Guest, at: number): string {
  const page = pageOf(g.t.world, g.mfn + at);
  return page === undefined ? "gone" : `${page.type}:${page.typeCount}`;
}

/** Kills the guest slice by slice, in the ledger's sight; says how many there were. */
function kill({ t, domid }: Guest): number {
  t.destroy(domid);
  let slices = 0;
  for (; t.world.runnable.length > 0; slices++) {
    t.world.perform({ thread: t.world.runnable[0] as string, choice: 0 });
    expect(checkLedger(t.world, domid)).toEqual([]);
    expect(checkHash(t.world)).toBeNull();
  }
  return slices;
}

/** Frames of an address space: 0 is its L4, 1 an L3, 2 an L2, 3 and 4 its L1s. */
function addressSpace(g: Guest): void {
  for (const [table, index, to] of [
    [0, 0, 1],
    [1, 0, 2],
    [2, 0, 3],
    [2, 1, 4],
  ] as const)
    expect(link(g, table, index, to)).toBe(0);
}

test("pinning the top makes tables of all below it; unpinning makes them memory again", () => {
  const g = guest();
  addressSpace(g);
  const before = canonicalHost(g.t.world);
  expect(pin(g, 0)).toBe(0);
  expect([0, 1, 2, 3, 4].map((at) => typeOf(g, at))).toEqual(["l4:1", "l3:1", "l2:1", "l1:1", "l1:1"]);
  expect(checkLedger(g.t.world, g.domid)).toEqual([]);
  expect(pin(g, 2, 4), "in use as an L2").toEqual({ errno: "EINVAL" });
  g.t.act((host) => mmuextUnpin(host, kernelOf(g), { domid: g.domid, mfn: g.mfn }));
  expect(canonicalHost(g.t.world)).toBe(before);
});

test("entries of a table in use take and let go as they are written", () => {
  const g = guest();
  addressSpace(g);
  pin(g, 0);
  expect(link(g, 2, 1, 5)).toBe(0);
  expect([typeOf(g, 4), typeOf(g, 5)]).toEqual(["none:0", "l1:1"]);
  expect(link(g, 2, 1, null)).toBe(0);
  expect(typeOf(g, 5)).toBe("none:0");
  expect(link(g, 3, 0, 6), "an L1 maps memory: no table is below it").toEqual({ errno: "EINVAL" });
  expect(link(g, 2, 7, 1), "an L3 is no L1").toEqual({ errno: "EINVAL" });
  expect(link(g, 2, 512, 5)).toEqual({ errno: "EINVAL" });
  expect(checkLedger(g.t.world, g.domid)).toEqual([]);
});

test("a table that cannot be one leaves everything as it was", () => {
  const g = guest();
  addressSpace(g);
  // The last entry of the L3 refers to the L4 itself: no L2.
  link(g, 1, 9, 0);
  const before = canonicalHost(g.t.world);
  expect(pin(g, 0)).toEqual({ errno: "EINVAL" });
  expect(canonicalHost(g.t.world)).toBe(before);
});

describe("what a kill finds", () => {
  test("a tree of tables larger than a slice: it is taken apart in parts, and counts balance all the way", () => {
    const g = guest();
    const { freePages } = must(g.t.world, heapCell, 0);
    // An L4 with 3 L3s of 40 L2s each.
    for (let l3 = 0; l3 < 3; l3++) {
      link(g, 0, l3, 1 + l3);
      for (let l2 = 0; l2 < 40; l2++) link(g, 1 + l3, l2, 10 + l3 * 40 + l2);
    }
    expect(pin(g, 0)).toBe(0);
    g.t.destroy(g.domid);
    let partial = 0;
    for (let slices = 0; slices < 400 && g.t.world.runnable.length > 0; slices++) {
      g.t.world.perform({ thread: g.t.world.runnable[0] as string, choice: 0 });
      expect(checkLedger(g.t.world, g.domid)).toEqual([]);
      const top = pageOf(g.t.world, g.mfn);
      if (top?.partial !== true) continue;
      partial++;
      // PGT_partial, not validated, still of its type, held by the work itself.
      expect(typeInfo(top).toString(16)).toBe("8100000000000001");
      expect(top.refs.map(({ kind }) => kind)).toEqual(["partial"]);
    }
    expect(partial).toBeGreaterThan(0);
    expect(domainById(g.t.world, g.domid)).toBeUndefined();
    expect(must(g.t.world, heapCell, 0).freePages).toBe(freePages + 512 + 2);
  });

  test.each([
    ["an L4 that refers to itself", [[0, 511, 0]], 4, [0]],
    [
      "two L4s that refer to each other",
      [
        [0, 511, 5],
        [5, 511, 0],
      ],
      4,
      [0, 5],
    ],
    ["an L3 that refers to itself", [[1, 511, 1]], 3, [1]],
    ["an L2 that refers to itself", [[2, 511, 2]], 2, [2]],
  ] as const)("%s, which only the rounds by level take apart", (_what, links, level, tables) => {
    const g = guest();
    for (const at of tables) expect(pin(g, at, level)).toBe(0);
    for (const [table, index, to] of links) expect(link(g, table, index, to)).toBe(0);
    for (const at of tables)
      g.t.act((host) => mmuextUnpin(host, kernelOf(g), { domid: g.domid, mfn: g.mfn + at }));
    // Nobody uses them any more but they themselves: the guest has lost these pages.
    for (const at of tables) expect(typeOf(g, at)).toBe(`l${level}:1`);
    kill(g);
    expect(domainById(g.t.world, g.domid)).toBeUndefined();
  });

  test("a vCPU that ran on a large table: it goes first, and is gone on with where it was interrupted", () => {
    const g = guest();
    for (let at = 1; at <= 200; at++) link(g, 0, at, at);
    g.t.act((host) => mmuextNewBaseptr(host, kernelOf(g), { vcpu: 0, mfn: g.mfn }));
    expect(typeOf(g, 0)).toBe("l4:1");
    expect(kill(g)).toBeGreaterThan(6);
    expect(domainById(g.t.world, g.domid)).toBeUndefined();
  });

  test("a table somebody reads: its page stays until then, as memory and no table", () => {
    const g = guest();
    addressSpace(g);
    pin(g, 0);
    const reader = { domid: 0, process: "dumper" };
    const [gfn, mfn] = [g.mfn + 1, g.mfn + 1];
    const writable = g.t.act((host) => mapForeign(host, reader, { domid: g.domid, gfn }));
    expect(writable, "nobody but the hypervisor writes a page table").toEqual({ errno: "EBUSY" });
    g.t.act((host) => mapForeign(host, reader, { domid: g.domid, gfn, readonly: true }));
    kill(g);
    expect(must(g.t.world, domainPagesCell, g.domid)).toMatchObject({ totPages: 1, xenheapPages: 0 });
    expect(pageOf(g.t.world, mfn)).toMatchObject({ count: 1, type: "none", typeCount: 0 });
    expect(entriesOf(g.t.world, mfn).map(({ held }) => held)).toEqual(["no"]);
    g.t.act((host) => unmapForeign(host, reader, { mfn, readonly: true }));
    g.t.settle();
    expect(domainById(g.t.world, g.domid)).toBeUndefined();
    expect(entriesOf(g.t.world, mfn)).toEqual([]);
  });
});
