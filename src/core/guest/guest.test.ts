// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import { must } from "../engine/cells.ts";
import { checkHash } from "../engine/save.ts";
import { random, run } from "../engine/scheduler.ts";
import { hasEnded, spawnThread, threadCell } from "../engine/thread.ts";
import { domainCell, domainPagesCell } from "../hypervisor/domain.ts";
import * as domctl from "../hypervisor/domctl.ts";
import { domainVcpu, VPF_blocked, VPF_down } from "../hypervisor/vcpu.ts";
import { TestHost, TOOLSTACK } from "./testing.ts";

/** A guest that is up, on a host of its own. */
function up(
  commandLine: string,
  options: { vcpus?: number; seed?: number } = {},
): { host: TestHost; domid: number; home: string } {
  const { seed, ...rest } = options;
  const host = seed === undefined ? new TestHost() : new TestHost({ seed, scheduler: random });
  const domid = host.build(`console=hvc0 loglevel=4 ${commandLine}`, rest);
  host.unpause(domid);
  host.untilPrinted(domid, "GUEST: up");
  return { host, domid, home: `/local/domain/${domid}` };
}

/** Runs until the domain has shut down; its reason's code. */
function shutdownCode(host: TestHost, domid: number): number {
  host.until((world) => must(world, domainCell, domid).shutdown === "complete", `d${domid} shuts down`);
  return must(host.world, domainCell, domid).shutdownCode;
}

/** Destroys a domain as a toolstack's child does, and runs until it is gone. */
function destroy(host: TestHost, domid: number): void {
  host.act((h) => {
    domctl.pausedomain(h, TOOLSTACK, domid);
    spawnThread(h, "test/destroy", domctl.destroydomain, { caller: TOOLSTACK, domid });
  });
  host.until((world) => world.get(domainCell, domid) === undefined, `d${domid} is gone`);
  host.settle();
}

describe("a guest's kernel", () => {
  test("talks to xenstore as in the recordings: watches, features, buses, vCPUs", () => {
    const { host, domid } = up("mode=idle");
    expect(host.console(domid)).toBe("GUEST: up mode=idle delay=3 uptime=0.50\r\n");
    // Writes, watches and transactions in the order of scenario b.
    const wire = host.wire(`dom${domid} kernel`).filter((line) => /^in (WATCH|WRITE|TRANSACTION)/.test(line));
    expect(wire.map((line) => line.slice(3))).toEqual([
      "WATCH memory/target target_watch",
      "WATCH control/shutdown shutdown_watch",
      "WATCH control/sysrq sysrq_watch",
      "WRITE control/feature-poweroff 1",
      "TRANSACTION_START",
      "WRITE control/feature-reboot 1",
      "WRITE control/feature-suspend 1",
      "TRANSACTION_END F",
      "TRANSACTION_START",
      "WATCH backend be_watch",
      "TRANSACTION_END F",
      "WATCH device fe_watch",
      "WATCH cpu cpu_watch",
    ]);
  });

  test.each([
    ["poweroff", 0, "reboot: System halted"],
    ["reboot", 1, "reboot: Restarting system"],
  ])("acknowledges control/shutdown=%s in a transaction of its own, then goes", (request, code, words) => {
    const { host, domid, home } = up("mode=idle");
    host.records.length = 0;
    host.write(`${home}/control/shutdown`, request);
    expect(shutdownCode(host, domid)).toBe(code);
    expect(host.read(`${home}/control/shutdown`)).toBe("");
    // Its own write comes back as an event; whether it still reads that is a race with its end.
    expect(host.wire(`dom${domid} kernel`).slice(0, 6)).toEqual([
      "out WATCH_EVENT control/shutdown shutdown_watch",
      "in TRANSACTION_START",
      "in READ control/shutdown",
      "in WRITE control/shutdown",
      "in TRANSACTION_END T",
      "out WATCH_EVENT control/shutdown shutdown_watch",
    ]);
    expect(host.console(domid)).toContain(words);
  });

  test("leaves alone a request it does not know", () => {
    const { host, domid, home } = up("mode=idle");
    host.write(`${home}/control/shutdown`, "dance");
    host.pass(10);
    expect(host.read(`${home}/control/shutdown`)).toBe("dance");
    expect(must(host.world, domainCell, domid).shutdown).toBe("none");
  });

  test("ignores control requests in mode=ignore, and says so by advertising nothing", () => {
    const { host, domid, home } = up("mode=ignore");
    host.write(`${home}/control/shutdown`, "poweroff");
    host.pass(100);
    expect(host.read(`${home}/control/shutdown`)).toBe("poweroff");
    expect(host.read(`${home}/control/feature-poweroff`)).toBe("");
    expect(must(host.world, domainCell, domid).shutdown).toBe("none");
  });

  test.each([
    ["o", 0],
    ["b", 1],
    ["c", 3],
  ])("obeys magic key %s", (key, code) => {
    const { host, domid, home } = up("mode=idle");
    host.write(`${home}/control/sysrq`, key);
    expect(shutdownCode(host, domid)).toBe(code);
    expect(host.read(`${home}/control/sysrq`)).toBe("");
  });

  test("suspends, and goes on in the same domain with its watches in place", () => {
    const { host, domid, home } = up("mode=tick");
    host.write(`${home}/control/shutdown`, "suspend");
    expect(shutdownCode(host, domid)).toBe(2);
    host.records.length = 0;
    host.act((h) => domctl.resumedomain(h, TOOLSTACK, domid));
    host.pass(5);
    expect(host.wire(`dom${domid} kernel`).filter((line) => line.includes("WATCH"))).toEqual([]);
    expect(host.console(domid)).toMatch(/tick/);
    host.write(`${home}/control/shutdown`, "poweroff");
    expect(shutdownCode(host, domid)).toBe(0);
  });

  test("gives pages back and takes them again, as memory/target says", () => {
    const { host, domid, home } = up("mode=idle");
    const pages = (): number => must(host.world, domainPagesCell, domid).totPages;
    expect(pages()).toBe(512);
    host.write(`${home}/memory/target`, "1600");
    host.settle();
    expect(pages()).toBe(400);
    host.write(`${home}/memory/target`, "2048");
    host.settle();
    expect(pages()).toBe(512);
  });

  test("takes vCPUs down and brings them up, as their availability says", () => {
    const { host, domid, home } = up("mode=idle", { vcpus: 2 });
    const isDown = (): boolean => ((domainVcpu(host.world, domid, 1)?.pauseFlags ?? 0) & VPF_down) !== 0;
    expect(isDown()).toBe(false);
    host.write(`${home}/cpu/1/availability`, "offline");
    host.settle();
    expect(isDown()).toBe(true);
    host.write(`${home}/cpu/1/availability`, "online");
    host.settle();
    expect(isDown()).toBe(false);
  });
});

