// SPDX-License-Identifier: Apache-2.0
//
// Devices whose backend is not dom0's, by Debian's xl: a domain that serves
// others, and what its `xl devd` does for them.

import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { must } from "../../src/core/engine/cells.ts";
import { diagnose } from "../../src/doctor/diagnose.ts";
import { devdProcess } from "../../src/core/guest/driver-domain.ts";
import { devdCell } from "../../src/core/guest/devd-cell.ts";
import { nodeType } from "../../src/core/xenstore/tree.ts";
import { inject } from "../../src/live/dom0.ts";
import { requires } from "../capabilities.ts";
import { RealHost, until } from "./real-host.ts";

let host: RealHost;

const nodeOf = (path: string): string | undefined => host.live.world.get(nodeType, path)?.value;
const store = async (path: string): Promise<string> => (await host.ok("xenstore-read", path)).trimEnd();

requires(
  "xen-utils",
  "xenstore-utils",
  "libxen-dev",
  "c-compiler",
)("the real xl, with a driver domain", () => {
  beforeAll(async () => {
    host = await RealHost.start();
    // A driver domain that removes its directory before xl in dom0 has seen it closed makes xl fail: as quick as
    // it likes on real Xen, too, and on a busy machine xl is slow.
    for (const script of ["block", "vif-bridge"])
      expect(inject(host.live, ["slow-script", `/etc/xen/scripts/${script}`, "0.3"])).not.toHaveProperty(
        "refused",
      );
  }, 60_000);

  afterAll(() => host.stop());

  test("an interface is served, hot-plugged, and gone without a wait", async () => {
    const serves = ["memory = 16", "driver_domain = 1", 'extra = "mode=idle backend=1"'];
    await host.ok("xl", "create", host.config("net", "pv", serves));
    const net = await host.domid("net");
    await host.up(net);
    const vif = 'vif = ["mac=00:16:3e:00:00:09,backend=net"]';
    await host.ok("xl", "create", host.config("g", "pvh", ["memory = 16", 'extra = "mode=idle dev=1"', vif]));
    const domid = await host.domid("g");
    await host.up(domid);
    const backend = (handle: number): string => `/local/domain/${net}/backend/vif/${domid}/${handle}`;
    expect(await store(`/local/domain/${domid}/device/vif/0/backend`)).toBe(backend(0));
    await until("both ends are connected", () => nodeOf(`${backend(0)}/state`) === "4");
    expect(await store(`${backend(0)}/hotplug-status`)).toBe("connected");
    const row = (await host.ok("xl", "network-list", "g")).split("\n")[1]?.split(/\s+/);
    expect(row?.slice(0, 5)).toEqual(["0", String(net), "00:16:3e:00:00:09", "0", "4"]);

    await host.ok("xl", "network-attach", "g", "mac=00:16:3e:00:00:0a", "backend=net");
    await until("the second", () => must(host.live.world, devdCell, devdProcess(net)).devices.length === 2);
    expect(await host.ok("xl", "network-detach", "g", "1")).toBe("");
    expect((await host.run("xenstore-read", `${backend(1)}/state`)).code).toBe(1);

    const since = performance.now();
    expect(await host.ok("xl", "destroy", "g")).toBe("");
    expect(performance.now() - since, "libxl waits ten seconds for who does not answer").toBeLessThan(9000);
    await host.gone(domid);
    expect((await host.run("xenstore-read", `${backend(0)}/state`)).code).toBe(1);
    await host.ok("xl", "destroy", "net");
    await host.gone(net);
    expect(host.ledgerProblems()).toEqual([]);
    expect(host.warnings).toEqual([]);
  }, 60_000);

  test("a disk is, too: attached, detached, saved and restored; and when its driver domain is gone", async () => {
    const serves = ["memory = 16", 'extra = "mode=idle backend=1 disks=/dev/vg/x,/dev/vg/y"'];
    await host.ok("xl", "create", host.config("store", "pv", serves));
    const store1 = await host.domid("store");
    await host.up(store1);
    const disk = 'disk = ["backend=store,vdev=xvda,format=raw,target=/dev/vg/x"]';
    await host.ok(
      "xl",
      "create",
      host.config("g", "pvh", ["memory = 16", 'extra = "mode=idle dev=1"', disk]),
    );
    let domid = await host.domid("g");
    await host.up(domid);
    const backend = (devid: number): string => `/local/domain/${store1}/backend/vbd/${domid}/${devid}`;
    const disks = async (): Promise<string[]> => {
      const rows = (await host.ok("xl", "block-list", "g")).trimEnd().split("\n").slice(1);
      return rows.map((row) => row.split(/\s+/)).map(([devid, by, , state]) => `${devid} ${by} ${state}`);
    };
    await until("it is connected", () => nodeOf(`${backend(51712)}/state`) === "4");
    expect(await disks()).toEqual([`51712 ${store1} 4`]);
    expect(await store(`${backend(51712)}/physical-device`)).toBe("78:0");

    expect(
      await host.ok("xl", "block-attach", "g", "backend=store,vdev=xvdb,format=raw,target=/dev/vg/y"),
    ).toBe("");
    await until("the second", () => nodeOf(`${backend(51728)}/state`) === "4");
    expect(await host.ok("xl", "block-detach", "g", "xvdb")).toBe("");
    expect(await disks()).toEqual([`51712 ${store1} 4`]);

    const file = join(host.folder, "saved");
    await host.ok("xl", "save", "g", file);
    expect(nodeOf(`/local/domain/${store1}/backend`)).toBeUndefined();
    await host.ok("xl", "restore", file);
    domid = await host.domid("g");
    await until("it is connected again", () => nodeOf(`${backend(51712)}/state`) === "4");

    await host.ok("xl", "destroy", "store");
    await host.gone(store1);
    expect(await host.ok("xl", "block-detach", "g", "xvda")).toBe(
      "libxl: info: libxl_device.c:1067:libxl__initiate_device_generic_remove: " +
        `backend ${backend(51712)} already removed, cleanup frontend only\n`,
    );
    expect(await host.ok("xl", "destroy", "g")).toBe("");
    await host.gone(domid);
    expect(host.ledgerProblems()).toEqual([]);
    expect(host.warnings).toEqual([]);
  }, 60_000);

  test("xl devd in the domain itself does what ours does, word for word, and ends with the domain", async () => {
    const said: string[] = [];
    const words = (text: string): string[] =>
      text
        .split("\n")
        .filter((line) => line.includes(": debug: ") && !/libxl_event\.c|_events_handler: ao /.test(line))
        .map((line) => line.replaceAll(/(domain\/|Domain |vbd\/|vif\/|vif)\d+/g, "$1N"));
    for (const devd of ["ours", "Debian's"]) {
      const extra = `mode=idle backend=1 disks=/dev/vg/x devd=${devd === "ours" ? 1 : 0}`;
      await host.ok("xl", "create", host.config("store", "pv", ["memory = 16", `extra = "${extra}"`]));
      const domid = await host.domid("store");
      await host.up(domid);
      let text = "";
      let ended: Promise<unknown> = Promise.resolve();
      if (devd === "ours") host.live.recorder.listenTo("log", (line) => (text += line.text));
      else {
        const child = await host.spawnIn("store", "xl", "-vvv", "devd", "-F");
        child.stderr?.on("data", (chunk: Buffer) => (text += chunk.toString()));
        ended = new Promise((resolve) => child.on("close", resolve));
        await until("it watches", () => text.includes("inprogress"));
      }
      const disk = 'disk = ["backend=store,vdev=xvda,format=raw,target=/dev/vg/x"]';
      await host.ok(
        "xl",
        "create",
        host.config("g", "pv", ["memory = 16", 'extra = "mode=idle dev=1"', disk]),
      );
      const guest = await host.domid("g");
      await until(
        "it is connected",
        () => nodeOf(`/local/domain/${domid}/backend/vbd/${guest}/51712/state`) === "4",
      );
      expect(await host.ok("xl", "destroy", "g")).toBe("");
      await host.gone(guest);
      expect(nodeOf(`/local/domain/${domid}/backend`)).toBeUndefined();
      await host.ok("xl", "destroy", "store");
      await ended;
      await host.gone(domid);
      said.push(words(text).join("\n"));
    }
    expect(said[1]).toContain("remove_device: Domain N:Removed device");
    expect(said[0]).toBe(said[1]);
    expect(host.ledgerProblems()).toEqual([]);
    expect(host.warnings).toEqual([]);
  }, 60_000);

  test("xl devd itself finds what dom0 serves, and what dom0 serves no longer", async () => {
    const child = host.spawn("xl", "-vvv", "devd", "-F");
    let said = "";
    for (const stream of [child.stdout, child.stderr])
      stream?.on("data", (text: Buffer) => (said += text.toString()));
    await until("it watches", () => said.includes("event epath=/local/domain/0/backend"));
    await host.ok("xl", "create", host.config("d", "pvh", ["memory = 16"]));
    const domid = await host.domid("d");
    const device = `device /local/domain/0/backend/console/${domid}/0`;
    await until("it has the console", () =>
      said.includes(`Domain ${domid}:Added ${device} to the list of active devices`),
    );
    child.kill("SIGTERM");
    await until("it has ended", () => child.signalCode !== null || child.exitCode !== null);
    await host.ok("xl", "destroy", "d");
    await host.gone(domid);
    expect(host.warnings).toEqual([]);
  }, 60_000);

  test("programs of a domain are the domain's, and share pages with another's", async () => {
    const idle = ["memory = 16", 'extra = "mode=idle"'];
    const domids: number[] = [];
    for (const name of ["a", "b"]) {
      await host.ok("xl", "create", host.config(name, "pv", idle));
      domids.push(await host.domid(name));
      await host.up(domids.at(-1) as number);
    }
    const [a, b] = domids as [number, number];
    expect(await host.runIn("a", "xenstore-read", "domid", "name")).toEqual({ code: 0, out: `${a}\na\n` });
    expect(
      (await host.runIn("a", "xenstore-write", "data/x", "1", `/local/domain/${a}/data/y`, "2")).code,
    ).toBe(0);
    expect((await host.runIn("a", "xenstore-ls", "data")).out).toBe('x = "1"\ny = "2"\n');
    expect((await host.runIn("a", "xenstore-write", "/local/domain/0/x", "1")).code).toBe(1);
    expect((await host.runIn("a", "xenstore-read", `/local/domain/${b}/name`)).code).toBe(1);
    expect((await host.runIn("a", "xl", "list")).out).toContain(
      "getting domain info list: Operation not permitted",
    );
    expect((await host.runIn("a", "xl", "destroy", "b")).code).not.toBe(0);

    const vchan = join(host.folder, "vchan");
    const source = join(import.meta.dirname, "vchan.c");
    execFileSync("gcc", ["-o", vchan, source, "-lxenvchan", "-lxengnttab", "-lxenevtchn"]);
    const path = `/local/domain/${a}/data/vchan`;
    const server = await host.spawnIn("a", vchan, "server", String(b), path, "4096");
    await until("the server listens", () => nodeOf(`${path}/event-channel`) !== undefined);
    const client = await host.spawnIn("b", vchan, "client", String(a), path, "4096");
    let said = "";
    client.stdout?.on("data", (text: Buffer) => (said += text.toString()));
    client.stdin?.write("across\n");
    await until("the echo", () => said.includes("across"));

    // Ten thousand calls of nonsense: no other domain's state changes by them.
    const garbage = join(host.folder, "garbage");
    execFileSync("gcc", ["-w", "-o", garbage, join(import.meta.dirname, "garbage.c")]);
    host.hypercalls = [];
    expect((await host.runIn("a", garbage, "11", "3000", String(b))).out).toContain("ENOSYS");
    const theirs = host.hypercalls.filter(
      ({ caller, result }) => caller.startsWith(`d${a}/garbage`) && result === 0,
    );
    expect(theirs.filter(({ dom }) => dom !== a && dom !== 0x7ff0)).toEqual([]);

    // The server's domain goes, and the server with it. Nobody tells the client, which still maps its pages.
    const killed = new Promise((resolve) => server.on("close", (_code, signal) => resolve(signal)));
    await host.ok("xl", "destroy", "a");
    await killed;
    const found = diagnose(host.live.world, a);
    expect(found.stage).toBe("zombie");
    expect(found.holders).toMatchObject([
      { who: expect.stringMatching(/^process \d+ \(vchan\)$/), domid: b },
    ]);
    process.kill(found.holders[0]?.pid ?? 0, "SIGKILL");
    await host.gone(a);
    expect(await host.runIn("b", "xenstore-read", "domid")).toEqual({ code: 0, out: `${b}\n` });
    await host.ok("xl", "destroy", "b");
    await host.gone(b);
    expect(host.ledgerProblems()).toEqual([]);
    expect(host.warnings.filter((line) => !line.includes("which this host does not know"))).toEqual([]);
  }, 60_000);
});
