// SPDX-License-Identifier: Apache-2.0
//
// Verbs of Debian's xl on one domain: what each says, and what it has done to the
// host behind it.

import { spawn } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { must } from "../../src/core/engine/cells.ts";
import { guestCell } from "../../src/core/guest/guest.ts";
import { balloonCell } from "../../src/core/guest/balloon.ts";
import { acpiButtonCell } from "../../src/core/hypervisor/acpi-button.ts";
import { domainInfoCell, domainPagesCell } from "../../src/core/hypervisor/domain.ts";
import { domainVcpu, VPF_down } from "../../src/core/hypervisor/vcpu.ts";
import { requires } from "../capabilities.ts";
import { RealHost, until } from "./real-host.ts";

let host: RealHost;
let domid = 0;
/** What the domain's kernel has logged. */
let logged = "";

const xl = (...argv: string[]): Promise<string> => host.ok("xl", ...argv);
const store = async (path: string): Promise<string> => (await host.ok("xenstore-read", path)).trimEnd();

/** The lines of a command without its header, in words. */
async function table(...argv: string[]): Promise<string[][]> {
  const rows = (await xl(...argv)).trimEnd().split("\n").slice(1);
  return rows.map((row) => row.trim().split(/\s+/));
}

const isUp = (vcpu: number): boolean =>
  ((domainVcpu(host.live.world, domid, vcpu)?.pauseFlags ?? VPF_down) & VPF_down) === 0;

