// SPDX-License-Identifier: Apache-2.0
//
// Debian's xl saves, restores and migrates domains of ours: libxc reads and
// writes their memory, and their kernels go on where they were.

import * as fs from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { guestCell } from "../../src/core/guest/guest.ts";
import { ownFrame } from "../../src/core/guest/kernel-pages.ts";
import { domainById } from "../../src/core/hypervisor/domain.ts";
import { requires } from "../capabilities.ts";
import { RealHost, until } from "./real-host.ts";

/** A frame of the domains' memory that neither their builder nor their kernel touches. */
const PFN = 0x1000;
const KEPT = "what it remembers";

let host: RealHost;
let other: RealHost;

function pageBytes({ live }: RealHost, domid: number): string {
  const mfn = ownFrame(live.world, domainById(live.world, domid)!, PFN);
  return Buffer.from(live.world.memory.read(mfn!, 100, KEPT.length)).toString("latin1");
}

function writePage({ live }: RealHost, domid: number, text: string): void {
  const mfn = ownFrame(live.world, domainById(live.world, domid)!, PFN);
  live.world.memory.write(mfn!, 100, Buffer.from(text, "latin1"));
}

/** What a guest keeps over a move: its kernel was not started again. */
const life = ({ live }: RealHost, domid: number): unknown => {
  const guest = live.world.get(guestCell, domid);
  return { upAt: guest?.upAt, commandLine: guest?.commandLine };
};

requires(
  "xen-utils",
  "xenstore-utils",
  "c-compiler",
)("the real xl", () => {
  beforeAll(async () => {
    host = await RealHost.start();
    other = await RealHost.start();
  }, 60_000);

  afterAll(async () => {
    await host.stop();
    await other.stop();
  });

  for (const type of ["pv", "pvh"] as const) {
    test(`${type}: save -c, save, restore and migrate keep the guest as it was`, async () => {
      const file = join(host.folder, `${type}.save`);
      const more = ["memory = 32", "vcpus = 2", 'extra = "mode=idle word=kept"'];
      await host.ok("xl", "create", host.config(type, type, more));
      const domid = await host.domid(type);
      await host.up(domid);
      writePage(host, domid, KEPT);
      const before = life(host, domid);

      expect(await host.ok("xl", "save", "-c", type, file)).toContain(
        `Saving domain ${domid}, type x86 ${type === "pv" ? "PV" : "HVM"}`,
      );
      await until("it goes on", () => host.live.world.get(guestCell, domid)?.shuttingDown === "invalid");
      expect(pageBytes(host, domid)).toBe(KEPT);
      expect(life(host, domid)).toEqual(before);

      await host.ok("xl", "mem-set", type, "24");
      await host.ok("xl", "save", type, file);
      await host.gone(domid);
      expect(await host.ok("xl", "restore", file)).toContain("Restore successful");
      const restored = await host.domid(type);
      expect(restored).toBeGreaterThan(domid);
      expect(pageBytes(host, restored)).toBe(KEPT);
      expect(life(host, restored)).toEqual(before);
      expect((await host.rows())[1]).toMatch(new RegExp(`^${type} ${restored} 24 2 [r-][b-]----$`));

      const receive = join(host.folder, "receive");
      const bin = join(import.meta.dirname, "../../bin/xenolith.js");
      const command = `"${process.execPath}" "${bin}" run --dir "${other.where.dir}" -- xl migrate-receive`;
      fs.writeFileSync(receive, `#!/bin/sh\nexec ${command}\n`, { mode: 0o755 });
      expect(await host.ok("xl", "migrate", "-s", "", type, receive)).toContain("Migration successful.");
      await host.gone(restored);
      const there = await other.domid(type);
      expect(pageBytes(other, there)).toBe(KEPT);
      expect(life(other, there)).toEqual(before);
      expect(other.ledgerProblems()).toEqual([]);
      // The kernel answers on its ring: it was never a picture only.
      expect(await other.ok("xl", "shutdown", "-w", type)).toContain("reason code 0");
      await other.gone(there);
      expect(host.ledgerProblems()).toEqual([]);
      expect([...host.warnings, ...other.warnings]).toEqual([]);
    }, 90_000);
  }

  test("a stream that breaks off leaves no domain and no page behind", async () => {
    await host.ok("xl", "create", host.config("short", "pvh", ["memory = 32"]));
    const domid = await host.domid("short");
    await host.up(domid);
    const file = join(host.folder, "short.save");
    await host.ok("xl", "save", "short", file);
    await host.gone(domid);
    fs.truncateSync(file, 5 << 20);
    const { code, out } = await host.run("xl", "restore", file);
    expect(code).not.toBe(0);
    expect(out).toContain("restoring domain");
    expect(await host.rows()).toEqual(["Domain-0 0 1280 2 r-----"]);
    expect(host.ledgerProblems()).toEqual([]);
  }, 60_000);
});
