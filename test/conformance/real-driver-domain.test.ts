// SPDX-License-Identifier: Apache-2.0
//
// Devices whose backend is not dom0's, by Debian's xl: a domain that serves
// others, and what its `xl devd` does for them.

import { afterAll, beforeAll, expect, test } from "vitest";
import { must } from "../../src/core/engine/cells.ts";
import { devdProcess } from "../../src/core/guest/driver-domain.ts";
import { devdCell } from "../../src/core/guest/devd-cell.ts";
import { nodeType } from "../../src/core/xenstore/tree.ts";
import { requires } from "../capabilities.ts";
import { RealHost, until } from "./real-host.ts";

let host: RealHost;

const nodeOf = (path: string): string | undefined => host.live.world.get(nodeType, path)?.value;
const store = async (path: string): Promise<string> => (await host.ok("xenstore-read", path)).trimEnd();

requires(
  "xen-utils",
  "xenstore-utils",
  "c-compiler",
)("the real xl, with a driver domain", () => {
  beforeAll(async () => {
    host = await RealHost.start();
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
});
