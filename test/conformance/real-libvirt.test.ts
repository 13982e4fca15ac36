// SPDX-License-Identifier: Apache-2.0
//
// libvirt's xen driver, unmodified, on a host: a domain's life by virsh.

import type { ChildProcess } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { domainById } from "../../src/core/hypervisor/domain.ts";
import { podCounts } from "../../src/core/hypervisor/pod-cell.ts";
import { requires } from "../capabilities.ts";
import { RealHost, until } from "./real-host.ts";

/** The example's libvirtd, for virsh commands, a line each, with their exit codes behind what they say. */
const LIBVIRTD = join(import.meta.dirname, "../../examples/libvirt/with-libvirtd.sh");
const SESSION = `
while read -r line; do
  virsh -q -c xen:///system $line 2>&1
  echo "exit $?"
done
`;

let host: RealHost;
let session: ChildProcess;
let said = "";

/** What virsh says; it must succeed. */
async function virsh(line: string): Promise<string> {
  const from = said.length;
  session.stdin?.write(`${line}\n`);
  await until(`virsh ${line}`, () => /^exit \d+$/m.test(said.slice(from)), 30_000);
  const [, text = "", code] = /^([^]*?)^exit (\d+)$/m.exec(said.slice(from)) ?? [];
  expect(code, `virsh ${line}: ${text}`).toBe("0");
  return text.trim();
}

const rows = async (): Promise<string[]> =>
  (await virsh("list --all")).split("\n").map((row) => row.trim().replaceAll(/\s+/g, " "));

requires(
  "xen-utils",
  "c-compiler",
  "libvirt",
)("libvirt", () => {
  beforeAll(async () => {
    host = await RealHost.start();
    const xml = fs.readFileSync(join(LIBVIRTD, "../web.xml"), "utf8");
    fs.writeFileSync(
      join(host.folder, "web.xml"),
      xml
        .replace("/tmp/tiny.elf", join(host.folder, "tiny.elf"))
        // Less than it may have: the rest is on demand.
        .replace("</memory>", "</memory><currentMemory unit='MiB'>24</currentMemory>"),
    );
    session = host.spawn(LIBVIRTD, "sh", "-c", SESSION);
    session.stdout?.on("data", (text: Buffer) => (said += text.toString()));
  }, 60_000);

  afterAll(async () => {
    session.stdin?.end();
    await new Promise((resolve) => session.on("close", resolve));
    await host.stop();
  });

  test("define, start, list, dumpxml, suspend, resume, shutdown, destroy, undefine", async () => {
    expect(await virsh("version")).toContain("Running hypervisor: Xen 4.17.0");
    await virsh(`define ${host.folder}/web.xml`);
    expect(await rows()).toEqual(["0 Domain-0 running", "- web shut off"]);

    await virsh("start web");
    expect(await rows()).toEqual(["0 Domain-0 running", "1 web running"]);
    expect(domainById(host.live.world, 1)).toMatchObject({ type: "pvh", isDying: "alive" });
    await host.up(1);
    await until("its balloon is down", () => {
      const { entries, cached } = podCounts(host.live.world, 1);
      return entries > 0 && entries === cached;
    });
    const xml = await virsh("dumpxml web");
    expect(xml).toContain("<domain type='xen' id='1'>");
    expect(xml).toMatch(/<console type='pty' tty='\/dev\/pts\/\d+'>/);

    await virsh("suspend web");
    expect(await rows()).toContain("1 web paused");
    expect(domainById(host.live.world, 1)?.controllerPauseCount).toBe(1);
    await virsh("resume web");
    expect(await rows()).toContain("1 web running");

    await virsh("shutdown web");
    await host.gone(1);
    expect(await rows()).toEqual(["0 Domain-0 running", "- web shut off"]);
    await virsh("start web");
    await virsh("destroy web");
    await host.gone(2);
    await virsh("undefine web");
    expect(await rows()).toEqual(["0 Domain-0 running"]);
    expect(host.ledgerProblems()).toEqual([]);
    expect(host.warnings).toEqual([]);
  }, 90_000);
});
