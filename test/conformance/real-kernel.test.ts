// SPDX-License-Identifier: Apache-2.0
//
// A kernel that is one: Debian's cloud kernel, unpacked and placed by libxc as
// for a real domain. What runs in it is our model of a kernel.

import * as fs from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { guestCell } from "../../src/core/guest/guest.ts";
import { requires } from "../capabilities.ts";
import { RealHost } from "./real-host.ts";

let host: RealHost;

requires(
  "xen-utils",
  "c-compiler",
  "cloud-kernel",
)("Debian's cloud kernel", () => {
  beforeAll(async () => void (host = await RealHost.start()), 60_000);
  afterAll(() => host.stop());

  test.each(["pvh", "pv"] as const)(
    "%s: xl unpacks and boots it",
    async (type) => {
      const kernel = fs.readdirSync("/boot").find((name) => /^vmlinuz-.*-cloud-amd64$/.test(name));
      const config = host.config(type, type, ["memory = 128", 'extra = "console=hvc0 mode=idle"']);
      fs.appendFileSync(config, `kernel = "${join("/boot", kernel!)}"\n`);
      await host.ok("xl", "create", config);
      const domid = await host.domid(type);
      await host.up(domid);
      expect(host.live.world.get(guestCell, domid)?.commandLine).toContain("console=hvc0 mode=idle");
      expect((await host.rows()).at(-1)).toMatch(new RegExp(`^${type} ${domid} 128 1 [r-][b-]----$`));
      expect(await host.ok("xl", "shutdown", "-w", type)).toContain("reason code 0");
      await host.gone(domid);
      expect(host.ledgerProblems()).toEqual([]);
    },
    60_000,
  );
});
