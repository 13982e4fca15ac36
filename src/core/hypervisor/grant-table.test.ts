// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import { must } from "../engine/cells.ts";
import { isFailure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import type { Caller } from "./caller.ts";
import { checkLedger } from "./check-ledger.ts";
import { domainById, domainPagesCell } from "./domain.ts";
import type { CreatedomainArgs } from "./domctl.ts";
import { gntdevMap, gntdevUnmap } from "./gntdev.ts";
import { activeGrantCell, grantTableCell } from "./grant-cells.ts";
import * as op from "./grant-table-op.ts";
import { readEntry } from "./grant-entry.ts";
import { GNTMAP_host_map, GNTMAP_readonly, GrantStatus } from "./grant-table.ts";
import { addToPhysmap, populatePhysmap } from "./memory-op.ts";
import { pageOf } from "./page.ts";
import { TestHost, xl } from "./testing.ts";

const backend: Caller = { domid: 0, process: "netback" };

/** A domain with eight pages and the frame a grant of its first one names. */
function granter(t: TestHost, config: CreatedomainArgs = {}): { domid: number; gfn: number; mfn: number } {
  const domid = t.makeDomain(64, config);
  return t.act((host) => {
    const populated = populatePhysmap(host, xl, { domid, gpfns: [0, 1, 2, 3], order: 1 });
    if (isFailure(populated)) throw new Error(populated.errno);
    const mfn = populated.mfns[0] as number;
    return { domid, mfn, gfn: populated.translated ? 0 : mfn };
  });
}

test("a mapped grant is marked in use and counted, until it is unmapped", () => {
  const t = new TestHost();
  const { domid, gfn, mfn } = granter(t);
  t.act((host) => {
    op.grantAccess(host, domid, 8, 0, gfn);
    const first = op.mapGrantRef(host, backend, { domid, ref: 8 });
    const second = op.mapGrantRef(host, backend, { domid, ref: 8, flags: GNTMAP_host_map | GNTMAP_readonly });
    expect([first, second]).toMatchObject([
      { status: 0, handle: 0, mfn },
      { status: 0, handle: 1, mfn },
    ]);
    expect(readEntry(host, domid, 8)?.flags).toBe(0x19);
    expect(pageOf(host, mfn)).toMatchObject({ count: 3, type: "writable", typeCount: 1 });
    expect(op.endAccess(host, domid, 8), "the frontend cannot take it back").toBe(false);
    expect(checkLedger(host, domid)).toEqual([]);
    op.unmapGrantRef(host, backend, { handle: first.handle });
    expect(readEntry(host, domid, 8)?.flags, "read only now").toBe(0x9);
    op.unmapGrantRef(host, backend, { handle: second.handle });
    expect(readEntry(host, domid, 8)?.flags).toBe(1);
    expect(op.endAccess(host, domid, 8)).toBe(true);
    expect(op.unmapGrantRef(host, backend, { handle: second.handle })).toEqual({
      status: GrantStatus.bad_handle,
    });
    expect(checkLedger(host, domid)).toEqual([]);
  });
});

test.each([
  ["an entry nobody wrote", { ref: 9 }, GrantStatus.general_error],
  ["an entry for another domain", { ref: 2 }, GrantStatus.general_error],
  ["writing where only reading is granted", { ref: 3 }, GrantStatus.general_error],
  ["a frame the granter does not have", { ref: 4 }, GrantStatus.bad_page],
  ["a reference beyond the table", { ref: 512 }, GrantStatus.bad_gntref],
  ["a domain there is not", { domid: 99, ref: 1 }, GrantStatus.bad_domain],
  ["a mapping of nothing", { ref: 1, flags: GNTMAP_readonly }, GrantStatus.bad_gntref],
])("refuses to map %s", (_what, args, status) => {
  const t = new TestHost();
  const { domid, gfn } = granter(t);
  t.act((host) => {
    op.grantAccess(host, domid, 1, 0, gfn);
    op.grantAccess(host, domid, 2, 5, gfn);
    op.grantAccess(host, domid, 3, 0, gfn, true);
    op.grantAccess(host, domid, 4, 0, gfn + 500_000);
    expect(op.mapGrantRef(host, backend, { domid, ...args })).toMatchObject({ status, handle: -1 });
    expect(checkLedger(host, domid)).toEqual([]);
    expect(
      op.mapGrantRef(host, backend, { domid, ref: 3, flags: GNTMAP_host_map | GNTMAP_readonly }).status,
    ).toBe(0);
  });
});

test("a translated domain's pages are granted by guest frame and take no type", () => {
  const t = new TestHost();
  const { domid, gfn, mfn } = granter(t, { flags: 1, emulationFlags: 1 });
  t.act((host) => {
    op.grantAccess(host, domid, 8, 0, gfn);
    expect(op.mapGrantRef(host, backend, { domid, ref: 8 })).toMatchObject({ status: 0, mfn });
    expect(pageOf(host, mfn)).toMatchObject({ count: 2, typeCount: 0 });
    expect(addToPhysmap(host, xl, { domid, space: "grant_table", index: 0, gpfn: 0x1000 })).toBe(0);
  });
});

test("nothing revokes what a backend maps: the frontend's domain waits for it", () => {
  const t = new TestHost();
  const { domid, gfn } = granter(t);
  const { handle } = t.act((host) => {
    op.grantAccess(host, domid, 8, 0, gfn);
    return op.mapGrantRef(host, backend, { domid, ref: 8 });
  });
  t.destroy(domid);
  t.settle();
  expect(must(t.world, domainPagesCell, domid).totPages).toBe(1);
  expect(checkLedger(t.world, domid)).toEqual([]);
  t.act((host) => op.unmapGrantRef(host, backend, { handle }));
  t.settle();
  expect(domainById(t.world, domid)).toBeUndefined();
});

test.each([{}, { flags: 1, emulationFlags: 1 }])(
  "a driver domain that is killed lets go of all it maps (%o)",
  (config) => {
    const t = new TestHost({ preemptPages: 4 });
    const { domid, gfn, mfn } = granter(t);
    const driver = t.makeDomain(64, config);
    t.act((host) => {
      for (let ref = 8; ref < 300; ref++) {
        op.grantAccess(host, domid, ref, driver, gfn);
        expect(
          op.mapGrantRef(
            host,
            { domid: driver, process: "kernel" },
            { domid, ref, flags: ref % 2 === 0 ? 2 : 6 },
          ).status,
        ).toBe(0);
      }
    });
    t.destroy(domid);
    t.settle();
    expect(pageOf(t.world, mfn)?.count).toBe(292);
    t.destroy(driver);
    while (t.world.runnable.length > 0) {
      t.world.perform({ thread: t.world.runnable[0] as string, choice: 0 });
      for (const dom of [domid, driver]) expect(checkLedger(t.world, dom)).toEqual([]);
    }
    expect([domainById(t.world, domid), domainById(t.world, driver)]).toEqual([undefined, undefined]);
  },
);

test("a table grows to its limit, a frame at a time", () => {
  const t = new TestHost();
  const { domid } = granter(t, { maxGrantFrames: 4 });
  t.act((host) => {
    expect(op.setupTable(host, xl, { domid, nrFrames: 4 }).frames).toHaveLength(4);
    expect(op.querySize(host, xl, { domid })).toEqual({ status: 0, nrFrames: 4, maxNrFrames: 4 });
    expect(op.setupTable(host, xl, { domid, nrFrames: 5 })).toEqual({
      status: GrantStatus.general_error,
      frames: [],
    });
    expect(must(host, domainPagesCell, domid).xenheapPages).toBe(5);
    expect(op.grantAccess(host, domid, 2047, 0, 1)).toBe(true);
    expect(op.grantAccess(host, domid, 2048, 0, 1)).toBe(false);
  });
});

test("copies between granted pages leave nothing mapped", () => {
  const t = new TestHost();
  const { domid, gfn, mfn } = granter(t);
  t.act((host) => {
    op.grantAccess(host, domid, 8, 0, gfn, true);
    op.grantAccess(host, domid, 9, 0, gfn + 1);
    host.memory.write(mfn, 10, Uint8Array.of(1, 2, 3));
    const source = { domid, ref: 8, offset: 10 };
    expect(op.copy(host, backend, { source, dest: { domid, ref: 9, offset: 4090 }, length: 3 })).toEqual({
      status: 0,
    });
    expect([...host.memory.read(mfn + 1, 4090, 3)]).toEqual([1, 2, 3]);
    expect(op.copy(host, backend, { source, dest: { domid, ref: 9, offset: 4094 }, length: 3 })).toEqual({
      status: GrantStatus.bad_copy_arg,
    });
    expect(op.copy(host, backend, { source, dest: { domid, ref: 8, offset: 0 }, length: 3 })).toEqual({
      status: GrantStatus.general_error,
    });
    expect(readEntry(host, domid, 8)?.flags).toBe(5);
    expect(checkLedger(host, domid)).toEqual([]);
  });
});

test("Linux in a PV domain maps twice for a process, all or nothing, and lets go of both", () => {
  const t = new TestHost();
  const { domid, gfn, mfn } = granter(t);
  const pin = (host: Host): number | undefined => host.get(activeGrantCell, `${domid}/8`)?.pin;
  t.act((host) => {
    op.grantAccess(host, domid, 8, 0, gfn);
    op.grantAccess(host, domid, 9, 0, gfn + 1, true);
    const made = gntdevMap(host, backend, [{ domid, ref: 8 }]);
    expect(made).toMatchObject([{ status: 0, mfn }]);
    expect(pin(host)).toBe(2);
    expect(pageOf(host, mfn)).toMatchObject({ count: 3, typeCount: 2 });
    expect(checkLedger(host, domid)).toEqual([]);

    const both = [8, 9].map((ref) => ({ domid, ref }));
    expect(gntdevMap(host, backend, both)).toMatchObject([{ status: GrantStatus.general_error }]);
    expect(pin(host)).toBe(2);
    expect(gntdevMap(host, backend, both, true)).toHaveLength(2);
    expect(pin(host), "read by two, written by two").toBe(0x202);

    const handles = made.map(({ handle }) => handle);
    gntdevUnmap(host, backend, handles);
    expect(pin(host)).toBe(0x200);
    expect(checkLedger(host, domid)).toEqual([]);
  });
});

test("each vCPU has pages of handles, and takes another's when there may be no more", () => {
  const t = new TestHost();
  const { domid, gfn } = granter(t);
  const mapper = t.makeDomain(16, { maxMaptrackFrames: 2, maxVcpus: 2 });
  let count = 0;
  // An entry can be mapped 127 times.
  const map = (host: Host, process: string): number =>
    op.mapGrantRef(host, { domid: mapper, process }, { domid, ref: 8 + Math.floor(count++ / 100) }).handle;
  t.act((host) => {
    for (let ref = 8; ref < 16; ref++) op.grantAccess(host, domid, ref, mapper, gfn);
    expect(map(host, "xenstored"), "on one vCPU").toBe(0);
    expect(map(host, "xenconsoled"), "on the other").toBe(256);
    expect(must(host, grantTableCell, mapper).maptrackVcpus).toEqual([0, 1]);
    const own = Array.from({ length: 254 }, () => map(host, "xenstored.12"));
    expect(own).toEqual(Array.from({ length: 254 }, (_, at) => at + 1));
    // The last one ends the list and stays.
    expect(map(host, "xenstored")).toBe(257);
    const theirs = Array.from({ length: 253 }, () => map(host, "xenconsoled"));
    expect(theirs.at(-1)).toBe(510);
    expect(map(host, "xenstored")).toBe(-1);
    expect(checkLedger(host, domid)).toEqual([]);
  });
});
