// SPDX-License-Identifier: Apache-2.0
//
// The programs beside xl in Debian's xen-utils: what they find on a host, and
// Xen's own tests of its hypervisor.

import * as fs from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { watchdogCell } from "../../src/core/hypervisor/watchdog-timer.ts";
import { xenstoredKinds } from "../../src/live/xenstored-process.ts";
import { requires } from "../capabilities.ts";
import { RealHost, until } from "./real-host.ts";

const BIN = "/usr/lib/xen-4.17/bin";
let host: RealHost;
let domid = 0;

/** What test-xenstore's tests are called; it measures each, and ends with the first that fails. */
const XENSTORE_TESTS = [
  ...["read 1", "read 2000", "write 1", "write 2000", "dir", "rm node", "rm dir"],
  ...["ta empty", "ta empty x", "ta rmw", "ta rmw x", "ta err"],
];

/** The tests that it has passed. */
async function testXenstore(on: RealHost, times = 2000): Promise<string[]> {
  const said = await on.ok(`${BIN}/test-xenstore`, "-i", String(times));
  return [...said.matchAll(/^(.*?) *: avg: \d+ ns/gm)].map(([, name = ""]) => name);
}

/** The process of that name that a program has become when it left its terminal. */
function daemon(name: string): number {
  for (const pid of fs.readdirSync("/proc").filter((entry) => /^\d+$/.test(entry))) {
    try {
      const ours = fs.readFileSync(`/proc/${pid}/environ`, "latin1").includes(host.folder);
      if (ours && fs.readFileSync(`/proc/${pid}/comm`, "latin1").trim() === name) return Number(pid);
    } catch {
      // It has ended meanwhile.
    }
  }
  throw new Error(`no ${name}`);
}

const run = (program: string, ...args: string[]): Promise<string> => host.ok(`${BIN}/${program}`, ...args);

