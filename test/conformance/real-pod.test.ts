// SPDX-License-Identifier: Apache-2.0
//
// Memory populated on demand, as Debian's xl has it made where `maxmem` is above
// `memory`: what libxc asks for, what the kernel's balloon makes of it, and what
// reading all of the domain's memory does.

import * as fs from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { must } from "../../src/core/engine/cells.ts";
import { guestCell } from "../../src/core/guest/guest.ts";
import { ownFrame } from "../../src/core/guest/kernel-pages.ts";
import { domainById, domainPagesCell } from "../../src/core/hypervisor/domain.ts";
import { heapCell } from "../../src/core/hypervisor/heap.ts";
import { podCounts } from "../../src/core/hypervisor/pod-cell.ts";
import { requires } from "../capabilities.ts";
import { RealHost, until } from "./real-host.ts";

const KEPT = "what it remembers";
/** A frame of the domain's memory that only the test touches. */
const PFN = 0x500;

/** Pages that are no memory of the guest's: eight special ones, eight for IOREQ servers, one of an identity map. */
const SPECIAL = 17;

let host: RealHost;

const freePages = (): number => must(host.live.world, heapCell, 0).freePages;
const pages = (domid: number): number => must(host.live.world, domainPagesCell, domid).totPages;
const pod = (domid: number): { entries: number; cached: number } => podCounts(host.live.world, domid);
const mem = async (name: string): Promise<string | undefined> =>
  (await host.rows()).find((line) => line.startsWith(`${name} `))?.split(" ")[2];

/** The guest touches its frame: a step of the host's. */
function kept(domid: number, write?: string): string {
  let found = "";
  host.live.world.boot((h) => {
    const mfn = ownFrame(h, domainById(h, domid)!, PFN)!;
    if (write !== undefined) h.memory.write(mfn, 100, Buffer.from(write, "latin1"));
    found = Buffer.from(h.memory.read(mfn, 100, KEPT.length)).toString("latin1");
  });
  return found;
}

/** What libxc made of the configuration: its target, then what it populated with which flags. */
function asked(domid: number): unknown[] {
  return host.hypercalls
    .filter(({ dom, caller }) => dom === domid && caller.startsWith("d0/xl"))
    .filter(({ op }) => op === "memory_op set_pod_target" || op === "memory_op populate_physmap")
    .map(({ op, args }) =>
      op.endsWith("target") ? ["target", args["target"]] : ["populate", args["flags"]],
    );
}

