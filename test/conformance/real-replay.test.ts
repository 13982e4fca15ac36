// SPDX-License-Identifier: Apache-2.0
//
// A recorded host on which everybody outside writes into memory that the host
// reads: Xen's own xenstored and xenconsoled into rings, xl's builder into start
// info and page tables, QEMU into the page of its IOREQ server. The trace holds
// what the host saw there, and runs again to the same steps and events.

import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { replayTrace } from "../../src/cli/replay-trace.ts";
import { readTrace } from "../../src/cli/trace.ts";
import { requires } from "../capabilities.ts";
import { xenolith } from "../e2e/xenolith.ts";
import { RealHost } from "./real-host.ts";

/** As little of a machine as QEMU emulates. */
const HVM =
  'name = "hvm"\ntype = "hvm"\nmemory = 16\nmaxmem = 24\nvga = "none"\nvnc = 0\nserial = "none"\nvkb_device = 0\n';

requires(
  "xen-utils",
  "xenstore-utils",
  "qemu-xen",
  "c-compiler",
)("a recorded host with outside programs", () => {
  test("runs again the same, what QEMU and the daemons wrote included", async () => {
    const folder = fs.mkdtempSync(join(tmpdir(), "xenolith-replay-"));
    const trace = join(folder, "run.trace.jsonl");
    try {
      const host = await RealHost.start({ xenstored: "c", xenconsoled: "c", trace });
      try {
        const config = join(host.folder, "hvm.cfg");
        fs.writeFileSync(config, HVM);
        await host.ok("xl", "create", config);
        await host.up(1);
        await host.ok("xl", "create", host.config("pv", "pv", ["memory = 16"]));
        await host.up(2);
        await host.ok("xl", "shutdown", "-w", "-a");
        await host.gone(1);
        await host.gone(2);
      } finally {
        await host.stop();
      }
      const { lines } = readTrace(trace);
      const { code, out } = xenolith(["replay", "--json", trace]);
      expect(JSON.parse(out)).toMatchObject({
        steps: lines.filter((line) => "step" in line).length,
        events: lines.filter((line) => "event" in line).length,
        difference: null,
      });
      expect(code).toBe(0);

      // It rests on what was found: without that the run is another.
      const found = lines.filter((line) => "foreign" in line).length;
      expect(found).toBeGreaterThan(100);
      fs.writeFileSync(
        trace,
        fs
          .readFileSync(trace, "utf8")
          .split("\n")
          .filter((line) => !line.startsWith('{"foreign"'))
          .join("\n"),
      );
      expect((await replayTrace(trace, Infinity)).result.difference).not.toBeNull();
    } finally {
      fs.rmSync(folder, { recursive: true });
    }
  }, 60_000);
});
