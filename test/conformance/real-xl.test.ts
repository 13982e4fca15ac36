// SPDX-License-Identifier: Apache-2.0
//
// Debian's unmodified xl, its hypercalls decoded into the functions the built-in
// toolstack calls, on a live host with our own xenstored and xenconsoled.

import { HVM_PARAM_CONSOLE_PFN, HVM_PARAM_STORE_PFN } from "../../src/abi/4.17/constants.ts";
import { execFileSync, spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { tinyKernel } from "../../examples/guests/tiny-kernel.ts";
import { must } from "../../src/core/engine/cells.ts";
import type { TraceEvents } from "../../src/core/engine/trace.ts";
import { checkLedger } from "../../src/core/hypervisor/check-ledger.ts";
import { domainById, domainPagesCell, domlist, forEachDomain } from "../../src/core/hypervisor/domain.ts";
import { findNextBit } from "../../src/core/hypervisor/bitmap.ts";
import { guestCell } from "../../src/core/guest/guest.ts";
import { heapCell } from "../../src/core/hypervisor/heap.ts";
import { hvmParam } from "../../src/core/hypervisor/hvm-params.ts";
import { gfnToMfn } from "../../src/core/hypervisor/p2m.ts";
import { directory } from "../../src/live/directory.ts";
import { doctorSays } from "../../src/live/doctor.ts";
import { freePages as forceFree } from "../../src/live/free.ts";
import { LiveHost } from "../../src/live/live-host.ts";
import { memoryFolder } from "../../src/live/guest-memory.ts";
import { libxendev } from "../../src/live/native.ts";
import { startOnHost } from "../../src/live/run.ts";
import { requires } from "../capabilities.ts";
import { Told, waitUntil } from "../live-told.ts";

const folder = fs.mkdtempSync(join(tmpdir(), "xenolith-xl-"));
const where = directory(join(folder, "host"));
const config = join(folder, "tiny.cfg");
/** The frame the tiny kernel is loaded at. */
const KERNEL_GFN = 0x100;

let host: LiveHost;
let hypercalls: TraceEvents["hypercall"][] = [];
const told = new Told();
const { warnings } = told;

interface Result {
  readonly code: number;
  readonly out: string;
}

/** Runs a program on the host, as `xenolith run` does. */
function run(...command: [string, ...string[]]): Promise<Result> {
  const child = start(...command);
  let out = "";
  child.stdout?.on("data", (text: Buffer) => (out += text.toString()));
  child.stderr?.on("data", (text: Buffer) => (out += text.toString()));
  return new Promise((resolve) => child.on("close", (code) => resolve({ code: code ?? -1, out })));
}

function start(...command: [string, ...string[]]): ChildProcess {
  const { dir, bridge, xenstored } = where;
  return startOnHost({ dir, bridge, xenstored, library: libxendev(), command }, "pipe");
}

async function rows(): Promise<string[]> {
  const { out } = await run("xl", "list");
  return out
    .trimEnd()
    .split("\n")
    .slice(1)
    .map((row) => row.replaceAll(/\s+/g, " ").replace(/ [\d.]+$/, ""));
}

function freePages(): number {
  return must(host.world, heapCell, 0).freePages;
}

/** Whether the guest's user space has come up. */
function isUp(domid: number): boolean {
  return typeof host.world.get(guestCell, domid)?.upAt === "number";
}

/** What xl's processes asked of the hypervisor, in order. */
function asked(): string[] {
  return hypercalls.filter(({ caller }) => caller.startsWith("d0/xl.")).map(({ op }) => op);
}

function until(what: string, condition: () => boolean): Promise<void> {
  return waitUntil(what, condition, [told], { timeoutMs: 30_000, everyMs: 20 });
}

requires("xen-utils", "c-compiler")("the real xl", () => {
  beforeAll(async () => {
    fs.writeFileSync(join(folder, "tiny.elf"), tinyKernel());
    fs.writeFileSync(config, `name = "tiny"\ntype = "pvh"\nkernel = "${folder}/tiny.elf"\nmemory = 32\n`);
    host = await LiveHost.start({
      where,
      config: {},
      trace: join(folder, "trace.jsonl"),
      code: "test",
      ...told.options,
    });
    told.listen(host);
    await host.serve((_request, asker) => asker.say({ exit: 0 }));
    host.recorder.listenTo("hypercall", (data) => hypercalls.push(data));
    libxendev();
  }, 60_000);

  afterAll(async () => {
    await host.stop();
    fs.rmSync(folder, { recursive: true });
  });

  test("info tells of this host", async () => {
    const { code, out } = await run("xl", "info");
    const fields = new Map([...out.matchAll(/^(\w+) *: ?(.*)$/gm)].map(([, field, value]) => [field, value]));
    expect(code).toBe(0);
    expect(fields.get("xen_version")).toBe("4.17.7");
    expect(fields.get("total_memory")).toBe("3071");
    expect(fields.get("free_memory")).toBe(String(Math.floor(freePages() / 256)));
    expect(fields.get("nr_cpus")).toBe("2");
    expect(fields.get("xen_scheduler")).toBe("credit2");
    expect(fields.get("hw_caps")).toBe(
      "1fcbf3ff:c2d8220b:ec500800:00000077:00000000:01884389:0000020c:00000000",
    );
  });

  test("create -p builds a PVH domain, unpause runs it, destroy leaves nothing", async () => {
    const before = freePages();
    expect(await rows()).toEqual(["Domain-0 0 1280 2 r-----"]);
    hypercalls = [];

    expect(await run("xl", "create", "-p", config)).toEqual({
      code: 0,
      out: `Parsing config from ${config}\n`,
    });
    const domid = findNextBit(host.world, domlist, 1);
    expect(await rows()).toEqual(["Domain-0 0 1280 2 r-----", `tiny ${domid} 32 1 --p---`]);
    const d = domainById(host.world, domid);
    expect(d).toMatchObject({ type: "pvh", controllerPauseCount: 1, maxVcpus: 1 });
    const kernel = host.world.memory.read(gfnToMfn(host.world, d!, KERNEL_GFN), 0, tinyKernel().length);
    expect(Buffer.from(kernel).equals(tinyKernel())).toBe(true);
    for (const param of [HVM_PARAM_STORE_PFN, HVM_PARAM_CONSOLE_PFN]) {
      expect(gfnToMfn(host.world, d!, Number(hvmParam(host.world, domid, param)))).toBeGreaterThan(0);
    }
    const ops = asked();
    const order = [
      "domctl createdomain",
      "domctl max_vcpus",
      "domctl max_mem",
      "evtchn_op alloc_unbound",
      "domctl set_cpu_policy",
      "memory_op populate_physmap",
      "domctl sethvmcontext",
      "domctl scheduler_op",
    ];
    const places = order.map((op) => ops.indexOf(op));
    expect(places).not.toContain(-1);
    expect(places).toEqual(places.toSorted((a, b) => a - b));
    expect(hypercalls.filter(({ result }) => typeof result === "string")).toEqual([]);
    const tty = await run("xenstore-read", `/local/domain/${domid}/console/tty`);
    expect(tty.out).toMatch(/^\/dev\/pts\/\d+\n$/);
    expect(checkLedger(host.world, domid)).toEqual([]);

    expect(await run("xl", "unpause", "tiny")).toEqual({ code: 0, out: "" });
    await until("its kernel is up", () => isUp(domid));
    expect((await rows())[1]).toMatch(new RegExp(`^tiny ${domid} 32 1 [r-][b-]----$`));
    const asksFor = await run("xenstore-read", `/local/domain/${domid}/control/feature-poweroff`);
    expect(asksFor.out).toBe("1\n");

    expect(await run("xl", "destroy", "tiny")).toEqual({ code: 0, out: "" });
    expect(await rows()).toEqual(["Domain-0 0 1280 2 r-----"]);
    expect(asked()).toContain("domctl destroydomain");
    await until("all memory is free again", () => freePages() === before);
    expect((await run("xenstore-ls", `/local/domain/${domid}`)).code).not.toBe(0);
  }, 60_000);

  test("create builds a PV domain: its page tables are pinned, its kernel finds its start info", async () => {
    const pv = join(folder, "pv.cfg");
    fs.writeFileSync(
      pv,
      fs.readFileSync(config, "utf8").replace('"pvh"', '"pv"').concat('extra = "mode=tick"\n'),
    );
    expect((await run("xl", "create", pv)).code).toBe(0);
    const domid = findNextBit(host.world, domlist, 1);
    expect(asked()).toContain("mmuext_op pin_l4_table");
    expect(domainById(host.world, domid)).toMatchObject({ type: "pv" });
    await until("its kernel is up", () => isUp(domid));
    expect(host.world.get(guestCell, domid)?.options.mode).toBe("tick");
    expect(checkLedger(host.world, domid)).toEqual([]);
    expect((await run("xl", "destroy", "tiny")).code).toBe(0);
    await until("it is gone", () => domainById(host.world, domid) === undefined);
  }, 60_000);

  test("shutdown -w waits for the guest, and xl's monitor destroys what it leaves", async () => {
    fs.appendFileSync(config, 'extra = "mode=idle"\n');
    expect((await run("xl", "create", config)).code).toBe(0);
    const domid = findNextBit(host.world, domlist, 1);
    expect(host.world.get(guestCell, domid)?.commandLine).toContain("mode=idle");
    await until("its kernel is up", () => isUp(domid));
    const { code, out } = await run("xl", "shutdown", "-w", "tiny");
    expect(out).toContain(`Domain ${domid} has been shut down, reason code 0`);
    expect(code).toBe(0);
    await until("the monitor destroys it", () => domainById(host.world, domid) === undefined);
    const log = fs.readFileSync(join(where.dir, "log-xen/xl-tiny.log"), "utf8");
    expect(log).toContain("Action for shutdown reason code 0 is destroy");
  }, 60_000);

  test("reboot: the monitor builds the domain anew under the next domid", async () => {
    expect((await run("xl", "create", config)).code).toBe(0);
    const domid = findNextBit(host.world, domlist, 1);
    await until("its kernel is up", () => isUp(domid));
    expect((await run("xl", "reboot", "tiny")).code).toBe(0);
    await until("it runs again", () => isUp(domid + 1));
    expect(domainById(host.world, domid)).toBeUndefined();
    expect((await rows())[1]).toMatch(new RegExp(`^tiny ${domid + 1} 32 1 `));
    expect((await run("xl", "destroy", "tiny")).code).toBe(0);
    await until("it is gone", () => domainById(host.world, domid + 1) === undefined);
  }, 60_000);

  test("a hypercall nobody knows is ENOSYS, and one line in the log", async () => {
    for (let time = 0; time < 2; time++) {
      const { out } = await run("/usr/lib/xen-4.17/bin/xenperf");
      expect(out).toBe("Error getting number of perf counters: 38 (Function not implemented)\n");
    }
    const said = warnings.filter((line) =>
      /xenperf\.\d+ asked for sysctl perfc_op \(5\), which this host does not know/.test(line),
    );
    expect(said).toHaveLength(1);
  }, 60_000);

  test("the command's exit code is the program's own", async () => {
    const bin = join(import.meta.dirname, "../../bin/xenolith.js");
    const exitCode = (...command: string[]): Promise<number | null> => {
      const child = spawn(process.execPath, [bin, "run", "--dir", where.dir, "--", ...command], {
        stdio: "ignore",
      });
      return new Promise((resolve) => child.on("close", resolve));
    };
    expect(await exitCode("sh", "-c", "exit 7")).toBe(7);
    expect(await exitCode("sh", "-c", "kill -TERM $$")).toBe(143);
    expect(await exitCode("/nonexistent")).toBe(127);
  }, 60_000);

  requires("libxen-dev", "xenstore-utils")("with a program that maps its memory", () => {
    const holder = join(folder, "holder");
    beforeAll(() => {
      const source = join(import.meta.dirname, "holder.c");
      execFileSync("gcc", ["-o", holder, source, "-lxenforeignmemory", "-lxengnttab"]);
    });

    /** What of the domain's the program maps: a frame its builder filled, the grant of its xenstore ring. */
    const held = [
      { kind: "foreign map", words: [`0x${KERNEL_GFN.toString(16)}`], shows: /^7f454c46\n$/ },
      { kind: "grant map", words: ["grant", "1"], shows: /^[0-9a-f]{8}\n$/ },
    ] as const;
    for (const { kind, words, shows } of held) {
      test(`${kind}: destroy leaves a zombie until the program is killed`, async () => {
        expect((await run("xl", "create", config)).code).toBe(0);
        const domid = findNextBit(host.world, domlist, 1);
        await until("its kernel is up", () => isUp(domid));
        const d = domainById(host.world, domid)!;
        const storeGfn = Number(hvmParam(host.world, domid, HVM_PARAM_STORE_PFN));
        const mfn = gfnToMfn(host.world, d, kind === "foreign map" ? KERNEL_GFN : storeGfn);
        const child = start(holder, String(domid), ...words);
        const first = await new Promise<string>((resolve) =>
          child.stdout?.once("data", (text: Buffer) => resolve(text.toString())),
        );
        expect(first).toMatch(shows);
        expect([...host.world.memory.read(mfn, 4095, 1)]).toEqual([0x5a]);
        const watch = start("xenstore-watch", "@releaseDomain");
        let released = 0;
        watch.stdout?.on("data", (text: Buffer) => (released += text.toString().split("\n").length - 1));
        await until("its watch's first event", () => released === 1);

        expect((await run("xl", "destroy", "tiny")).code).toBe(0);
        await until("the domain is said to be dead", () => released === 2);
        expect((await rows())[1]).toMatch(new RegExp(`^\\(null\\) ${domid} 0 1 -[b-]p--d$`));
        expect(must(host.world, domainPagesCell, domid).totPages).toBe(1);
        const [diagnosis] = doctorSays(host, String(domid));
        expect(diagnosis).toMatchObject({ stage: "zombie", disagreements: [], missing: [] });
        expect(diagnosis?.holders).toMatchObject([
          { who: `process ${child.pid} (holder)`, holdings: [{ kind, frames: [mfn] }] },
        ]);
        expect(diagnosis?.next[0]).toBe(`kill ${child.pid}`);
        expect(forceFree(host, domid, mfn)).toMatchObject({
          pages: [{ mfn, freed: false, why: expect.stringContaining(`in use by d0/holder.${child.pid}`) }],
        });
        child.kill("SIGTERM");
        await until("the domain is freed", () => domainById(host.world, domid) === undefined);
        expect(await rows()).toEqual(["Domain-0 0 1280 2 r-----"]);
        // xenstored forgot the domain when it died: that it is gone now is no event.
        expect(released).toBe(2);
        watch.kill();
      }, 60_000);
    }
  });

  test("10,000 random ioctls are an errno each, and touch no other domain", async () => {
    const garbage = join(folder, "garbage");
    execFileSync("gcc", ["-w", "-o", garbage, join(import.meta.dirname, "garbage.c")]);
    expect((await run("xl", "create", "-p", config)).code).toBe(0);
    const domid = findNextBit(host.world, domlist, 1);
    const { totPages } = must(host.world, domainPagesCell, domid);
    const { code, out } = await run(garbage, "7", "10000", String(domid));
    expect(code).toBe(0);
    for (const errno of ["ok", "EINVAL", "ESRCH", "EFAULT", "ENOSYS"]) expect(out).toContain(`${errno} `);
    expect(must(host.world, domainPagesCell, domid).totPages).toBe(totPages);
    for (const { domid: any } of forEachDomain(host.world)) expect(checkLedger(host.world, any)).toEqual([]);
    expect(warnings.filter((line) => /CRASHED|our fault/.test(line))).toEqual([]);
    expect((await run("xl", "destroy", String(domid))).code).toBe(0);
  }, 60_000);

  test("the host met nothing it could not bear, leaves a trace that can be read, and no memory behind", async () => {
    expect(warnings.filter((line) => line.startsWith("CRASHED"))).toEqual([]);
    host.recorder.flush();
    const lines = fs.readFileSync(join(folder, "trace.jsonl"), "utf8").trimEnd().split("\n");
    expect(lines.length).toBeGreaterThan(100);
    for (const line of lines) JSON.parse(line);
    await host.stop();
    expect(fs.existsSync(memoryFolder(where.dir))).toBe(false);
  });
});