requires(
  "xen-utils",
  "xenstore-utils",
  "c-compiler",
)("the real xl, on a domain", () => {
  beforeAll(async () => {
    host = await RealHost.start();
    host.live.recorder.listenTo("printk", ({ domid: whose, text }) => {
      if (whose === domid) logged += text;
    });
    const more = ["memory = 64", "vcpus = 2", 'extra = "mode=tick dev=1"'];
    await xl("create", host.config("web", "pvh", more));
    domid = Number(await xl("domid", "web"));
    await host.up(domid);
  }, 60_000);

  afterAll(() => host.stop());

  test("vcpu-list, vcpu-pin, vcpu-set", async () => {
    expect((await table("vcpu-list", "web")).map((row) => row.slice(0, 3))).toEqual([
      ["web", String(domid), "0"],
      ["web", String(domid), "1"],
    ]);
    await xl("vcpu-pin", "web", "1", "0", "0-1");
    expect((await table("vcpu-list", "web"))[1]?.slice(-3)).toEqual(["0", "/", "all"]);
    expect(domainVcpu(host.live.world, domid, 1)?.hardAffinity).toEqual([0]);
    await xl("vcpu-set", "web", "1");
    await until("its second vCPU is down", () => !isUp(1));
    expect((await table("vcpu-list", "web"))[1]).toContain("--p");
    await xl("vcpu-set", "web", "2");
    await until("its second vCPU is up", () => isUp(1));
  }, 60_000);

  test("mem-set and mem-max: the guest's balloon gives pages back", async () => {
    const pages = (): number => must(host.live.world, domainPagesCell, domid).totPages;
    const before = pages();
    await xl("mem-set", "web", "48");
    await until("its balloon is there", () => before - pages() === 16 * 256);
    expect(must(host.live.world, balloonCell, domid).ballooned).toHaveLength(16 * 256);
    expect((await table("list", "web"))[0]).toEqual(expect.arrayContaining(["web", "48"]));
    await xl("mem-max", "web", "80");
    expect(must(host.live.world, domainPagesCell, domid).maxPages).toBeGreaterThanOrEqual(80 * 256);
    expect(await store(`/local/domain/${domid}/memory/static-max`)).toBe(String(80 * 1024));
    await xl("mem-set", "web", "64");
    await until("it has its memory again", () => pages() === before);
  }, 60_000);

  test("claims, cpupool-list, uptime, info: the host as it is", async () => {
    expect((await table("claims")).map((row) => [row[0], row.at(-1)])).toEqual([
      ["Domain-0", "0"],
      ["web", "0"],
    ]);
    expect(await table("cpupool-list")).toEqual([["Pool-0", "2", "credit2", "y", "2"]]);
    const [, uptime] = await table("uptime");
    expect(uptime).toEqual(["web", String(domid), expect.stringMatching(/^0:00:\d\d$/)]);
    expect(await xl("list", "-l", "web")).toContain('"name": "web"');
    const columns = ["-", "-", "Pool-0", "all"];
    const [header, dom0, web] = (await xl("list", "-v", "-Z", "-c", "-n")).split("\n");
    expect(header).toMatch(/UUID +Reason-Code\tSecurity Label +Cpupool NODE Affinity$/);
    expect(dom0?.split(/\s+/).slice(7)).toEqual(columns);
    expect(web?.split(/\s+/).slice(6)).toEqual([expect.stringMatching(/^[0-9a-f-]{36}$/), ...columns]);
  }, 60_000);

  test("sched-credit2: shares reach the domain", async () => {
    await xl("sched-credit2", "-d", "web", "-w", "512", "-c", "50");
    expect(await table("sched-credit2", "-d", "web")).toEqual([["web", String(domid), "512", "50"]]);
    expect(must(host.live.world, domainInfoCell, domid).sched).toEqual({ weight: 512, cap: 50 });
  }, 60_000);

  test("dmesg, debug-keys: the hypervisor's console says what was asked", async () => {
    expect(await xl("dmesg")).toContain("Xen version 4.17.7 (xenolith)");
    await xl("dmesg", "-c");
    await xl("debug-keys", "q");
    const said = await xl("dmesg");
    expect(said).toContain("'q' pressed -> dumping domain info");
    expect(said).toContain(`General information for domain ${domid}:`);
    expect(said).not.toContain("Xen version");
  }, 60_000);

  test("sysrq, trigger nmi: the guest hears of them", async () => {
    await xl("sysrq", "web", "h");
    await until("the key is taken", () => logged.includes("sysrq: HELP"));
    expect(await store(`/local/domain/${domid}/control/sysrq`)).toBe("");
    host.hypercalls = [];
    await xl("trigger", "web", "nmi", "1");
    expect(host.hypercalls).toContainEqual(
      expect.objectContaining({
        op: "domctl sendtrigger",
        dom: domid,
        result: 0,
        args: { trigger: "nmi", vcpu: 1 },
      }),
    );
  }, 60_000);

  test("block-attach, -list, -detach: a disk of the host's, by the host's own script", async () => {
    const image = join(host.folder, "disk.img");
    fs.writeFileSync(image, Buffer.alloc(1 << 20));
    await xl("block-attach", "web", `${image},raw,xvdb,w`);
    const back = `/local/domain/0/backend/vbd/${domid}/51728`;
    await expect.poll(() => store(`/local/domain/${domid}/device/vbd/51728/state`)).toBe("4");
    expect(await store(`${back}/state`)).toBe("4");
    expect(await store(`${back}/hotplug-status`)).toBe("connected");
    expect(await store(`${back}/sectors`)).toBe("2048");
    expect(await store(`${back}/physical-device`)).toMatch(/^7:\d$/);
    expect(await table("block-list", "web")).toEqual([["51728", "0", String(domid), "4", "-1", "-1", back]]);
    await xl("block-detach", "web", "xvdb");
    expect(await table("block-list", "web")).toEqual([]);
    expect((await host.run("xenstore-ls", back)).code).not.toBe(0);
  }, 60_000);

  test("network-attach, -list, -detach: an interface on dom0's bridge", async () => {
    await xl("network-attach", "web", "mac=00:16:3e:00:00:01");
    const back = `/local/domain/0/backend/vif/${domid}/0`;
    expect(await store(`${back}/state`)).toBe("4");
    expect(await store(`${back}/hotplug-status`)).toBe("connected");
    expect((await table("network-list", "web"))[0]?.slice(0, 5)).toEqual([
      "0",
      "0",
      "00:16:3e:00:00:01",
      "0",
      "4",
    ]);
    await xl("network-detach", "web", "0");
    expect(await table("network-list", "web")).toEqual([]);
  }, 60_000);

  test("console: a terminal of the system's, what the domain prints, and Ctrl-] to leave", async () => {
    const tty = await store(`/local/domain/${domid}/console/tty`);
    expect(fs.statSync(tty).isCharacterDevice()).toBe(true);
    // Without a terminal of its own xenconsole does not listen to its user.
    const child = host.spawn("script", "-qfec", "xl console web", "/dev/null");
    let seen = "";
    child.stdout?.on("data", (text: Buffer) => (seen += text.toString()));
    const ticks = (): number => [...seen.matchAll(/GUEST: tick (\d+)/g)].length;
    await until("what it had printed is there", () => seen.includes("GUEST: up") && ticks() > 0);
    const before = ticks();
    await until("what it prints now comes too", () => ticks() > before);
    const { consoleMfn } = must(host.live.world, guestCell, domid);
    const ring = (): string => Buffer.from(host.live.world.memory.read(consoleMfn, 0, 5)).toString();
    child.stdin?.write("typed");
    await until("keys are in the domain's ring", () => ring() === "typed");
    child.stdin?.write("\u001d");
    expect(await new Promise((resolve) => child.on("close", resolve))).toBe(0);
  }, 60_000);

  test("dump-core: a file that readelf reads; network-attach to no bridge: the script's words", async () => {
    await xl("create", host.config("old", "pv", ["memory = 16"]));
    const old = Number(await xl("domid", "old"));
    await host.up(old);
    const file = join(host.folder, "core");
    await xl("dump-core", "old", file);
    expect(fs.statSync(file).size).toBeGreaterThan(16 << 20);
    const readelf = spawn("readelf", ["-S", "-W", file], { env: { ...process.env, LC_ALL: "C" } });
    let sections = "";
    readelf.stdout.on("data", (text: Buffer) => (sections += text.toString()));
    await new Promise((resolve) => readelf.on("close", resolve));
    for (const name of [".note.Xen", ".xen_prstatus", ".xen_shared_info", ".xen_p2m", ".xen_pages"])
      expect(sections).toContain(name);
    expect(await host.rows()).toContainEqual(expect.stringMatching(/^old \d+ 16 1 /));
    const { code, out } = await host.run("xl", "network-attach", "old", "bridge=nosuch");
    expect(code).toBe(1);
    expect(out).toContain("Could not find bridge device nosuch");
    await xl("destroy", "old");
    await host.gone(old);
  }, 60_000);

  test("trigger power presses the button, shutdown -w goes round by xenstore", async () => {
    await xl("trigger", "web", "power");
    expect(host.live.world.get(acpiButtonCell, domid)).toEqual({ pressed: "power" });
    expect(await xl("shutdown", "-w", "web")).toContain(`Domain ${domid} has been shut down, reason code 0`);
    await host.gone(domid);
    expect(host.ledgerProblems()).toEqual([]);
    expect(host.warnings).toEqual([]);
  }, 60_000);
});