requires(
  "xen-utils",
  "xenstore-utils",
  "c-compiler",
)("programs of xen-utils", () => {
  beforeAll(async () => {
    host = await RealHost.start();
    await host.ok("xl", "create", host.config("web", "pvh", ["memory = 32", 'extra = "mode=idle"']));
    domid = await host.domid("web");
    await host.up(domid);
  }, 60_000);

  afterAll(async () => {
    await host.ok("xl", "destroy", "web");
    expect(host.ledgerProblems()).toEqual([]);
    await host.stop();
  });

  test("xentop -b: a row a domain, with its state and memory", async () => {
    const [header, dom0, web] = (await run("xentop", "-b", "-i", "1")).trimEnd().split("\n");
    expect(header?.trim().split(/\s+/).slice(0, 5)).toEqual([
      "NAME",
      "STATE",
      "CPU(sec)",
      "CPU(%)",
      "MEM(k)",
    ]);
    expect(dom0?.trim().split(/\s+/)).toEqual(expect.arrayContaining(["Domain-0", "-----r", "1310720"]));
    expect(web?.trim().split(/\s+/)).toEqual(expect.arrayContaining(["web", "--b---"]));
  }, 60_000);

  test("lsevtchn: both ends of the domain's rings", async () => {
    const ports = await run("lsevtchn", String(domid));
    expect(ports).toMatch(/^ +1: VCPU 0: Interdomain \(Connected\) - Remote Domain 0, Port \d+$/m);
    expect(ports).toMatch(/^ +3: VCPU 0: Virtual IRQ 0$/m);
    expect(await run("lsevtchn", "0")).toContain(`Remote Domain ${domid}, Port 1`);
  }, 60_000);

  test("xen-diag, xen-cpuid, xen-hvmctx, xenctx: what the hypervisor knows of a domain", async () => {
    expect(await run("xen-diag", "gnttab_query_size", String(domid))).toBe(
      `domid=${domid}: nr_frames=1, max_nr_frames=64\n`,
    );
    expect(await run("xen-cpuid", "-p")).toMatch(/Xen reports there are maximum \d+ leaves and \d+ MSRs/);
    const records = await run("xen-hvmctx", String(domid));
    expect(records).toContain(`HVM save record for domain ${domid}`);
    expect(records).toMatch(/CPU: +rax 0x[0-9a-f]{16} +rbx 0x[0-9a-f]*[1-9a-f][0-9a-f]*/);
    // The instruction its registers point at: hlt, and a jump back to it.
    expect(await run("xenctx", String(domid))).toContain("<f4> eb fd");
  }, 60_000);

  for (const [program, says] of [
    ["test-resource", /Test x86 PV\n.*\n +Test grant table\n[^]*Test x86 PVH\n.*\n +Test grant table\n/],
    ["test-cpu-policy", /Done: all ok/],
    ["test-tsx", /Testing MSR_TSX_CTRL consistency/],
    ["test-paging-mempool", /Test set continuation/],
  ] as const) {
    test(`${program} finds nothing wrong`, async () => {
      const said = await run(program);
      expect(said).toMatch(says);
      expect(said).not.toMatch(/ fail:|errno|Expected /);
      expect(await host.rows()).toHaveLength(2);
    }, 60_000);
  }

  test("python's xc and xs: domains, the machine, a transaction and a watch", async () => {
    const script = [
      "import xen.lowlevel.xc, xen.lowlevel.xs, json",
      "c, s = xen.lowlevel.xc.xc(), xen.lowlevel.xs.xs()",
      "made = c.domain_create()",
      "c.domain_destroy(made)",
      "t = s.transaction_start()",
      "s.write(t, '/tool/python', 'was here')",
      "ended = s.transaction_end(t)",
      "s.watch('/tool/python', 'token')",
      "print(json.dumps([[d['domid'] for d in c.domain_getinfo()], c.physinfo()['nr_cpus'], made, ended,",
      "  s.read('0', '/tool/python').decode(), s.read_watch(), s.ls('0', '/local/domain')]))",
    ].join("\n");
    const path = "PYTHONPATH=/usr/lib/xen-4.17/lib/python";
    const [domids, cpus, made, ended, ...store] = JSON.parse(
      await host.ok("env", path, "python3", "-c", script),
    ) as [number[], number, number, boolean, ...unknown[]];
    expect([domids, cpus, ended]).toEqual([[0, domid], 2, true]);
    expect(made).toBeGreaterThan(domid);
    expect(store).toEqual(["was here", ["/tool/python", "token"], ["0", String(domid)]]);
  }, 60_000);

  test("xenstore-control quota: what a guest holds is what it owns, and limits can be set", async () => {
    const control = (...args: string[]): Promise<string> => host.ok("xenstore-control", ...args);
    const owners = [...(await host.ok("xenstore-ls", "-fp")).matchAll(/ \([nrwb](\d+)[,)]/g)];
    const owned = owners.filter(([, owner]) => Number(owner) === domid).length;
    expect(owned).toBeGreaterThan(0);
    const held = await control("quota", String(domid));
    expect(held).toMatch(new RegExp(`^Domain ${domid}:\nnodes +: +${owned}\nwatches +: +[1-9]`));
    expect(await control("quota")).toMatch(/^Quota settings:\n[^]*^nodes +: +1000 /m);
    await control("quota", "set", "nodes", String(owned));
    expect(await control("quota")).toMatch(new RegExp(`^nodes +: +${owned} `, "m"));
    await control("quota", "set", "nodes", "1000");
    expect((await host.run("xenstore-control", "quota", "set", "nodes", "none")).code).not.toBe(0);
    expect((await host.run("xenstore-control", "quota", "999")).code).not.toBe(0);
  }, 60_000);

  test("test-xenstore: every test of it passes", async () => {
    expect(await testXenstore(host)).toEqual(XENSTORE_TESTS);
  }, 120_000);

  test("xen-init-dom0: what dom0's start scripts write, written again where it is missing", async () => {
    expect(await run("xen-init-dom0")).toContain("Dom0 is already set up");
    for (const node of ["name", "domid"]) await host.ok("xenstore-rm", `/local/domain/0/${node}`);
    await run("xen-init-dom0");
    expect(await host.ok("xenstore-read", "/local/domain/0/name")).toBe("Domain-0\n");
    expect(await host.ok("xenstore-read", "/local/domain/0/domid")).toBe("0\n");
  }, 60_000);

  test("xenpm, xen-livepatch, xencov, xen-ucode: what a machine in a virtual machine has of it", async () => {
    const xenpm = (...args: string[]): Promise<string> => host.ok("xenpm", ...args);
    expect(await xenpm("get-cpu-topology")).toMatch(/^CPU\tcore\tsocket\tnode\nCPU0\t +0\t +0\t +0\n/);
    expect(await xenpm("set-max-cstate", "2", "unlimited")).toBe(
      "max C-state set to C2\nmax C-substate set to unlimited succeeded\n",
    );
    expect(await xenpm("get-cpufreq-states")).toBe("");
    expect(await host.ok("xen-livepatch", "list")).toBe("Nothing to list\n");
    expect((await host.run("xencov", "read")).out).toContain("Operation not supported");
    fs.writeFileSync(`${host.folder}/microcode`, "none");
    expect((await host.run("xen-ucode", `${host.folder}/microcode`)).out).toContain("Invalid argument");
  }, 60_000);

  test("xenwatchdogd: dom0's watchdog, stopped where it is asked to stop", async () => {
    await host.ok("xenwatchdogd", "60", "20");
    const watches = (): boolean => host.live.world.get(watchdogCell, "0/1") !== undefined;
    await until("it watches", watches);
    process.kill(daemon("xenwatchdogd"), "SIGUSR1");
    await until("it watches no more", () => !watches());
    expect(host.live.world.get(watchdogCell, "0/2")).toBeUndefined();
  }, 60_000);

  test("another interface version is refused, as Xen does", async () => {
    // A tool of another release, by its numbers: the first word after the command.
    const script = [
      "import ctypes, fcntl, os, struct",
      "fd = os.open('/dev/xen/privcmd', os.O_RDWR)",
      "op = ctypes.create_string_buffer(struct.pack('<II', 3, 0x14) + bytes(128))",
      "libc = ctypes.CDLL(None, use_errno=True)",
      "call = ctypes.create_string_buffer(struct.pack('<6Q', 35, ctypes.addressof(op), 0, 0, 0, 0))",
      "print(libc.ioctl(fd, ctypes.c_ulong(0x305000), call), ctypes.get_errno())",
    ].join("\n");
    expect(await host.ok("python3", "-c", script)).toBe("-1 13\n");
    expect(fs.existsSync("/dev/xen/privcmd")).toBe(false);
  }, 60_000);
});

