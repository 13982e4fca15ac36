// SPDX-License-Identifier: Apache-2.0
//
// Each kind of reference: taken by the operation that takes it in Xen, seen in
// `caf`, `taf` and the ledger, dropped by the one that drops it; and what is left
// of its domain where that drop is forgotten.
import { describe, expect, test } from "vitest";
import { must } from "../engine/cells.ts";
import { isFailure } from "../engine/errno.ts";
import { clearFaults, injectFault } from "../engine/fault.ts";
import type { Host } from "../engine/host.ts";
import { spawnThread } from "../engine/thread.ts";
import { checkLedger } from "./check-ledger.ts";
import { domainById, domainPagesCell, domainRefsCell } from "./domain.ts";
import * as domctl from "./domctl.ts";
import { setvcpucontext } from "./domctl-vcpu.ts";
import * as gnttab from "./grant-table-op.ts";
import { heapCell } from "./heap.ts";
import { acquireIoreqFrames, createIoreqServer, destroyIoreqServer } from "./ioreq-op.ts";
import type { LedgerEntry } from "./ledger.ts";
import * as shadow from "./legacy-shadow.ts";
import { decreaseReservation, mapForeign, mapOwn, populatePhysmap, unmapForeign } from "./memory-op.ts";
import { mmuUpdate, mmuextNewBaseptr, mmuextPin, mmuextSetLdt, mmuextUnpin, setGdtOf } from "./mmuext-op.ts";
import { devalidatePage, pageOf, putPageAndTypePreemptible, setPinned } from "./page.ts";
import { referenceKindNames, referenceKinds } from "./reference-kinds.ts";
import type { ReferenceKind } from "./reference-kinds.ts";
import { registerPhysArea, registerVcpuInfo } from "./sched-op.ts";
import { debugKeys, readconsole } from "./sysctl.ts";
import { TestHost, xl } from "./testing.ts";
import { mapLdtShadowPage, unmapGuestArea } from "./vcpu-pages.ts";

const qemu = { domid: 0, process: "qemu.1" };

/** A guest with 16 pages, the first of which is `mfn`; HVM ones are told of it as frame 0. */
interface Guest {
  t: TestHost;
  domid: number;
  mfn: number;
}

/** How a kind's reference is taken, and dropped by its own operation. */
interface Case {
  type: "pv" | "hvm";
  holder: string | RegExp;
  op: string;
  /** Gives the page it is on, where that is not the first. */
  take: (g: Guest, host: Host) => number | void;
  /** `null` where only a kill drops it. */
  drop: ((g: Guest, host: Host) => unknown) | null;
  /** `taf` after taking, without its count: what debug key q prints. */
  taf: string;
  /** The zombie that a forgotten drop leaves: which list its page is on, or what keeps the structure. */
  zombie: "DomPage" | "XenPage" | "ExtraPage" | "structure" | "none";
}

const kernelOf = ({ domid }: Guest) => ({ domid, process: "kernel" });
const WRITABLE = "e4";
const NONE = "00";

function ok(result: unknown): void {
  expect(isFailure(result), JSON.stringify(result)).toBe(false);
}

