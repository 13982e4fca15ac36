// SPDX-License-Identifier: Apache-2.0
//
// A host is killed where it stands. Its daemons, Xen's own and QEMU among them, end
// with it as with a machine that loses power; what somebody runs on it by hand stays,
// and does not spin.

import * as fs from "node:fs";
import { join } from "node:path";
import type { Writable } from "node:stream";
import { execFileSync } from "node:child_process";
import { expect, test, vi } from "vitest";
import { tinyKernel } from "../../examples/guests/tiny-kernel.ts";
import { processStat } from "../../src/live/process-stat.ts";
import { requires } from "../capabilities.ts";
import { folder, liveHost, startXenolith, xenolith } from "../e2e/xenolith.ts";

const PATIENCE = { timeout: 30_000, interval: 50 };

/** Commands of the processes that were started on a host, by pid. */
function programsOn(dir: string): Map<number, string> {
  const found = new Map<number, string>();
  for (const name of fs.readdirSync("/proc")) {
    const pid = Number(name);
    if (!(pid > 0) || processStat(pid) === null) continue;
    try {
      if (!fs.readFileSync(`/proc/${pid}/environ`, "latin1").includes(`XENOLITH_DIR=${dir}\0`)) continue;
      found.set(pid, fs.readFileSync(`/proc/${pid}/comm`, "latin1").trim());
    } catch {
      // It has ended meanwhile.
    }
  }
  return found;
}

/** Kills the host itself, and nobody else. */
function killHost(dir: string): void {
  const { pid } = JSON.parse(xenolith(["status", "--dir", dir, "--json"]).out) as { pid: number };
  process.kill(pid, "SIGKILL");
}

/** Creates a domain by the real xl. */
function create(dir: string, name: string, ...lines: string[]): void {
  const file = join(folder(), `${name}.cfg`);
  fs.writeFileSync(file, [`name = "${name}"`, ...lines, ""].join("\n"));
  expect(xenolith(["run", "--dir", dir, "--", "xl", "create", file])).toMatchObject({ code: 0 });
}

const SMALL = ["memory = 16", 'vga = "none"', "vnc = 0", 'serial = "none"', "vkb_device = 0"];

requires(
  "xen-utils",
  "qemu-xen",
  "libxen-dev",
  "c-compiler",
)("a host that is killed", () => {
  test.each(["ocaml", "c"])("takes its daemons with it, xenstored %s", async (xenstored) => {
    const kernel = join(folder(), "tiny.elf");
    fs.writeFileSync(kernel, tinyKernel());
    const dir = liveHost("--xenstored", xenstored, "--xenconsoled", "c");
    create(dir, "hvm", 'type = "hvm"', ...SMALL);
    create(dir, "pvh", 'type = "pvh"', `kernel = "${kernel}"`, "memory = 32");
    const daemons = [...programsOn(dir).values()].map((comm) =>
      comm.replace(/^o(?=xenstored)/, "").slice(0, 8),
    );
    expect(daemons.toSorted()).toEqual(["xen-qemu", "xenconso", "xenstore", "xl", "xl"]);
    killHost(dir);
    await vi.waitFor(() => expect(programsOn(dir)).toEqual(new Map()), PATIENCE);
  });

  test("leaves alone what is run by hand, which waits for its event channels and does not spin", async () => {
    const program = join(folder(), "waits-for-event");
    const source = join(import.meta.dirname, "waits-for-event.c");
    execFileSync("gcc", ["-o", program, source, "-lxenevtchn"]);
    const dir = liveHost();
    const running = startXenolith(["run", "--dir", dir, "--", program]);
    await running.printed(/^waiting$/m);
    killHost(dir);
    await running.printed(/^(?:\d+ looks in a second)$/m);
    const looks = Number(/^(\d+) looks/m.exec(running.out)?.[1]);
    expect(looks).toBeGreaterThan(0);
    expect(looks).toBeLessThan(50);
    expect(running.err).toContain("xenolith: the host went away");
    (running.process.stdin as Writable).end();
    await running.ended;
  });
});
