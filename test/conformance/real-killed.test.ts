// SPDX-License-Identifier: Apache-2.0
//
// Programs that are killed at any moment: what they mapped, bound and referred to
// goes with them, and the host is as it was.

import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { must } from "../../src/core/engine/cells.ts";
import { findNextBit } from "../../src/core/hypervisor/bitmap.ts";
import { domainById } from "../../src/core/hypervisor/domain.ts";
import { portsInUse } from "../../src/core/hypervisor/port.ts";
import { heapCell } from "../../src/core/hypervisor/heap.ts";
import { requires } from "../capabilities.ts";
import { RealHost, until } from "./real-host.ts";

let host: RealHost;

const freePages = (): number => must(host.live.world, heapCell, 0).freePages;

function dom0Ports(): number {
  let count = 0;
  for (let at = findNextBit(host.live.world, portsInUse(0), 0); at >= 0; count++)
    at = findNextBit(host.live.world, portsInUse(0), at + 1);
  return count;
}

/** Whether no process outside maps a frame: theirs are the names that end in a pid. */
function nobodyMaps(): boolean {
  return host.mappedBy((process) => /\.\d+$/.test(process)) === 0;
}

/** The processes on the host. */
function running(): number[] {
  const pids = fs.readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return pids.map(Number).filter((pid) => {
    try {
      return fs.readFileSync(`/proc/${pid}/environ`, "latin1").includes(`XENOLITH_DIR=${host.where.dir}\0`);
    } catch {
      return false; // It has ended meanwhile, or is another's.
    }
  });
}

/** Kills a program and all it started, after some time; also what it starts while others are killed. */
async function killedAfter(ms: number, command: [string, ...string[]]): Promise<void> {
  const child = host.spawn("setsid", "-w", ...command);
  const closed = new Promise((resolve) => child.on("close", resolve));
  await new Promise((resolve) => setTimeout(resolve, ms));
  for (let pids = running(); pids.length > 0; pids = running()) {
    for (const pid of pids) {
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // It has ended.
      }
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await closed;
}

requires(
  "xen-utils",
  "xenstore-utils",
  "c-compiler",
  "libxen-dev",
)("a program that is killed", () => {
  beforeAll(async () => {
    host = await RealHost.start();
    const source = join(import.meta.dirname, "hold-everything.c");
    execFileSync("gcc", [
      "-o",
      join(host.folder, "hold"),
      source,
      "-lxenforeignmemory",
      "-lxenevtchn",
      "-lxengnttab",
    ]);
  }, 60_000);

  afterAll(() => host.stop());

  test("while it maps, binds and unmaps as fast as it can", async () => {
    await host.ok("xl", "create", host.config("web", "pvh", ["memory = 32"]));
    const domid = await host.domid("web");
    await host.up(domid);
    const ports = dom0Ports();
    // Many small batches; one of all its memory, which takes a while; a child with what it inherited.
    for (const [ms, ...words] of [
      [60, "64"],
      [90, "64"],
      [150, "64"],
      [100, "4096"],
      [140, "4096"],
      [180, "4096"],
      [100, "64", "fork"],
      [160, "4096", "fork"],
    ] as const) {
      await killedAfter(ms, [join(host.folder, "hold"), String(domid), ...words]);
      // xl's monitor was killed with it; the domain is nobody's affair.
      await until("nothing is mapped", nobodyMaps);
      await until("its ports are closed", () => dom0Ports() === ports);
      expect(host.ledgerProblems()).toEqual([]);
    }
    await host.ok("xl", "destroy", "web");
    await host.gone(domid);
  }, 60_000);

  test("xl, in the middle of creating, saving and restoring", async () => {
    const config = host.config("half", "pv", ["memory = 32"]);
    const before = freePages();
    for (const ms of [80, 130, 180, 230, 300]) {
      await killedAfter(ms, ["xl", "create", "-p", config]);
      await until("nothing is mapped", nobodyMaps);
      expect(host.ledgerProblems()).toEqual([]);
      for (const row of (await host.rows()).slice(1)) await host.ok("xl", "destroy", row.split(" ")[1] ?? "");
      await until("its memory is free", () => freePages() === before);
    }
    await host.ok("xl", "create", config);
    const domid = await host.domid("half");
    await host.up(domid);
    await killedAfter(400, ["xl", "save", "half", join(host.folder, "half.save")]);
    await until("nothing is mapped", nobodyMaps);
    expect(host.ledgerProblems()).toEqual([]);
    if (domainById(host.live.world, domid) !== undefined) await host.ok("xl", "destroy", String(domid));
    await until("its memory is free again", () => freePages() === before);
    expect(host.warnings).toEqual([]);
  }, 60_000);
});