const cases: { [kind in Exclude<ReferenceKind, "shared">]: Case } = {
  allocated: {
    type: "pv",
    holder: "",
    op: "",
    take: () => {},
    drop: (g, host) => decreaseReservation(host, xl, { domid: g.domid, gmfns: [g.mfn] }),
    taf: NONE,
    // The first that a kill gives up is a frame of the hypervisor's: shared_info.
    zombie: "XenPage",
  },
  pinned: {
    type: "pv",
    holder: /^d\d+$/,
    op: "mmuext_op",
    take: (g, host) => ok(mmuextPin(host, xl, { domid: g.domid, level: 4, mfn: g.mfn })),
    drop: (g, host) => mmuextUnpin(host, xl, { domid: g.domid, mfn: g.mfn }),
    taf: "8c",
    zombie: "DomPage",
  },
  "page table": {
    type: "pv",
    holder: /^table [0-9a-f]+$/,
    op: "get_page_from_l4e",
    take: (g, host) => {
      ok(mmuUpdate(host, kernelOf(g), { table: g.mfn, index: 1, mfn: g.mfn + 1 }));
      ok(mmuextPin(host, xl, { domid: g.domid, level: 4, mfn: g.mfn }));
      return g.mfn + 1;
    },
    drop: (g, host) => mmuUpdate(host, kernelOf(g), { table: g.mfn, index: 1, mfn: 0 }),
    taf: "64",
    zombie: "DomPage",
  },
  partial: {
    type: "pv",
    holder: /^d\d+$/,
    op: "devalidate_page",
    take: (g, host) => {
      for (const index of [1, 2, 3])
        ok(mmuUpdate(host, kernelOf(g), { table: g.mfn, index, mfn: g.mfn + index }));
      ok(mmuextPin(host, xl, { domid: g.domid, level: 4, mfn: g.mfn }));
      setPinned(host, g.mfn, false);
      expect(putPageAndTypePreemptible(host, g.mfn, `d${g.domid}`, "pinned", { left: 2 })).toBe("ERESTART");
    },
    drop: (g, host) => devalidatePage(host, g.mfn, { left: 9 }),
    taf: "81",
    zombie: "DomPage",
  },
  cr3: {
    type: "pv",
    holder: /^d\d+v0$/,
    op: "new_guest_cr3",
    take: (g, host) => ok(mmuextNewBaseptr(host, kernelOf(g), { vcpu: 0, mfn: g.mfn })),
    drop: (g, host) => mmuextNewBaseptr(host, kernelOf(g), { vcpu: 0, mfn: g.mfn + 1 }),
    taf: "84",
    zombie: "DomPage",
  },
  gdt: {
    type: "pv",
    holder: /^d\d+v0$/,
    op: "pv_set_gdt",
    take: (g, host) => ok(setGdtOf(host, kernelOf(g), { vcpu: 0, frames: [g.mfn] })),
    drop: (g, host) => setGdtOf(host, kernelOf(g), { vcpu: 0, frames: [] }),
    taf: "a4",
    zombie: "DomPage",
  },
  ldt: {
    type: "pv",
    holder: /^d\d+v0$/,
    op: "pv_map_ldt_shadow_page",
    take: (g, host) => {
      ok(mmuextSetLdt(host, kernelOf(g), { vcpu: 0, frames: [g.mfn] }));
      expect(mapLdtShadowPage(host, g.domid, 0, 0)).toBe(true);
    },
    drop: (g, host) => mmuextSetLdt(host, kernelOf(g), { vcpu: 0, frames: [] }),
    taf: "a4",
    zombie: "DomPage",
  },
  "vcpu info": {
    type: "hvm",
    holder: /^d\d+v0$/,
    op: "map_vcpu_info",
    take: (g, host) => ok(registerVcpuInfo(host, kernelOf(g), { vcpu: 0, gfn: 0 })),
    drop: null,
    taf: WRITABLE,
    zombie: "DomPage",
  },
  runstate: {
    type: "hvm",
    holder: /^d\d+v0$/,
    op: "map_guest_area",
    take: (g, host) => ok(registerPhysArea(host, kernelOf(g), { vcpu: 0, area: "runstate", gfn: 0 })),
    drop: (g, host) => unmapGuestArea(host, g.domid, 0, "runstateMfn"),
    taf: WRITABLE,
    zombie: "DomPage",
  },
  "vcpu time": {
    type: "hvm",
    holder: /^d\d+v0$/,
    op: "map_guest_area",
    take: (g, host) => ok(registerPhysArea(host, kernelOf(g), { vcpu: 0, area: "vcpu_time", gfn: 0 })),
    drop: (g, host) => unmapGuestArea(host, g.domid, 0, "timeMfn"),
    taf: WRITABLE,
    zombie: "DomPage",
  },
  "grant map": {
    type: "pv",
    holder: "d0/qemu.1",
    op: "map_grant_ref",
    take: (g, host) => {
      gnttab.grantAccess(host, g.domid, 9, 0, g.mfn);
      expect(gnttab.mapGrantRef(host, qemu, { domid: g.domid, ref: 9 }).status).toBe(0);
    },
    drop: (_g, host) => gnttab.unmapGrantRef(host, qemu, { handle: 0 }),
    taf: WRITABLE,
    zombie: "DomPage",
  },
  "foreign map": {
    type: "hvm",
    holder: "d0/qemu.1",
    op: "mmu_update",
    take: (g, host) => ok(mapForeign(host, qemu, { domid: g.domid, gfn: 0 })),
    drop: (g, host) => unmapForeign(host, qemu, { mfn: g.mfn }),
    // A translated domain's pages have no type: nobody can make page tables of them.
    taf: NONE,
    zombie: "DomPage",
  },
  "own map": {
    type: "pv",
    holder: /^d\d+\/kernel$/,
    op: "update_va_mapping",
    take: (g, host) => {
      const { sharedInfo } = must(host, domainPagesCell, g.domid);
      ok(mapOwn(host, kernelOf(g), { mfn: sharedInfo }));
      return sharedInfo;
    },
    drop: null,
    taf: WRITABLE,
    zombie: "XenPage",
  },
  ioreq: {
    type: "hvm",
    holder: /^d\d+\/ioreq0$/,
    op: "ioreq_server_alloc_mfn",
    take: (g, host) => {
      ok(createIoreqServer(host, qemu, { domid: g.domid, bufioreqHandling: 0 }));
      const frames = acquireIoreqFrames(host, qemu, { domid: g.domid, id: 0, frame: 1, nrFrames: 1 });
      if (isFailure(frames)) throw new Error(frames.errno);
      return frames.mfns[0];
    },
    drop: (g, host) => destroyIoreqServer(host, qemu, { domid: g.domid, id: 0 }),
    taf: WRITABLE,
    zombie: "ExtraPage",
  },
  "shadow l1": {
    ...legacyCase(),
    holder: /^d\d+\/shadow$/,
    op: "shadow_l1_table",
    take: (g, host) => {
      runOn(g, host);
      shadow.shadowFault(host, g.domid, { l2: g.mfn, l1: g.mfn + 1 }, g.mfn + 2);
      return g.mfn + 1;
    },
  },
  "shadow l2": {
    ...legacyCase(),
    holder: /^d\d+\/shadow$/,
    op: "shadow_l2_table",
    take: runOn,
  },
  "shadow hl2": {
    ...legacyCase(),
    holder: /^d\d+\/shadow$/,
    op: "shadow_hl2_table",
    take: runOn,
  },
  snapshot: {
    ...legacyCase(),
    holder: /^d\d+\/shadow$/,
    op: "shadow_make_snapshot",
    take: (g, host) => {
      runOn(g, host);
      shadow.shadowFault(host, g.domid, { l2: g.mfn, l1: g.mfn + 1 }, g.mfn + 2);
      shadow.markOutOfSync(host, g.domid, g.mfn + 1, g.mfn + 3);
      return g.mfn + 1;
    },
    drop: (g, host) => shadow.shadowSyncAll(host, g.domid),
  },
  "out of sync": {
    ...legacyCase(),
    holder: /^d\d+\/shadow$/,
    op: "shadow_mark_mfn_out_of_sync",
    take: (g, host) => {
      runOn(g, host);
      shadow.markOutOfSync(host, g.domid, g.mfn + 1, g.mfn + 3);
      return g.mfn + 1;
    },
    drop: (g, host) => shadow.shadowSyncAll(host, g.domid),
  },
  "writable pte prediction": {
    ...legacyCase(),
    holder: /^d\d+\/shadow$/,
    op: "increase_writable_pte_prediction",
    take: (g, host) => {
      runOn(g, host);
      shadow.markOutOfSync(host, g.domid, g.mfn + 1, g.mfn + 3);
      return g.mfn + 3;
    },
  },
  "shadow table": { ...legacyCase(), holder: "", op: "", take: runOn },
  "monitor table": { ...legacyCase(), holder: "", op: "", take: runOn },
  created: structure("xen", "domain_create", () => {}),
  pages: structure("xen", "assign_pages", () => {}),
  "xenheap pages": structure("xen", "arch_domain_create", () => {}),
  set_target: {
    ...structure(/^d\d+$/, "set_target", (g, host) => {
      const made = domctl.createdomain(host, xl, {});
      if (isFailure(made)) throw new Error(made.errno);
      ok(domctl.setTarget(host, xl, { domid: made.domid, target: g.domid }));
    }),
    type: "hvm",
    drop: (g, host) =>
      spawnThread(host, "dom0/xl.stubdom", domctl.destroydomain, { caller: xl, domid: g.domid + 1 }),
  },
  "global virq": {
    ...structure("xen/virq8", "set_global_virq_handler", (g, host) =>
      ok(domctl.setVirqHandler(host, xl, { domid: g.domid, virq: 8 })),
    ),
    drop: (_g, host) => domctl.setVirqHandler(host, xl, { domid: 0, virq: 8 }),
  },
  "ioreq server": {
    ...structure(/^d\d+\/ioreq0$/, "ioreq_server_init", (g, host) => {
      const made = domctl.createdomain(host, xl, { flags: 1, emulationFlags: 0x3ff });
      if (isFailure(made)) throw new Error(made.errno);
      ok(domctl.setTarget(host, xl, { domid: g.domid, target: made.domid }));
      ok(createIoreqServer(host, kernelOf(g), { domid: made.domid, bufioreqHandling: 0 }));
    }),
    drop: (g, host) => destroyIoreqServer(host, kernelOf(g), { domid: g.domid + 1, id: 0 }),
  },
};

