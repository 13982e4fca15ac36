// SPDX-License-Identifier: Apache-2.0
//
// xl on a live host, as users type it: files found and left where they type it.

import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { expect, test, vi } from "vitest";
import { root } from "../source-files.ts";
import { bin, folder, liveHost, startXenolith, xenolith } from "./xenolith.ts";

const web = path.join(root, "examples/web.cfg");

/** The lines of `xl list` behind its header: name, domid, state. Who runs and who waits at that moment is chance. */
function listed(dir: string): string[] {
  const { code, out } = xenolith(["xl", "--dir", dir, "list"]);
  expect(code).toBe(0);
  const rows = out.trimEnd().split("\n").slice(1);
  const cells = rows.map((row) => row.split(/\s+/));
  return cells.map(([name, domid, , , state = ""]) => `${name} ${domid} ${state.replace(/^[r-][b-]/, "**")}`);
}

test("a domain is created, listed, shut down and gone", async () => {
  const dir = liveHost();
  const created = xenolith(["xl", "--dir", dir, "create", "examples/web.cfg"], { cwd: root });
  expect(created).toEqual({ code: 0, out: "", err: "Parsing config from examples/web.cfg\n" });
  expect(listed(dir)).toEqual(["Domain-0 0 **----", "web 1 **----"]);
  expect(xenolith(["xl", "--dir", dir, "shutdown", "-w", "web"])).toMatchObject({ code: 0 });
  // xl has waited until it is shut down; then its monitor destroys it.
  await vi.waitFor(() => expect(listed(dir)).toEqual(["Domain-0 0 **----"]), { timeout: 30_000 });
});

test("dom0's clock is the machine's", () => {
  const dir = liveHost();
  const before = Date.now();
  const { out } = xenolith(["xl", "--dir", dir, "uptime", "-s"]);
  const [hours = 0, minutes = 0, seconds = 0] = out.slice(1, 9).split(":").map(Number);
  const shown = (hours * 60 + minutes) * 60 + seconds;
  const late = (shown - Math.floor(before / 1000) + 1) % 86_400;
  expect((late + 86_400) % 86_400).toBeLessThanOrEqual(Math.ceil((Date.now() - before) / 1000) + 1);
});

test("what xl says of a mistake is xl's, and so is its exit code", () => {
  const dir = liveHost();
  expect(xenolith(["xl", "--dir", dir, "destroy", "nosuch"])).toEqual({
    code: 1,
    out: "",
    err: "nosuch is an invalid domain identifier (rc=-6)\n",
  });
  const none = xenolith(["xl", "--dir", dir, "create", "none.cfg"], { cwd: folder() });
  expect(none.code).toBe(3);
  expect(none.err).toMatch(/none\.cfg.*No such file or directory/);
  const cwd = folder();
  fs.writeFileSync(path.join(cwd, "bad.cfg"), 'name = "bad"\nmemory = = 3\n');
  const bad = xenolith(["xl", "--dir", dir, "create", "bad.cfg"], { cwd });
  expect(bad.code).toBe(1);
  expect(bad.err).toMatch(/bad\.cfg:2: config parsing error/);
  expect(bad.err).toMatch(/xenolith: bad\.cfg:2:10: expected .*\n {2}memory = = 3\n {11}\^\n$/);
  fs.writeFileSync(path.join(cwd, "kernel.cfg"), 'name = "k"\nkernel = "no-such-kernel"\nmemory = 32\n');
  const kernel = xenolith(["xl", "--dir", dir, "create", "kernel.cfg"], { cwd });
  expect(kernel.code).toBe(3);
  expect(kernel.err).toMatch(/no-such-kernel.*No such file or directory/);
  expect(listed(dir)).toHaveLength(1);
});

