// SPDX-License-Identifier: Apache-2.0
//
// HVM domains by Debian's xl, with Debian's QEMU as their device model: it makes
// its IOREQ server, maps the server's pages and the guest's memory, and answers
// libxl over QMP. No instruction of the guest runs.

import * as fs from "node:fs";
import * as net from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { must } from "../../src/core/engine/cells.ts";
import { findNextBit } from "../../src/core/hypervisor/bitmap.ts";
import { domainById, domainPagesCell } from "../../src/core/hypervisor/domain.ts";
import { heapCell } from "../../src/core/hypervisor/heap.ts";
import { guestCell } from "../../src/core/guest/guest.ts";
import { ownFrame } from "../../src/core/guest/kernel-pages.ts";
import { ioreqServersOf } from "../../src/core/hypervisor/ioreq.ts";
import { mappingCell } from "../../src/core/hypervisor/mapping-cells.ts";
import { evtchnPort, portsInUse } from "../../src/core/hypervisor/port.ts";
import { doctorSays } from "../../src/live/doctor.ts";
import { requires } from "../capabilities.ts";
import { RealHost, until } from "./real-host.ts";

/** A frame that neither the builder nor the kernel touches. */
const KEPT_GFN = 0x800;

let host: RealHost;

/** As little of a machine as QEMU emulates. */
const SMALL = ["memory = 16", "vcpus = 2", 'vga = "none"', "vnc = 0", 'serial = "none"', "vkb_device = 0"];

function hvmConfig(name: string, more: readonly string[] = []): string {
  const file = join(host.folder, `${name}.cfg`);
  fs.writeFileSync(file, [`name = "${name}"`, 'type = "hvm"', ...SMALL, ...more, ""].join("\n"));
  return file;
}

/** Creates a domain: its number and its QEMU's process. */
async function create(name: string, more: readonly string[] = []): Promise<{ domid: number; pid: number }> {
  await host.ok("xl", "create", hvmConfig(name, more));
  const domid = await host.domid(name);
  return { domid, pid: await modelOf(domid) };
}

/** The process of a domain's QEMU. */
async function modelOf(domid: number): Promise<number> {
  return Number(await host.ok("xenstore-read", `/local/domain/${domid}/image/device-model-pid`));
}

/** A domain's row of `xl list`. */
async function row(name: string): Promise<string | undefined> {
  return (await host.rows()).find((line) => line.startsWith(`${name} `));
}

/** Shutdowns that device models asked for, since the list of hypercalls was emptied. */
function shutdowns({ hypercalls }: RealHost): { by: string; dom: number; reason: unknown }[] {
  return hypercalls
    .filter(({ op }) => op === "dm_op remote_shutdown")
    .map(({ caller, dom, args }) => ({ by: caller, dom, reason: args["reason"] }));
}

/** Those that one QEMU asked for. */
function shutdownsBy(pid: number): { dom: number; reason: unknown }[] {
  return shutdowns(host)
    .filter(({ by }) => by === `d0/${nameOf(pid)}`)
    .map(({ dom, reason }) => ({ dom, reason }));
}

const XENOLITH = join(import.meta.dirname, "../../bin/xenolith.js");

/** Ports a domain has. */
function portsOf(domid: number): number {
  const { world } = host.live;
  let count = 0;
  for (let at = findNextBit(world, portsInUse(domid), 0); at >= 0; count++)
    at = findNextBit(world, portsInUse(domid), at + 1);
  return count;
}

const freePages = (): number => must(host.live.world, heapCell, 0).freePages;

/** How QEMU is called in ledgers: by its name, cut off as the kernel does, and its number. */
const nameOf = (pid: number): string => `xen-qemu-system.${pid}`;

/** Pages that a process maps, by the domain they are of. */
function mappedBy(pid: number): number {
  return host.mappedBy((process) => process === nameOf(pid));
}

