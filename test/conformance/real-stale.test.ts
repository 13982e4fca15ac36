// SPDX-License-Identifier: Apache-2.0
//
// A host is started anew: a program of the one before, with its devices still
// open, is refused whatever it asks, is told why, and holds nothing of the new.
// It is left alone meanwhile, though the leader of its session has ended, as
// under cron: only daemons end with their host.

import { execFileSync, spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { join } from "node:path";
import type { Writable } from "node:stream";
import { afterAll, beforeAll, expect, test } from "vitest";
import { requires } from "../capabilities.ts";
import { RealHost, until } from "./real-host.ts";

let host: RealHost;

const XENOLITH = join(import.meta.dirname, "../../bin/xenolith.js");
/** Runs its words in the background and ends; they read from descriptor 3. */
const LEADER = `{ "$@" <&3; echo "exit code $?"; } &`;

/** Runs a program on the host in a session whose leader has ended. */
function runLeaderless(dir: string, ...command: string[]): ChildProcess {
  const run = [process.execPath, XENOLITH, "run", "--dir", dir, "--", ...command];
  return spawn("sh", ["-c", LEADER, "sh", ...run], {
    detached: true,
    stdio: ["ignore", "pipe", "pipe", "pipe"],
  });
}

requires(
  "xen-utils",
  "libxen-dev",
  "c-compiler",
)("a host started anew", () => {
  beforeAll(async () => void (host = await RealHost.start()), 60_000);
  afterAll(() => host.stop());

  test("refuses programs of the host before it", async () => {
    const stale = join(host.folder, "stale");
    const libraries = ["-lxenctrl", "-lxenforeignmemory", "-lxenevtchn", "-lxengnttab"];
    execFileSync("gcc", ["-o", stale, join(import.meta.dirname, "stale.c"), ...libraries]);
    const create = async (): Promise<void> => {
      await host.ok("xl", "create", host.config("web", "pvh", ["memory = 32"]));
      await host.up(1);
    };
    await create();
    const child = runLeaderless(host.where.dir, stale, "1", "0x100");
    const ended = new Promise((resolve) => child.on("close", resolve));
    let said = "";
    let complained = "";
    child.stdout?.on("data", (text: Buffer) => (said += text.toString()));
    child.stderr?.on("data", (text: Buffer) => (complained += text.toString()));
    await until("it has used every device", () => said.includes("grant:"));
    const before = "hypercall: ok\nforeign map: ok\nevent channel: ok\ngrant: ok\n";
    expect(said).toBe(before);

    await host.restart();
    await create();
    (child.stdio[3] as Writable).write("\n");
    await ended;
    expect(said.slice(before.length).split("\n")).toEqual([
      // What it had mapped are pages of a domain that is no more.
      "the page: 7f454c46",
      "hypercall: ENODEV",
      ...["foreign map: ESTALE", "event channel: ESTALE", "grant: ESTALE"],
      "unmap: ok",
      ...["hypercall: ESTALE", "foreign map: ESTALE", "event channel: ESTALE", "grant: ESTALE"],
      "exit code 0",
      "",
    ]);
    const told = complained.split("\n").filter((line) => line.startsWith("xenolith: "));
    expect(told).toEqual([
      expect.stringMatching(/^xenolith: the host went away \(bridge .*\)$/),
      expect.stringMatching(/^xenolith: the host was restarted; this process belongs to the one before /),
    ]);
    expect(host.mappedBy((process) => process.startsWith("stale."))).toBe(0);
    expect(host.ledgerProblems()).toEqual([]);
    await host.ok("xl", "destroy", "web");
    await host.gone(1);
    expect(host.warnings).toEqual([]);
  }, 60_000);
});