function runOn({ domid, mfn }: Guest, host: Host): void {
  shadow.updatePagetables(host, domid, 0, mfn);
}

function legacyCase(): Pick<Case, "type" | "drop" | "taf" | "zombie"> {
  return { type: "hvm", drop: null, taf: NONE, zombie: "DomPage" };
}

function structure(holder: string | RegExp, op: string, take: Case["take"]): Case {
  return { type: "pv", holder, op, take, drop: null, taf: NONE, zombie: "structure" };
}

const HVM = { flags: 1, emulationFlags: 0x3ff };

function guestOf(kind: ReferenceKind, { type }: Case): Guest {
  const legacy = referenceKinds[kind].legacy !== undefined;
  const t = new TestHost({
    // Areas by physical address came with 4.18.
    version: kind === "runstate" || kind === "vcpu time" ? "4.23" : "4.17",
    paging: legacy ? "legacy-shadow" : "xen",
    preemptPages: 4,
  });
  const domid = t.makeDomain(64, type === "pv" ? {} : HVM);
  const mfn = t.act((host) => {
    const populated = populatePhysmap(host, xl, { domid, gpfns: [0], order: 4 });
    if (isFailure(populated)) throw new Error(populated.errno);
    setvcpucontext(host, xl, { domid, vcpu: 0, context: { online: true } });
    return populated.mfns[0] as number;
  });
  return { t, domid, mfn };
}

