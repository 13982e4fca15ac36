// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import { must } from "../core/engine/cells.ts";
import { run, fifo } from "../core/engine/scheduler.ts";
import { domainPagesCell } from "../core/hypervisor/domain.ts";
import * as domctl from "../core/hypervisor/domctl.ts";
import { ownedFrames } from "../core/hypervisor/frames.ts";
import { mapForeign, populatePhysmap, unmapForeign } from "../core/hypervisor/memory-op.ts";
import { pageCell } from "../core/hypervisor/page.ts";
import { runsOf } from "../core/hypervisor/runs.ts";
import { TestHost, xl } from "../core/hypervisor/testing.ts";
import { diagnose, dyingDomains, stageOf } from "./diagnose.ts";
import { words } from "./words.ts";

const holder = { domid: 0, process: "qemu-system-i38.4711" };

/** A PV domain with four pages, or four extents of them. */
function domainWithPages(t: TestHost, order = 0): { domid: number; mfn: number } {
  const domid = t.makeDomain(4 << order);
  const gpfns = [0, 1, 2, 3].map((extent) => extent << order);
  t.act((host) => populatePhysmap(host, xl, { domid, gpfns, order }));
  const [first] = runsOf(t.world, ownedFrames(domid));
  return { domid, mfn: first!.start };
}

describe("stages of a domain's end", () => {
  test("from creation to the last free", () => {
    const t = new TestHost();
    expect(stageOf(t.world, 1)).toBe("never used");
    const { domid } = domainWithPages(t, 12);
    expect(stageOf(t.world, domid)).toBe("paused");
    expect(diagnose(t.world, domid).next).toEqual(["xenolith xl unpause 1"]);
    t.act((host) => domctl.unpausedomain(host, xl, domid));
    expect(stageOf(t.world, domid)).toBe("running");
    t.destroy(domid);
    const seen: string[] = [];
    for (let stage = ""; t.world.runnable.length > 0;) {
      t.world.perform(fifo(t.world)!);
      if (stageOf(t.world, domid) !== stage) seen.push((stage = stageOf(t.world, domid)));
    }
    expect(seen).toEqual(["being killed", "being freed", "freed"]);
    expect(words(diagnose(t.world, domid))[0]).toBe(
      "Domain 1 is gone: nothing of it is left, and its number can be given out again.",
    );
  });

  test("a kill under way shows p, not d, and counts what is left", () => {
    const t = new TestHost();
    const { domid } = domainWithPages(t, 12);
    t.destroy(domid);
    run(t.world, fifo, { until: (w) => stageOf(w, domid) === "being killed" });
    const found = diagnose(t.world, domid);
    expect(found.state).toBe("--p---");
    expect(words(found)[0]).toMatch(/^Domain 1 is being killed: \d+ pages/);
    expect(dyingDomains(t.world)).toEqual([domid]);
  });
});

describe("who keeps a zombie", () => {
  test("a program that maps a page: its pid, the frame, and how it lets go", () => {
    const t = new TestHost();
    const { domid, mfn } = domainWithPages(t);
    t.act((host) => mapForeign(host, holder, { domid, gfn: mfn }));
    t.destroy(domid);
    t.settle();
    const found = diagnose(t.world, domid);
    expect(found).toMatchObject({
      stage: "zombie",
      state: "--p--d",
      counts: { refcnt: 1, nrPages: 1, xenheapPages: 0 },
      disagreements: [],
      missing: [],
      next: ["kill 4711", "xenolith wait --freed 1"],
    });
    expect(found.holders).toEqual([
      {
        certainty: "recorded",
        name: "d0/qemu-system-i38.4711",
        who: "process 4711 (qemu-system-i38)",
        hint: null,
        domid: 0,
        pid: 4711,
        holdings: [{ kind: "foreign map", count: 1, op: "mmu_update", since: 0, frames: [mfn], grants: [] }],
        chain: [],
        release: "kill 4711",
      },
    ]);
    expect(words(found)[0]).toBe(
      "Domain 1 is a zombie: the kill has finished, and process 4711 (qemu-system-i38) still holds 1 page.",
    );
    t.act((host) => unmapForeign(host, holder, { mfn }));
    t.settle();
    expect(stageOf(t.world, domid)).toBe("freed");
  });

  test("a mapped shared_info: a page that Xen shared with it", () => {
    const t = new TestHost();
    const { domid } = domainWithPages(t);
    const { sharedInfo } = must(t.world, domainPagesCell, domid);
    t.act((host) => mapForeign(host, holder, { domid, gfn: sharedInfo }));
    t.destroy(domid);
    t.settle();
    expect(words(diagnose(t.world, domid))[0]).toMatch(/still holds 1 page that Xen shared with it\.$/);
  });

  test("a domain that has it as its target: a reference on the structure", () => {
    const t = new TestHost();
    const domid = t.makeDomain(16, { flags: 1, emulationFlags: 1 });
    const stubdom = t.makeDomain();
    t.act((host) => domctl.setTarget(host, xl, { domid: stubdom, target: domid }));
    t.destroy(domid);
    t.settle();
    const found = diagnose(t.world, domid);
    expect(found.counts).toEqual({ refcnt: 1, nrPages: 0, xenheapPages: 0 });
    expect(found.holders).toMatchObject([
      { who: "domain 2", holdings: [{ kind: "set_target", count: 1, frames: [] }] },
    ]);
    expect(words(found)[0]).toMatch(/domain 2 still holds 1 reference on its structure\.$/);
  });

  test("what a live domain holds of itself is nobody's", () => {
    const t = new TestHost();
    const { domid } = domainWithPages(t);
    expect(diagnose(t.world, domid).holders).toEqual([]);
  });
});

test("a count nobody owns is said, not explained away", () => {
  const t = new TestHost();
  const { domid, mfn } = domainWithPages(t);
  t.act((host) => mapForeign(host, holder, { domid, gfn: mfn }));
  t.act((host) => void (host.edit(pageCell, mfn).refs = []));
  t.destroy(domid);
  t.settle();
  const found = diagnose(t.world, domid);
  expect(found.disagreements).not.toEqual([]);
  expect(found.missing).toEqual(["no ledger names who holds the pages that are left"]);
  expect(words(found)[0]).toMatch(/somebody unknown still holds 1 page\.$/);
});