requires(
  "xen-utils",
  "xenstore-utils",
  "c-compiler",
)("the real xl, with maxmem above memory", () => {
  beforeAll(async () => {
    host = await RealHost.start();
  }, 60_000);

  afterAll(() => host.stop());

  test("PVH: created, ballooned, set, saved, restored and destroyed", async () => {
    const free = freePages();
    host.hypercalls = [];
    await host.ok("xl", "create", host.config("p", "pvh", ["memory = 32", "maxmem = 64"]));
    const domid = await host.domid("p");
    const [target, ...populated] = asked(domid);
    expect(target).toEqual(["target", 8192]);
    // All of its memory; then, there at once, the pages it shares with Xen and with its device models.
    expect([...new Set(populated.map(String))]).toEqual(["populate,65536", "populate,0"]);
    await host.up(domid);
    expect(await mem("p")).toBe("32");
    // The kernel found 64 MiB in its map and has given half of it back: what is left can all be populated.
    await until("counts agree", () => pod(domid).entries === pod(domid).cached);
    expect(pages(domid)).toBe(8192 + SPECIAL);
    kept(domid, KEPT);

    await host.ok("xl", "mem-set", "p", "48");
    await until("it has more", () => pages(domid) === 12288 + SPECIAL);
    await host.ok("xl", "mem-set", "p", "40");
    await until("it has less", () => pages(domid) === 10240 + SPECIAL);
    expect(await mem("p")).toBe("40");
    await host.ok("xl", "mem-max", "p", "128");

    const before = host.live.world.get(guestCell, domid)?.upAt;

    const file = join(host.folder, "p.save");
    await host.ok("xl", "save", "p", file);
    await host.gone(domid);
    expect(freePages()).toBe(free);
    await host.ok("xl", "restore", file);
    const restored = await host.domid("p");
    expect(kept(restored)).toBe(KEPT);
    expect(host.live.world.get(guestCell, restored)?.upAt).toBe(before);
    expect(await mem("p")).toBe("40");
    expect(host.ledgerProblems()).toEqual([]);
    await host.ok("xl", "destroy", "p");
    await host.gone(restored);
    expect(freePages()).toBe(free);
    expect(host.warnings).toEqual([]);
  }, 90_000);

  test("migrated while it runs: what is on demand is populated on the way", async () => {
    await host.ok("xl", "create", host.config("m", "pvh", ["memory = 16", "maxmem = 32"]));
    const domid = await host.domid("m");
    await host.up(domid);
    kept(domid, KEPT);
    const receive = join(host.folder, "receive");
    const bin = join(import.meta.dirname, "../../bin/xenolith.js");
    const command = `"${process.execPath}" "${bin}" run --dir "${host.where.dir}" -- xl migrate-receive`;
    fs.writeFileSync(receive, `#!/bin/sh\nexec ${command}\n`, { mode: 0o755 });
    expect(await host.ok("xl", "migrate", "-s", "", "m", receive)).toContain("Migration successful.");
    await host.gone(domid);
    const there = await host.domid("m");
    expect(kept(there)).toBe(KEPT);
    expect(pages(there)).toBe(4096 + SPECIAL);
    expect(host.ledgerProblems()).toEqual([]);
    await host.ok("xl", "destroy", "m");
    await host.gone(there);
  }, 60_000);

  test("more is touched than there is: the domain crashes, and xl dmesg says why", async () => {
    const free = freePages();
    const more = ["memory = 16", "maxmem = 32", 'on_crash = "preserve"'];
    await host.ok("xl", "create", "-p", host.config("r", "pvh", more));
    const domid = await host.domid("r");
    // Nobody has ballooned: a kernel that writes to all it finds in its map.
    host.live.world.boot((h) => {
      const touch = (pfn: number): number | null => ownFrame(h, domainById(h, domid)!, pfn);
      let mfn = touch(0);
      for (let pfn = 1; mfn !== null; mfn = touch(pfn++)) h.memory.write(mfn, 0, Uint8Array.of(1));
    });
    expect(await host.ok("xl", "dmesg")).toMatch(
      new RegExp(
        `p2m_pod_demand_populate: Dom${domid} out of PoD memory! \\(tot=${4096 + SPECIAL} ents=\\d+ dom${domid}\\)`,
      ),
    );
    expect((await host.rows()).find((line) => line.startsWith("r "))).toMatch(/--psc-$/);
    await host.ok("xl", "destroy", "r");
    await host.gone(domid);
    expect(freePages()).toBe(free);
  }, 60_000);
});

requires(
  "xen-utils",
  "xenstore-utils",
  "qemu-xen",
  "c-compiler",
)("the real xl and QEMU, with maxmem above memory", () => {
  beforeAll(async () => {
    host = await RealHost.start();
  }, 60_000);

  afterAll(() => host.stop());

  test("HVM: created, ballooned, set, saved, restored and destroyed", async () => {
    const free = freePages();
    const file = join(host.folder, "h.cfg");
    const small = ['vga = "none"', "vnc = 0", 'serial = "none"', "vkb_device = 0"];
    const config = ['name = "h"', 'type = "hvm"', "memory = 32", "maxmem = 64", ...small, ""];
    fs.writeFileSync(file, config.join("\n"));
    host.hypercalls = [];
    await host.ok("xl", "create", file);
    const domid = await host.domid("h");
    expect(asked(domid)[0], "without the hole for VGA").toEqual(["target", 8192 - 32]);
    await host.up(domid);
    await until("counts agree", () => pod(domid).entries <= pod(domid).cached);
    kept(domid, KEPT);
    const held = pages(domid);
    await host.ok("xl", "mem-set", "h", "40");
    await until("it has more", () => pages(domid) === held + 2048 + 256);
    const image = join(host.folder, "h.save");
    await host.ok("xl", "save", "h", image);
    await host.gone(domid);
    expect(freePages()).toBe(free);
    await host.ok("xl", "restore", image);
    const restored = await host.domid("h");
    expect(kept(restored)).toBe(KEPT);
    expect(host.ledgerProblems()).toEqual([]);
    await host.ok("xl", "destroy", "h");
    await host.gone(restored);
    await until("its pages are free", () => freePages() === free);
    expect(host.warnings).toEqual([]);
  }, 90_000);
});
