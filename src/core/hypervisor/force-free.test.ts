// SPDX-License-Identifier: Apache-2.0
//
// Forcing a referenced page free crashed dom0 in 2005: here it is refused, with
// who would be hit.
import { expect, test } from "vitest";
import { must } from "../engine/cells.ts";
import { isFailure } from "../engine/errno.ts";
import { clearFaults, injectFault } from "../engine/fault.ts";
import { canonicalHost } from "../engine/save.ts";
import { checkLedger } from "./check-ledger.ts";
import { domainById, domainPagesCell } from "./domain.ts";
import { forceFreePage, pagesLeft } from "./force-free.ts";
import * as gnttab from "./grant-table-op.ts";
import { mapForeign, populatePhysmap, unmapForeign } from "./memory-op.ts";
import { TestHost, xl } from "./testing.ts";

const qemu = { domid: 0, process: "qemu.1" };
const netback = { domid: 0, process: "netback" };

/** A guest of 16 pages: the first is mapped by a device model, the second is granted to a backend that maps it. */
function guest(): { t: TestHost; domid: number; mfn: number; handle: number } {
  const t = new TestHost({ preemptPages: 4 });
  const domid = t.makeDomain(16);
  return t.act((host) => {
    const populated = populatePhysmap(host, xl, { domid, gpfns: [0], order: 4 });
    if (isFailure(populated)) throw new Error(populated.errno);
    const mfn = populated.mfns[0] as number;
    mapForeign(host, qemu, { domid, gfn: mfn });
    gnttab.grantAccess(host, domid, 9, 0, mfn + 1);
    const { handle } = gnttab.mapGrantRef(host, netback, { domid, ref: 9 });
    return { t, domid, mfn, handle };
  });
}

function destroyed(): ReturnType<typeof guest> {
  const made = guest();
  made.t.destroy(made.domid);
  made.t.settle();
  return made;
}

test("a page in use is refused, with who uses it, and nothing changes", () => {
  const { t, domid, mfn } = destroyed();
  const before = canonicalHost(t.world);
  const force = (at: number) => t.act((host) => forceFreePage(host, domid, mfn + at));
  const why = (who: string, at: number): string =>
    `page 0x${(mfn + at).toString(16)} of domain ${domid} is in use by ${who}, since step 0): ` +
    "freed, it would be another's while that one can still read and write it. End the holder, or have it unmap the page";
  expect(force(0)).toEqual({ errno: "EBUSY", why: why("d0/qemu.1 (foreign map", 0) });
  expect(force(1)).toEqual({ errno: "EBUSY", why: why("d0/netback (grant map", 1) });
  expect(canonicalHost(t.world)).toBe(before);
  expect(must(t.world, domainPagesCell, domid).totPages).toBe(2);
});

test("a page whose references were lost is freed, and with the last one its domain", () => {
  const { t, domid, mfn, handle } = guest();
  t.act((host) => injectFault(host, "forget-put", [String(domid), "grant-map", "2"]));
  t.destroy(domid);
  t.settle();
  t.act((host) => {
    gnttab.unmapGrantRef(host, netback, { handle });
    unmapForeign(host, qemu, { mfn });
    expect(pagesLeft(host, domid)).toMatchObject([
      { mfn: mfn + 1, list: "DomPage", caf: "0000000000000001", taf: "e400000000000001", holders: [] },
    ]);
    expect(forceFreePage(host, domid, mfn + 1)).toBe(0);
  });
  expect(checkLedger(t.world, domid)).toEqual([]);
  t.settle();
  expect(domainById(t.world, domid)).toBeUndefined();
  expect(
    t.act((host) => clearFaults(host)),
    "the fault ended with its domain",
  ).toEqual([]);
});

test.each([
  ["a domain there is not", 99, 0, "ESRCH", "there is no domain 99: its pages are free"],
  ["a page that is not left", 1, 5, "ENOENT", /^domain 1 has no page 0x[0-9a-f]+ left$/],
])("refuses %s", (_what, asked, at, errno, why) => {
  const { t, mfn } = destroyed();
  const refused = t.act((host) => forceFreePage(host, asked, mfn + at));
  expect(refused).toMatchObject({ errno, why: expect.stringMatching(why) });
});

test("refuses a domain that is not dead", () => {
  const { t, domid, mfn } = guest();
  const force = () => t.act((host) => forceFreePage(host, domid, mfn));
  expect(force()).toEqual({ errno: "EBUSY", why: "domain 1 is alive: destroy it first" });
  t.destroy(domid);
  const [thread] = t.world.runnable;
  t.world.perform({ thread: thread as string, choice: 0 });
  expect(domainById(t.world, domid)?.isDying).toBe("dying");
  expect(force()).toMatchObject({ errno: "EBUSY", why: expect.stringContaining("still being killed") });
});