/** Whether a process runs, or is stopped: not one that has ended and waits for its parent. */
function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(fs.readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

/** Asks QEMU's monitor one thing. */
async function qmp(domid: number, execute: string): Promise<unknown> {
  const socket = net.connect(join(host.where.dir, "run-xen", `qmp-libxenstat-${domid}`));
  const lines: { return?: unknown }[] = [];
  let rest = "";
  socket.on("data", (data: Buffer) => {
    const whole = (rest + data.toString()).split("\n");
    rest = whole.pop() ?? "";
    for (const line of whole) lines.push(JSON.parse(line));
  });
  socket.write('{"execute":"qmp_capabilities"}\n');
  await until("QMP is ready", () => lines.some((line) => "return" in line));
  lines.length = 0;
  socket.write(`${JSON.stringify({ execute })}\n`);
  await until(`${execute} is answered`, () => lines.some((line) => "return" in line));
  socket.destroy();
  return lines.find((line) => "return" in line)?.return;
}

requires(
  "xen-utils",
  "xenstore-utils",
  "qemu-xen",
  "c-compiler",
)("HVM with Debian's QEMU", () => {
  beforeAll(async () => {
    host = await RealHost.start();
  }, 60_000);

  afterAll(() => host.stop());

  test("xl create starts a QEMU that serves the domain, xl destroy ends both", async () => {
    const before = freePages();
    const { domid, pid } = await create("web");
    const { world } = host.live;
    expect(fs.readFileSync(`/proc/${pid}/cmdline`, "utf8")).toContain(`-xen-domid\0${domid}\0`);
    expect(domainById(world, domid)?.type).toBe("hvm");
    expect((await host.rows())[1]).toMatch(new RegExp(`^web ${domid} 15 [12] [r-][b-]----$`));
    expect(await host.ok("xenstore-read", `/local/domain/0/device-model/${domid}/state`)).toBe("running\n");

    // Its server is on record: two pages of the hypervisor's that it maps, a port
    // for each vCPU and one for buffered requests, all bound by it, and its ranges.
    const servers = [...ioreqServersOf(world, domid)];
    expect(servers.length).toBe(1);
    const [, server] = servers[0]!;
    expect(server).toMatchObject({ emulator: 0, process: nameOf(pid), enabled: true, bufioreqHandling: 2 });
    const ports = [...server.ports, server.bufioreqPort];
    expect(ports.map((port) => evtchnPort(world, domid, port))).toEqual(
      Array.from({ length: 3 }, () => expect.objectContaining({ state: "interdomain", remoteDomid: 0 })),
    );
    for (const mfn of [server.ioreq.mfn, server.bufioreq.mfn]) {
      expect(must(world, mappingCell, `0/${mfn}`).entries).toContainEqual(
        expect.objectContaining({ process: nameOf(pid) }),
      );
    }
    // 0xcf8 is every PC's way to its PCI devices; 00:00.0 is the bridge they are behind.
    expect(server.ranges.port).toContainEqual({ start: 0xcf8n, end: 0xcffn });
    expect(server.ranges.pci[0]?.start).toBe(0n);

    expect(await qmp(domid, "query-status")).toMatchObject({ running: true, status: "running" });

    await host.ok("xl", "pause", "web");
    expect((await host.rows())[1]).toMatch(/-[b-]p---$/);
    await host.ok("xl", "unpause", "web");
    expect((await host.rows())[1]).toMatch(/[r-][b-]----$/);

    await host.ok("xl", "destroy", "web");
    await host.gone(domid);
    await until("QEMU has ended", () => !isAlive(pid));
    await until("it maps nothing", () => mappedBy(pid) === 0);
    expect(await host.rows()).toEqual(["Domain-0 0 1280 2 r-----"]);
    await until("its memory is free", () => freePages() === before);
    expect((await host.run("xenstore-read", `/local/domain/0/device-model/${domid}/state`)).code).not.toBe(0);
    expect(host.ledgerProblems()).toEqual([]);
    expect(host.warnings).toEqual([]);
  }, 60_000);

  test("a QEMU that is stopped keeps the destroyed domain until it goes on", async () => {
    const before = freePages();
    const { domid, pid } = await create("kept");
    await host.up(domid);
    await expect.poll(() => row("kept")).toMatch(/ 2 -b----$/);
    const watch = host.spawn("xenstore-watch", "@releaseDomain");
    let told = "";
    watch.stdout?.on("data", (text: Buffer) => (told += text.toString()));
    const times = (): number => told.split("\n").filter((line) => line === "@releaseDomain").length;
    await until("the watch is set", () => times() === 1);
    process.kill(pid, "SIGSTOP");

    await host.ok("xl", "destroy", "kept");
    expect((await host.rows())[1]).toMatch(new RegExp(`^\\(null\\) ${domid} 0 2 --p--d$`));
    await until("the domain's death is told of", () => times() === 2);

    const [diagnosis] = doctorSays(host.live, String(domid));
    expect(diagnosis).toMatchObject({ stage: "zombie", disagreements: [], missing: [] });
    expect(diagnosis?.holders.map(({ who }) => who)).toEqual([`process ${pid} (xen-qemu-system)`]);
    const frames = (diagnosis?.holders ?? []).flatMap(({ holdings }) => holdings.flatMap((h) => h.frames));
    expect(frames.length).toBe(mappedBy(pid));
    expect(must(host.live.world, domainPagesCell, domid).totPages).toBe(frames.length);
    expect(diagnosis?.next[0]).toBe(`kill -CONT ${pid}`);
    const doctor = await host.run(
      process.execPath,
      XENOLITH,
      "doctor",
      "--dir",
      host.where.dir,
      String(domid),
    );
    expect(doctor.code).toBe(1);
    expect(doctor.out).toContain(`process ${pid} (xen-qemu-system) still holds ${frames.length} pages.`);
    const command = `/usr/libexec/xen-qemu-system-i386 -xen-domid ${domid}`;
    expect(doctor.out).toMatch(new RegExp(`${command} .*; it is stopped, and can neither go on nor end`));
    expect(doctor.out).toContain(`lets go with: kill -CONT ${pid}`);

    // libxl has asked it to end (SIGHUP), which it now can.
    process.kill(pid, "SIGCONT");
    await host.gone(domid);
    await until("QEMU has ended", () => !isAlive(pid));
    expect(await host.rows()).toEqual(["Domain-0 0 1280 2 r-----"]);
    // As with Xen, nobody is told when a zombie finally goes: xenstored forgot it when it died.
    expect(times()).toBe(2);
    watch.kill();
    await until("its memory is free", () => freePages() === before);
    expect(host.ledgerProblems()).toEqual([]);
    expect(host.warnings).toEqual([]);
  }, 60_000);

  test("a QEMU that is killed leaves no mapping, port or page behind", async () => {
    const before = freePages();
    const ports = portsOf(0);
    const { domid, pid } = await create("killed");
    process.kill(pid, "SIGKILL");
    await until("it maps nothing", () => mappedBy(pid) === 0);
    await until("its ports are closed", () => portsOf(0) < ports + 4);
    // The server is the domain's, and waits for a device model.
    const [, server] = [...ioreqServersOf(host.live.world, domid)][0]!;
    for (const port of [...server.ports, server.bufioreqPort])
      expect(evtchnPort(host.live.world, domid, port)?.state).toBe("unbound");
    expect(host.ledgerProblems()).toEqual([]);
    await host.run("xl", "destroy", "killed");
    await host.gone(domid);
    await until("dom0 has the ports it had", () => portsOf(0) === ports);
    await until("its memory is free", () => freePages() === before);
    expect(host.ledgerProblems()).toEqual([]);
    expect(host.warnings).toEqual([]);
  }, 60_000);

  test("a guest with Xen's drivers: firmware finds QEMU's devices, QEMU resets it and switches it off", async () => {
    const { domid, pid } = await create("polite");
    await host.up(domid);
    expect(await row("polite")).toBe(`polite ${domid} 15 2 -b----`);
    // The firmware gave the power management function its ports: QEMU serves them since.
    const [, server] = [...ioreqServersOf(host.live.world, domid)][0]!;
    expect(server.ranges.port).toContainEqual({ start: 0xb000n, end: 0xb005n });

    host.hypercalls = [];
    await host.ok("xl", "reboot", "polite");
    await host.gone(domid);
    expect(shutdownsBy(pid)).toEqual([{ dom: domid, reason: 1 }]);
    await until("QEMU has ended", () => !isAlive(pid));
    await until("it is built anew", () => host.isUp(domid + 1));
    const next = await modelOf(domid + 1);
    expect(await row("polite")).toBe(`polite ${domid + 1} 15 2 -b----`);

    host.hypercalls = [];
    expect(await host.ok("xl", "shutdown", "-w", "polite")).toContain("reason code 0");
    await host.gone(domid + 1);
    expect(shutdownsBy(next)).toEqual([{ dom: domid + 1, reason: 0 }]);
    await until("QEMU has ended", () => !isAlive(next));
    expect(host.ledgerProblems()).toEqual([]);
    expect(host.warnings).toEqual([]);
  }, 60_000);

  test("a guest without them: only the power button ends it, by ACPI and QEMU", async () => {
    const { domid, pid } = await create("plain", ["xen_platform_pci = 0"]);
    await host.up(domid);
    expect(await row("plain")).toBe(`plain ${domid} 15 2 -b----`);
    const refused = await host.run("xl", "shutdown", "-w", "plain");
    expect(refused.code).not.toBe(0);
    expect(refused.out).toContain("PV control interface not available");
    host.hypercalls = [];
    expect(await host.ok("xl", "shutdown", "-F", "-w", "plain")).toContain("reason code 0");
    expect(host.hypercalls).toContainEqual(
      expect.objectContaining({ op: "domctl sendtrigger", dom: domid, result: 0 }),
    );
    expect(shutdownsBy(pid)).toEqual([{ dom: domid, reason: 0 }]);
    await host.gone(domid);
    expect(host.warnings).toEqual([]);
  }, 60_000);

  test("a disk whose backend is QEMU: the guest reads it by grants that QEMU copies to", async () => {
    const image = join(host.folder, "disk.img");
    fs.writeFileSync(image, Buffer.alloc(1 << 20, "contents of a disk "));
    const disk = `disk = ["format=raw, vdev=xvda, access=rw, backendtype=qdisk, target=${image}"]`;
    const { domid } = await create("disk", [disk]);
    await host.up(domid);
    const backend = `/local/domain/0/backend/qdisk/${domid}/51712`;
    expect(await host.ok("xenstore-read", `${backend}/state`, `${backend}/sectors`)).toBe("4\n2048\n");
    expect(await host.ok("xenstore-read", `/local/domain/${domid}/device/vbd/51712/state`)).toBe("4\n");
    const bytesRead = async (): Promise<number> => {
      const all = (await qmp(domid, "query-blockstats")) as { stats: { rd_bytes: number } }[];
      return Math.max(...all.map(({ stats }) => stats.rd_bytes));
    };
    // The guest's user space reads 16 pages, its kernel as many ahead.
    for (let tries = 0; tries < 50 && (await bytesRead()) < 32 * 4096; tries++)
      await new Promise((resolve) => setTimeout(resolve, 50));
    expect(await bytesRead()).toBeGreaterThanOrEqual(32 * 4096);
    expect(await host.ok("xl", "shutdown", "-w", "disk")).toContain("reason code 0");
    await host.gone(domid);
    expect(host.ledgerProblems()).toEqual([]);
    expect(host.warnings).toEqual([]);
  }, 60_000);

  test("save, restore and migrate: memory, guest and QEMU's devices are as they were", async () => {
    const { domid, pid } = await create("moved");
    await host.up(domid);
    const { world } = host.live;
    const frame = (id: number): number => ownFrame(world, domainById(world, id)!, KEPT_GFN)!;
    world.memory.write(frame(domid), 100, Buffer.from("what it remembers"));
    const upAt = world.get(guestCell, domid)?.upAt;
    const file = join(host.folder, "moved.save");
    expect(await host.ok("xl", "save", "moved", file)).toContain(`Saving domain ${domid}, type x86 HVM`);
    await host.gone(domid);
    await until("QEMU has ended", () => !isAlive(pid));

    expect(await host.ok("xl", "restore", file)).toContain("Restore successful");
    const restored = await host.domid("moved");
    const model = await modelOf(restored);
    expect(fs.readFileSync(`/proc/${model}/cmdline`, "utf8")).toContain("\0-incoming\0");
    expect(Buffer.from(world.memory.read(frame(restored), 100, 17)).toString()).toBe("what it remembers");
    expect(world.get(guestCell, restored)?.upAt).toBe(upAt);
    expect(await qmp(restored, "query-status")).toMatchObject({ running: true });
    // What the firmware of the domain before had set up is in QEMU's state.
    const [, server] = [...ioreqServersOf(world, restored)][0]!;
    expect(server.ranges.port).toContainEqual({ start: 0xb000n, end: 0xb005n });

    const other = await RealHost.start();
    const receive = join(host.folder, "receive");
    const command = `"${process.execPath}" "${XENOLITH}" run --dir "${other.where.dir}" -- xl migrate-receive`;
    fs.writeFileSync(receive, `#!/bin/sh\nexec ${command}\n`, { mode: 0o755 });
    expect(await host.ok("xl", "migrate", "-s", "", "moved", receive)).toContain("Migration successful.");
    await host.gone(restored);
    const there = await other.domid("moved");
    const mfn = ownFrame(other.live.world, domainById(other.live.world, there)!, KEPT_GFN)!;
    expect(Buffer.from(other.live.world.memory.read(mfn, 100, 17)).toString()).toBe("what it remembers");
    expect(other.live.world.get(guestCell, there)?.upAt).toBe(upAt);
    // The QEMU there switches it off: the guest speaks with it as it did with the first.
    expect(await other.ok("xl", "shutdown", "-w", "moved")).toContain("reason code 0");
    expect(shutdowns(other).map(({ dom, reason }) => ({ dom, reason }))).toEqual([{ dom: there, reason: 0 }]);
    await other.gone(there);
    expect([...other.ledgerProblems(), ...other.warnings]).toEqual([]);
    await other.stop();
    expect(host.ledgerProblems()).toEqual([]);
    expect(host.warnings).toEqual([]);
  }, 60_000);
});