requires("xen-utils", "c-compiler")("test-xenstore, on a host", () => {
  for (const xenstored of xenstoredKinds) {
    test(`every test of it passes: ${xenstored}`, async () => {
      const stored = await RealHost.start({ xenstored });
      try {
        expect(await testXenstore(stored, 300)).toEqual(XENSTORE_TESTS);
        expect(stored.warnings).toEqual([]);
      } finally {
        await stored.stop();
      }
    }, 120_000);
  }
});

requires(
  "xen-utils",
  "xenstore-utils",
  "c-compiler",
)("the C xenstored, on a host", () => {
  test("xenstore-control live-update: it becomes another process image, and nobody notices", async () => {
    const stored = await RealHost.start({ xenstored: "c" });
    try {
      await stored.ok("xl", "create", stored.config("web", "pvh", ["memory = 32"]));
      const web = await stored.domid("web");
      await stored.up(web);
      const { pid } = stored.live.store;
      const commandLine = (): string => fs.readFileSync(`/proc/${pid}/cmdline`, "utf8");
      expect(commandLine()).not.toContain("\0-U");
      await stored.ok("xenstore-control", "live-update", `${BIN}/xenstored`);
      await until("it was executed anew", () => commandLine().includes("\0-U"));
      expect((await stored.rows())[1]).toMatch(new RegExp(`^web ${web} 32 1 `));
      // The guest's ring, its watches and xl's own are the new image's now.
      expect(await stored.ok("xl", "shutdown", "-w", "web")).toContain("reason code 0");
      await stored.gone(web);
      expect(stored.warnings).toEqual([]);
    } finally {
      await stored.stop();
    }
  }, 60_000);
});