describe("a guest's user space", () => {
  test.each([
    ["poweroff", 0, "GUEST: poweroff -f\r\n[    2.500000] reboot: System halted\r\n"],
    ["halt", 0, "GUEST: halt -f\r\n[    2.500000] reboot: System halted\r\n"],
    ["reboot", 1, "GUEST: reboot -f\r\n[    2.500000] reboot: Restarting system\r\n"],
    ["crash", 3, "GUEST: crash\r\n[    2.500000] Kernel panic - not syncing: sysrq triggered crash\r\n"],
  ])("does %s when its delay is over", (mode, code, words) => {
    const { host, domid } = up(`mode=${mode} delay=2`);
    expect(shutdownCode(host, domid)).toBe(code);
    host.settle();
    expect(host.console(domid).split("\r\n").slice(1).join("\r\n")).toBe(words);
  });

  test("ticks once a second", () => {
    const { host, domid } = up("mode=tick");
    host.pass(2.5);
    expect(host.console(domid).split("\r\n").slice(1, -1)).toEqual([
      "GUEST: tick 0",
      "GUEST: tick 1",
      "GUEST: tick 2",
    ]);
  });

  test("blocks its vCPU when idle and burns it when it spins", () => {
    const blocked = (mode: string): boolean => {
      const { host, domid } = up(`mode=${mode}`);
      host.pass(1);
      return ((domainVcpu(host.world, domid, 0)?.pauseFlags ?? 0) & VPF_blocked) !== 0;
    };
    expect(blocked("idle")).toBe(true);
    expect(blocked("spin")).toBe(false);
  });
});

describe("a guest's domain", () => {
  test("does nothing while it is paused, and what was due then when it goes on", () => {
    const { host, domid } = up("mode=tick");
    host.act((h) => domctl.pausedomain(h, TOOLSTACK, domid));
    const before = host.console(domid);
    host.pass(10);
    expect(host.console(domid)).toBe(before);
    host.unpause(domid);
    host.pass(1.5);
    expect(host.console(domid).length).toBeGreaterThan(before.length);
  });

  test("leaves nothing behind when it is killed: no thread, no cell of its kernel", () => {
    const { host, domid } = up("mode=tick");
    const threads = (): string[] =>
      (host.world.ids(threadCell) as string[]).filter((name) => name.includes(`dom${domid}/`));
    expect(threads()).not.toEqual([]);
    destroy(host, domid);
    expect(threads()).toEqual([]);
    expect(hasEnded(host.world, `xen/dom${domid}/vcpus`)).toBe(true);
    expect(
      [...host.world.entries()]
        .map(({ type, id }) => `${type.name}/${id}`)
        .filter((cell) => cell.includes(`dom${domid}/`)),
    ).toEqual([]);
  });

  test("boots and shuts down under any schedule", () => {
    for (let seed = 1; seed <= 20; seed++) {
      const { host, domid, home } = up("mode=idle", { seed });
      host.write(`${home}/control/shutdown`, "poweroff");
      expect(shutdownCode(host, domid)).toBe(0);
    }
  });

  test("keeps its cells' hashes right", () => {
    const host = new TestHost({ tracking: { undo: true, hash: true } });
    const domid = host.build("mode=idle");
    host.unpause(domid);
    run(host.world, host.scheduler, { until: () => host.console(domid).includes("up") });
    expect(() => checkHash(host.world)).not.toThrow();
  });
});