function take(g: Guest, one: Case): number {
  return g.t.act((host) => one.take(g, host)) ?? g.mfn;
}

function sound({ t, domid }: Guest): void {
  for (const dom of [0, domid, domid + 1]) expect(checkLedger(t.world, dom)).toEqual([]);
}

/** What debug key q prints of a domain. */
function pressQ(t: TestHost, domid: number): string[] {
  return t.act((host) => {
    readconsole(host, xl, { clear: true });
    debugKeys(host, xl, { keys: "q" });
    const { text } = readconsole(host, xl) as { text: string };
    const lines = text.replaceAll("(XEN) ", "").split("\n");
    const from = lines.indexOf(`General information for domain ${domid}:`);
    const length = lines.slice(from + 1).findIndex((line) => /^General|^Notifying/.test(line));
    return from < 0 ? [] : lines.slice(from, from + 1 + length);
  });
}

function ledgerOf({ t, domid }: Guest, kind: ReferenceKind, mfn: number): readonly Readonly<LedgerEntry>[] {
  return referenceKinds[kind].of === "page"
    ? (pageOf(t.world, mfn)?.refs ?? [])
    : must(t.world, domainRefsCell, domid).refs;
}

/** Lets everybody go who is there only to make the case. */
function endOthers({ t, domid }: Guest): void {
  if (domainById(t.world, domid + 1) !== undefined) t.destroy(domid + 1);
  t.settle();
  t.act((host) => clearFaults(host));
  t.settle();
}

