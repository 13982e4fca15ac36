// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import { cellTypes, must } from "../engine/cells.ts";
import { isFailure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { spawnThread } from "../engine/thread.ts";
import { checkLedger } from "./check-ledger.ts";
import { domainById, domainPagesCell, ShutdownCode } from "./domain.ts";
import * as domctl from "./domctl.ts";
import { flagString, stateString } from "./dominfo.ts";
import * as evtchn from "./event-channel-op.ts";
import { heapCell } from "./heap.ts";
import { machineCell } from "./machine.ts";
import { populatePhysmap, mapForeign, unmapForeign } from "./memory-op.ts";
import {
  dmopRemoteShutdown,
  remoteShutdown,
  schedopShutdown,
  schedopWatchdog,
  vcpuopDown,
} from "./sched-op.ts";
import {
  domainCrash,
  endShutdownDeferral,
  hltWithInterruptsOff,
  startShutdownDeferral,
  tripleFault,
} from "./shutdown.ts";
import { getdomaininfolist } from "./sysctl.ts";
import { TestHost, xl } from "./testing.ts";
import { consumeEvent, evtchnPort } from "./port.ts";
import { changeVcpu, VPF_down } from "./vcpu.ts";

function flagsOf(t: TestHost, domid: number): string {
  const infos = getdomaininfolist(t.world, xl, { firstDomain: domid, maxDomains: 1 });
  if (isFailure(infos)) throw new Error(infos.errno);
  return infos[0]?.domid === domid ? flagString(infos[0].flags) : "gone";
}

function stateOf(t: TestHost, domid: number): string {
  const infos = getdomaininfolist(t.world, xl, { firstDomain: domid, maxDomains: 1 });
  return isFailure(infos) || infos[0] === undefined ? "gone" : stateString(infos[0].flags);
}

const HVM = { flags: 1, emulationFlags: 1 };

function populate(t: TestHost, domid: number, pages: number): void {
  const result = t.act((host) =>
    populatePhysmap(host, xl, {
      domid,
      gpfns: Array.from({ length: pages / 512 }, (_, i) => i * 512),
      order: 9,
    }),
  );
  expect(result).toMatchObject({ done: pages / 512 });
}

function start(t: TestHost, domid: number): void {
  t.act((host) => {
    changeVcpu(host, domid, 0, (v) => void (v.pauseFlags &= ~VPF_down));
    domctl.unpausedomain(host, xl, domid);
  });
}

test("a domain is created, runs, powers off, is destroyed and freed", () => {
  const t = new TestHost();
  const free = must(t.world, heapCell, 0).freePages;
  const domid = t.makeDomain(24832);
  expect(flagsOf(t, domid)).toBe("--p---");
  populate(t, domid, 24576);
  start(t, domid);
  expect(flagsOf(t, domid)).toBe("r-----");
  t.act((host) => schedopShutdown(host, { domid, process: "kernel" }, { reason: ShutdownCode.poweroff }));
  expect(flagsOf(t, domid)).toBe("---s--");
  t.act((host) => domctl.pausedomain(host, xl, domid));
  expect(flagsOf(t, domid)).toBe("--ps--");
  t.destroy(domid);
  t.settle();
  expect(flagsOf(t, domid)).toBe("gone");
  expect(t.statesOf(domid)).toEqual(["created", "shutdown 0", "dying", "dead", "removed", "freed"]);
  expect(t.virqs()).toEqual([`d${domid} is shut down`, `d${domid} is dead`, `d${domid} is gone`]);
  expect(must(t.world, heapCell, 0).freePages).toBe(free);
});

test("nothing of a freed domain is left but how often its domid was used", () => {
  const t = new TestHost();
  const before = cellCounts(t);
  const domid = t.makeDomain();
  populate(t, domid, 1024);
  t.destroy(domid);
  t.settle();
  const after = cellCounts(t);
  expect(after.filter((line) => !before.includes(line))).toEqual(["domid-incarnation 2"]);
});

function cellCounts(t: TestHost): string[] {
  return cellTypes().map((type) => `${type.name} ${t.world.count(type)}`);
}

test("each slice of a kill is bounded, and others may act between them", () => {
  const t = new TestHost({ preemptPages: 1024 });
  const domid = t.makeDomain(8192);
  populate(t, domid, 8192);
  t.destroy(domid);
  const totals: number[] = [];
  for (let last = 8192; domainById(t.world, domid) !== undefined && t.world.runnable.length > 0;) {
    const [thread] = t.world.runnable;
    t.world.perform({ thread: thread as string, choice: 0 });
    const now = t.world.get(domainPagesCell, domid)?.totPages ?? 0;
    expect(last - now).toBeLessThanOrEqual(1024);
    if (domainById(t.world, domid) !== undefined) expect(checkLedger(t.world, domid)).toEqual([]);
    totals.push((last = now));
  }
  expect(totals.length).toBeGreaterThanOrEqual(8);
});

test("a mapped page keeps a dead domain until it is unmapped", () => {
  const t = new TestHost();
  const domid = t.makeDomain();
  populate(t, domid, 1024);
  const qemu = { domid: 0, process: "qemu" };
  const mfn = must(t.world, domainPagesCell, domid).sharedInfo;
  const mapped = t.act((host) => mapForeign(host, qemu, { domid, gfn: mfn }));
  expect(mapped).toEqual({ mfn });
  t.destroy(domid);
  t.settle();
  expect(flagsOf(t, domid)).toBe("--p--d");
  expect(must(t.world, domainPagesCell, domid)).toMatchObject({ totPages: 0, xenheapPages: 1 });
  expect(checkLedger(t.world, domid)).toEqual([]);
  expect(t.act((host) => unmapForeign(host, { domid: 0, process: "other" }, { mfn }))).toEqual({
    errno: "EINVAL",
  });
  t.act((host) => unmapForeign(host, qemu, { mfn }));
  expect(flagsOf(t, domid)).toBe("gone");
  t.settle();
  expect(t.virqs().at(-1)).toBe(`d${domid} is gone`);
});

test.each([
  [
    "SCHEDOP_shutdown reboot",
    "---sr-",
    (host, domid) => schedopShutdown(host, { domid, process: "kernel" }, { reason: ShutdownCode.reboot }),
  ],
  [
    "SCHEDOP_shutdown suspend",
    "---ss-",
    (host, domid) => schedopShutdown(host, { domid, process: "kernel" }, { reason: ShutdownCode.suspend }),
  ],
  [
    "SCHEDOP_shutdown watchdog",
    "---sw-",
    (host, domid) => schedopShutdown(host, { domid, process: "kernel" }, { reason: ShutdownCode.watchdog }),
  ],
  [
    "SCHEDOP_shutdown soft_reset",
    "---sS-",
    (host, domid) => schedopShutdown(host, { domid, process: "kernel" }, { reason: ShutdownCode.soft_reset }),
  ],
  ["HLT with interrupts off", "---s--", (host, domid) => hltWithInterruptsOff(host, domid, 0)],
  ["triple fault", "---sr-", (host, domid) => tripleFault(host, domid)],
  [
    "VCPUOP_down of the last vCPU",
    "---s--",
    (host, domid) => vcpuopDown(host, { domid, process: "kernel" }, { vcpu: 0 }),
  ],
  [
    "remote shutdown by the device model",
    "---sr-",
    (host, domid) => dmopRemoteShutdown(host, xl, { domid, reason: ShutdownCode.reboot }),
  ],
  [
    "remote shutdown by the toolstack",
    "---s--",
    (host, domid) => remoteShutdown(host, xl, { domid, reason: ShutdownCode.poweroff }),
  ],
  ["domain_crash", "---sc-", (host, domid) => domainCrash(host, domid, 0)],
] satisfies [string, string, (host: Host, domid: number) => unknown][])(
  "%s ends in %s",
  (_how, state, shutDown) => {
    const t = new TestHost();
    const domid = t.makeDomain(1024, { flags: 1, emulationFlags: 1 });
    start(t, domid);
    t.act((host) => shutDown(host, domid));
    expect(stateOf(t, domid).replace(/^[rb]+/, (busy) => "-".repeat(busy.length))).toBe(state);
    expect(t.virqs()).toEqual([`d${domid} is shut down`]);
    // Who asks first gives the reason.
    t.act((host) => domainCrash(host, domid, 0));
    expect(t.virqs()).toHaveLength(1);
    t.act((host) => domctl.resumedomain(host, xl, domid));
    expect(flagsOf(t, domid).slice(2)).toBe("----");
  },
);

test("a vCPU that waits for its device model holds a shutdown up, but not a crash", () => {
  const t = new TestHost();
  for (const reason of [ShutdownCode.poweroff, ShutdownCode.crash]) {
    const domid = t.makeDomain();
    start(t, domid);
    expect(t.act((host) => startShutdownDeferral(host, domid, 0))).toBe(true);
    t.act((host) => schedopShutdown(host, { domid, process: "kernel" }, { reason }));
    expect(flagsOf(t, domid)).toBe(reason === ShutdownCode.crash ? "---sc-" : "r-----");
    t.act((host) => endShutdownDeferral(host, domid, 0));
    expect(flagsOf(t, domid)[3]).toBe("s");
  }
});

test("a watchdog shuts its domain down unless it is fed", () => {
  const t = new TestHost();
  const domid = t.makeDomain();
  const kernel = { domid, process: "kernel" };
  const watchdog = (id: number, timeout: number) =>
    t.act((host) => schedopWatchdog(host, kernel, { id, timeout }));
  start(t, domid);
  expect([watchdog(0, 10), watchdog(0, 20), watchdog(0, 30)]).toEqual([1, 2, { errno: "ENOSPC" }]);
  t.world.perform({ clock: 9_000_000 });
  expect([watchdog(1, 10), watchdog(2, 0), watchdog(2, 5), watchdog(3, 5)]).toEqual([
    0,
    0,
    { errno: "EINVAL" },
    { errno: "EINVAL" },
  ]);
  expect(t.world.nextTimer()?.deadline).toBe(19_000_000);
  t.world.perform({ timer: `xen/watchdog/${domid}/1` });
  t.settle();
  expect(stateOf(t, domid)).toBe("---sw-");
});

test("a domain that was shut down for its suspend signals a port in place of the VIRQ, and runs on", () => {
  const t = new TestHost();
  const domid = t.makeDomain();
  start(t, domid);
  const kernel = { domid, process: "kernel" };
  const port = t.act((host) => {
    const made = evtchn.allocUnbound(host, kernel, { domid: 0x7ff0, remoteDomid: 0 });
    if (isFailure(made)) throw new Error(made.errno);
    const bound = evtchn.bindInterdomain(host, xl, { remoteDomid: domid, remotePort: made.port });
    if (isFailure(bound)) throw new Error(bound.errno);
    consumeEvent(host, 0, bound.port);
    domctl.subscribe(host, xl, { domid, port: made.port });
    schedopShutdown(host, kernel, { reason: ShutdownCode.suspend });
    return bound.port;
  });
  expect(t.virqs()).toEqual([]);
  expect(t.act((host) => consumeEvent(host, 0, port))).toBe(true);
  t.act((host) => domctl.resumedomain(host, xl, domid));
  expect(flagsOf(t, domid)).toBe("r-----");
  t.act((host) => schedopShutdown(host, kernel, { reason: ShutdownCode.reboot }));
  expect(t.virqs()).toEqual([`d${domid} is shut down`]);
});

test("a soft reset closes the domain's ports and lets it run on; a PV domain crashes", () => {
  const t = new TestHost();
  for (const [config, state] of [
    [HVM, "r-----"],
    [{}, "---sS-"],
  ] as const) {
    const domid = t.makeDomain(1024, config);
    start(t, domid);
    t.act((host) => {
      for (let i = 0; i < 100; i++) evtchn.allocUnbound(host, xl, { domid, remoteDomid: 0 });
      schedopShutdown(host, { domid, process: "kernel" }, { reason: ShutdownCode.soft_reset });
      domctl.pausedomain(host, xl, domid);
      spawnThread(host, `dom0/reset${domid}`, domctl.softReset, { caller: xl, domid });
    });
    t.settle();
    t.act((host) => domctl.unpausedomain(host, xl, domid));
    expect(evtchnPort(t.world, domid, 100)).toBeUndefined();
    expect(stateOf(t, domid)).toBe(state);
  }
});

test("dom0's shutdown is the host's", () => {
  const t = new TestHost();
  t.act((host) => schedopShutdown(host, { domid: 0, process: "kernel" }, { reason: ShutdownCode.reboot }));
  expect(must(t.world, machineCell, 0).halted).toBe(ShutdownCode.reboot);
});

test("pauses nest, do not go below none and are capped", () => {
  const t = new TestHost();
  const domid = t.makeDomain();
  const pause = () => t.act((host) => domctl.pausedomain(host, xl, domid));
  const unpause = () => t.act((host) => domctl.unpausedomain(host, xl, domid));
  expect(unpause()).toBe(0);
  expect(unpause()).toEqual({ errno: "EINVAL" });
  for (let i = 0; i < 255; i++) expect(pause()).toBe(0);
  expect(pause()).toEqual({ errno: "EOVERFLOW" });
  for (let i = 0; i < 255; i++) expect(unpause()).toBe(0);
  expect(unpause()).toEqual({ errno: "EINVAL" });
});

test.each([
  ["no vCPUs", { maxVcpus: 0 }, "EINVAL"],
  ["unknown flags", { flags: 0x100 }, "EINVAL"],
  ["HAP without HVM", { flags: 2 }, "EINVAL"],
  ["emulated devices in a PV domain", { emulationFlags: 1 }, "EOPNOTSUPP"],
  ["too many grant frames", { maxGrantFrames: 65 }, "EINVAL"],
  ["grant table version 0", { grantOpts: 0 }, "EINVAL"],
  ["an unknown cpupool", { cpupoolId: 1 }, "ESRCH"],
])("creation fails with %s and leaves nothing behind", (_what, config, errno) => {
  const t = new TestHost();
  const before = cellCounts(t);
  const free = must(t.world, heapCell, 0).freePages;
  expect(t.act((host) => domctl.createdomain(host, xl, config))).toEqual({ errno });
  expect(must(t.world, heapCell, 0).freePages).toBe(free);
  expect(cellCounts(t).filter((line) => !before.includes(line))).toEqual(["domid-incarnation 2"]);
});

test("only a control domain controls", () => {
  const t = new TestHost();
  const domid = t.makeDomain();
  const guest = { domid, process: "kernel" };
  t.act((host) => {
    expect(domctl.createdomain(host, guest, {})).toEqual({ errno: "EPERM" });
    expect(domctl.pausedomain(host, guest, 0)).toEqual({ errno: "EPERM" });
    expect(domctl.pausedomain(host, xl, 0)).toEqual({ errno: "EINVAL" });
    expect(domctl.pausedomain(host, xl, 99)).toEqual({ errno: "ESRCH" });
    expect(getdomaininfolist(host, guest, { firstDomain: 0, maxDomains: 9 })).toEqual({ errno: "EPERM" });
  });
});