test("a disk is found where the command is typed, and missed where it is not", () => {
  const dir = liveHost();
  const cwd = folder();
  fs.writeFileSync(
    path.join(cwd, "d.cfg"),
    'name = "d"\nmemory = 32\nextra = "dev=1"\ndisk = [ "disk.img,raw,xvda,w" ]\n',
  );
  const missed = xenolith(["xl", "--dir", dir, "create", "d.cfg"], { cwd });
  expect(missed.code).toBe(3);
  expect(missed.err).toMatch(/disk\.img: No such file or directory/);
  fs.writeFileSync(path.join(cwd, "disk.img"), Buffer.alloc(1 << 20));
  expect(xenolith(["xl", "--dir", dir, "create", "d.cfg"], { cwd })).toMatchObject({ code: 0 });
});

test("a domain is saved into the folder where the command is typed, and restored from there", () => {
  const dir = liveHost();
  const cwd = folder();
  xenolith(["xl", "--dir", dir, "create", web]);
  const saved = xenolith(["xl", "--dir", dir, "save", "web", "web.save"], { cwd });
  expect(saved.code).toBe(0);
  expect(fs.readFileSync(path.join(cwd, "web.save")).toString("latin1")).toMatch(
    /^Xen saved domain, xl format\n/,
  );
  expect(listed(dir)).toHaveLength(1);
  // Another folder does not have it; what is there is not the host's copy.
  expect(xenolith(["xl", "--dir", dir, "restore", "web.save"], { cwd: folder() }).code).not.toBe(0);
  expect(xenolith(["xl", "--dir", dir, "restore", "web.save"], { cwd }).code).toBe(0);
  expect(listed(dir)).toEqual(["Domain-0 0 **----", "web 2 **----"]);
});

test("a save that cannot be written does not cost the domain", () => {
  const dir = liveHost();
  xenolith(["xl", "--dir", dir, "create", web]);
  const inNoFolder = xenolith(["xl", "--dir", dir, "save", "web", "/none/web.save"]);
  expect(inNoFolder).toEqual({
    code: 1,
    out: "",
    err: "Failed to open temp file /none/web.save for writing\n",
  });
  const elsewhere = path.join(folder(), "web.save");
  expect(xenolith(["xl", "--dir", dir, "save", "-c", "web", elsewhere]).code).toBe(0);
  expect(fs.statSync(elsewhere).size).toBeGreaterThan(1000);
  expect(listed(dir)).toHaveLength(2);
  // Where a file may have no bytes, writing fails as on a full disk.
  const cwd = folder();
  const words = [process.execPath, bin, "xl", "--dir", dir, "save", "web", "web.save"];
  const full = spawnSync("bash", ["-c", 'trap "" XFSZ; ulimit -f 0; exec "$@"', "-", ...words], {
    cwd,
    encoding: "utf8",
  });
  expect(full.status).toBe(1);
  expect(full.stderr).toMatch(
    /cannot write web\.save: it is larger than a file may be\nthe host keeps it until it can: /,
  );
  expect(fs.readdirSync(cwd)).toEqual([]);
  expect(listed(dir)).toHaveLength(1);
  expect(xenolith(["xl", "--dir", dir, "restore", "web.save"], { cwd }).code).toBe(0);
  expect(listed(dir)).toHaveLength(2);
});

/** A configuration whose guest does that, in a folder of its own. */
function guest(extra: string): string {
  const file = path.join(folder(), "guest.cfg");
  fs.writeFileSync(file, `name = "guest"\ntype = "pvh"\nmemory = 32\nextra = "${extra}"\n`);
  return file;
}