test("every kind is tried", () => {
  expect(Object.keys(cases).toSorted()).toEqual(referenceKindNames.filter((k) => k !== "shared").toSorted());
});

describe.each(Object.entries(cases) as [ReferenceKind, Case][])("%s", (kind, one) => {
  const { of } = referenceKinds[kind];

  test("is taken, seen and dropped", () => {
    const g = guestOf(kind, one);
    const { t, domid } = g;
    const before = pageOf(t.world, g.mfn)?.count;
    expect(before).toBe(1);
    const mfn = take(g, one);
    sound(g);
    if (of === "page" && kind !== "allocated") {
      const entry = ledgerOf(g, kind, mfn).find((e) => e.kind === kind);
      expect(entry).toMatchObject({ op: one.op, count: 1, step: t.world.step });
      expect(entry?.holder).toMatch(one.holder);
      const type = referenceKinds[kind].type !== null && one.taf !== NONE;
      expect(entry?.typed).toBe(type ? 1 : 0);
    } else if (of === "domain") {
      const entry = ledgerOf(g, kind, mfn).find((e) => e.kind === kind);
      expect(entry).toMatchObject({ op: one.op, count: 1 });
      expect(entry?.holder).toMatch(one.holder);
    } else if (of === "shadow") {
      const holders = shadow.shadowsOf(t.world, domid).flatMap(({ holders: all }) => all);
      expect(holders.filter((holder) => holder.startsWith(kind))).not.toEqual([]);
    }
    if (one.drop !== null) {
      t.act((host) => one.drop?.(g, host));
      sound(g);
      if (of === "page") expect(ledgerOf(g, kind, mfn).some((e) => e.kind === kind)).toBe(false);
    }
    t.destroy(domid);
    while (t.world.runnable.length > 0) {
      t.world.perform({ thread: t.world.runnable[0] as string, choice: 0 });
      sound(g);
    }
    if (one.drop === null) expect(domainById(t.world, domid)).toBeUndefined();
    endOthers(g);
  });

  test("leaves a zombie where its drop is forgotten, until the fault is cleared", () => {
    const g = guestOf(kind, one);
    const { t, domid } = g;
    const words = [String(domid), kind.replaceAll(" ", "-")];
    const free = must(t.world, heapCell, 0).freePages;
    take(g, one);
    expect(t.act((host) => injectFault(host, "forget-put", words))).toBe(0);
    // A kill gives up again what a guest gave up in vain.
    if (kind !== "allocated") t.act((host) => one.drop?.(g, host));
    t.settle();
    sound(g);
    t.destroy(domid);
    t.settle();
    sound(g);
    expect(domainById(t.world, domid)?.isDying).toBe("dead");
    const counts = must(t.world, domainPagesCell, domid);
    const listed = pressQ(t, domid).filter((line) => /^ {4}(Dom|Xen|Extra)Page/.test(line));
    expect(counts.totPages + counts.xenheapPages).toBe(listed.length);
    if (one.zombie === "structure") expect(listed).toEqual([]);
    else {
      expect(listed.length).toBeGreaterThan(0);
      for (const line of listed) expect(line).toMatch(new RegExp(`^ {4}${one.zombie} `));
    }
    expect(t.act((host) => clearFaults(host, "forget-put", words))).toHaveLength(1);
    endOthers(g);
    expect(domainById(t.world, domid)).toBeUndefined();
    expect(t.statesOf(domid).filter((state) => state === "freed")).toHaveLength(1);
    expect(must(t.world, heapCell, 0).freePages).toBe(free + 16 + 2);
  });
});
