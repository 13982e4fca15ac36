// SPDX-License-Identifier: Apache-2.0
//
// Debian's unmodified xenconsoled in ours' place, with our xenstored and with
// Xen's: it maps consoles by grant 0, binds their ports, makes their terminals
// and keeps their logs.

import * as fs from "node:fs";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { must } from "../../src/core/engine/cells.ts";
import { guestCell } from "../../src/core/guest/guest.ts";
import { requires } from "../capabilities.ts";
import { folder, startXenolith, xenolith } from "../e2e/xenolith.ts";
import { RealHost, until } from "./real-host.ts";

let host: RealHost | null = null;

afterEach(async () => {
  await host?.stop();
  host = null;
});

requires(
  "xen-utils",
  "xenstore-utils",
  "c-compiler",
)("the real xenconsoled", () => {
  const pairs = [
    ["ours", {}],
    ["in C", { xenstored: "c" }],
  ] as const;
  for (const [whose, others] of pairs) {
    test(`xenstored ${whose}: console, log, a domain's death, the next`, async () => {
      host = await RealHost.start({ xenconsoled: "c", ...others });
      const { live } = host;
      const log = (name: string): string => {
        const file = join(live.where.dir, `log-xen/console/guest-${name}.log`);
        return fs.existsSync(file) ? fs.readFileSync(file, "latin1") : "";
      };
      await host.ok("xl", "create", host.config("web", "pvh", ["memory = 32", 'extra = "mode=tick"']));
      const domid = await host.domid("web");
      await host.up(domid);
      await until("what it prints is in its log", () => /GUEST: up mode=tick.*\r?\n/.test(log("web")));
      const tty = (await host.ok("xenstore-read", `/local/domain/${domid}/console/tty`)).trimEnd();
      expect(tty).toMatch(/^\/dev\/pts\/\d+$/);
      expect(fs.statSync(tty).isCharacterDevice()).toBe(true);

      // Without a terminal of its own xenconsole does not listen to its user.
      const child = host.spawn("script", "-qfec", "xl console web", "/dev/null");
      let seen = "";
      child.stdout?.on("data", (text: Buffer) => (seen += text.toString()));
      const ticks = (): number => [...seen.matchAll(/GUEST: tick (\d+)/g)].length;
      await until("what it prints comes to the console", () => ticks() > 1);
      child.stdin?.write("typed");
      const { consoleMfn } = must(live.world, guestCell, domid);
      const ring = (): string => Buffer.from(live.world.memory.read(consoleMfn, 0, 5)).toString();
      await until("keys are in the domain's ring", () => ring() === "typed");
      child.stdin?.write("\u001d");
      expect(await new Promise((resolve) => child.on("close", resolve))).toBe(0);

      // It lets go of a domain that dies: nothing keeps that from being freed.
      await host.ok("xl", "destroy", "web");
      await host.gone(domid);
      expect(log("web")).toContain("GUEST: tick");
      await host.ok("xl", "create", host.config("next", "pv", ["memory = 32", 'extra = "mode=idle"']));
      const next = await host.domid("next");
      await host.up(next);
      await until("the next one's log", () => log("next").includes("GUEST: up mode=idle"));
      expect(await host.ok("xl", "shutdown", "-w", "next")).toContain("reason code 0");
      await host.gone(next);
      expect(host.ledgerProblems()).toEqual([]);
      expect(host.warnings).toEqual([]);
    }, 60_000);
  }

  test("up --xenconsoled c: when it is killed the host says so, and another can be started", async () => {
    const dir = join(folder(), "host");
    const up = startXenolith(["up", "--xenconsoled", "c", "--dir", dir]);
    await up.printed(/Try:/);
    const pids = (): string[] =>
      fs.readdirSync("/proc").filter((pid) => {
        try {
          const words = fs.readFileSync(`/proc/${pid}/cmdline`, "latin1");
          const environment = fs.readFileSync(`/proc/${pid}/environ`, "latin1");
          return /^\S*\/xenconsoled\0/.test(words) && environment.includes(`XENOLITH_DIR=${dir}\0`);
        } catch {
          return false;
        }
      });
    await expect.poll(pids).toHaveLength(1);
    process.kill(Number(pids()[0]), "SIGKILL");
    await expect.poll(() => up.err).toMatch(/xenconsoled is gone: \S+xenconsoled has ended \(SIGKILL\)/);
    expect(xenolith(["run", "--dir", dir, "--", "/usr/lib/xen-4.17/bin/xenconsoled"]).code).toBe(0);
    const config = join(folder(), "web.cfg");
    fs.writeFileSync(config, 'name = "web"\nmemory = 32\n');
    expect(xenolith(["xl", "--dir", dir, "create", config])).toMatchObject({ code: 0 });
    const tty = xenolith(["store", "--dir", dir, "read", "/local/domain/1/console/tty"]);
    expect(tty.out).toMatch(/^\/dev\/pts\/\d+\n$/);
    // To the built-in toolstack that terminal is not dom0's.
    const console = startXenolith(["xl", "--dir", dir, "console", "web"]);
    expect(await console.ended).toMatchObject({
      code: 2,
      err: `xenconsole: Could not open tty \`${tty.out.trimEnd()}': No such file or directory\n`,
    });
    expect(xenolith(["down", "--dir", dir]).code).toBe(0);
    await up.ended;
    // It has made itself a daemon by two forks, and ends with its host all the same.
    await expect.poll(pids).toEqual([]);
  }, 60_000);
});