test("a console shows what the guest prints, and Ctrl-] leaves it", async () => {
  const dir = liveHost();
  xenolith(["xl", "--dir", dir, "create", guest("console=hvc0 mode=tick")]);
  const console = startXenolith(["xl", "--dir", dir, "console", "guest"]);
  await console.printed(/GUEST: up mode=tick[^]*GUEST: tick 2/);
  console.process.stdin?.write("typed\u001d");
  expect(await console.ended).toMatchObject({ code: 0, err: "" });
  // With nobody at the keyboard, as in a script.
  expect(xenolith(["xl", "--dir", dir, "console", "nosuch"], { input: "" })).toMatchObject({
    code: 1,
    err: "nosuch is an invalid domain identifier (rc=-6)\n",
  });
  expect(listed(dir)).toHaveLength(2);
  // Whoever comes next gets what was printed since.
  const again = startXenolith(["xl", "--dir", dir, "console", "guest"]);
  await again.printed(/GUEST: tick \d/);
  xenolith(["xl", "--dir", dir, "destroy", "guest"]);
  expect(await again.ended).toMatchObject({ code: 0 });
});

test("create -c is the guest's console from its first line on, until Ctrl-], and then ends", async () => {
  const dir = liveHost();
  const create = startXenolith(["xl", "--dir", dir, "create", "-c", guest("console=hvc0 mode=tick")]);
  create.process.stdin?.write("typed early");
  await create.printed(/GUEST: up mode=tick[^]*GUEST: tick 2/);
  create.process.stdin?.write("\u001d");
  const { code, err } = await create.ended;
  expect([code, err.trimEnd().split("\n")]).toEqual([0, [expect.stringMatching(/^Parsing config from /)]]);
  expect(listed(dir)).toHaveLength(2);
  // Without a keyboard it stays for as long as there is a console.
  xenolith(["xl", "--dir", dir, "destroy", "guest"]);
  const off = xenolith(["xl", "--dir", dir, "create", "-c", guest("console=hvc0 mode=poweroff delay=1")], {
    input: "",
  });
  expect(off.code).toBe(0);
  expect(off.out).toContain("GUEST: up mode=poweroff");
});

test("an interrupted command ends in the host too, and leaves nothing of itself", async () => {
  const trace = path.join(folder(), "t");
  const dir = liveHost("--trace", trace);
  xenolith(["xl", "--dir", dir, "create", guest("mode=ignore")]);
  const waiting = startXenolith(["xl", "--dir", dir, "shutdown", "-w", "guest"]);
  await vi.waitFor(() => expect(waiting.err + waiting.out).toContain("Shutting down domain 1"), {
    timeout: 20_000,
  });
  waiting.process.kill("SIGINT");
  await waiting.ended;
  expect(listed(dir)).toHaveLength(2);
  xenolith(["xl", "--dir", dir, "destroy", "guest"]);
  xenolith(["down", "--dir", dir]);
  const replayed = xenolith(["replay", trace]);
  expect(replayed.out).toContain("all the same");
  expect(fs.readFileSync(trace, "utf8")).toContain('"status":130');
});

test("start: two domains from the shipped configurations, and what to try next", async () => {
  const dir = path.join(folder(), "host");
  const host = startXenolith(["start", "--dir", dir]);
  await host.printed(/Try:/);
  expect(host.out).toContain(`xenstored listens at ${dir}/xenstored/socket`);
  expect(listed(dir)).toEqual(["Domain-0 0 **----", "web 1 **----", "db 2 **----"]);
  const next = /^ {2}(.*) xl --dir \S+ shutdown web$/m.exec(host.out);
  expect(next).not.toBeNull();
  expect(xenolith(["down", "--dir", dir]).code).toBe(0);
  expect((await host.ended).code).toBe(0);
});

test("everything that was typed and connected runs again from a recording", () => {
  const trace = path.join(folder(), "t");
  const dir = liveHost("--trace", trace);
  xenolith(["xl", "--dir", dir, "create", path.join(root, "examples/db.cfg")]);
  xenolith(["xl", "--dir", dir, "pause", "db"]);
  xenolith(["xl", "--dir", dir, "destroy", "db"]);
  xenolith(["down", "--dir", dir]);
  const { code, out } = xenolith(["replay", trace]);
  expect(out).toMatch(/\d{4,} steps and \d+ events, all the same/);
  expect(code).toBe(0);
});
