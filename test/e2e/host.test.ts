// SPDX-License-Identifier: Apache-2.0
//
// A live host from its start to its end, and what it does when things go wrong.

import { spawn } from "node:child_process";
import * as fs from "node:fs";
import * as net from "node:net";
import * as path from "node:path";
import { pathToFileURL } from "node:url";
import { expect, test } from "vitest";
import { encode, HEADER_SIZE, XS } from "../../src/core/xenstore/wire.ts";
import { root } from "../source-files.ts";
import { folder, liveHost, startXenolith, xenolith } from "./xenolith.ts";

/** Connects, sends bytes and resolves with what came back until so much was there, or the other end closed. */
function talk(
  socket: string,
  bytes: Uint8Array | string,
  options: { vanish?: boolean; enough?: number } = {},
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    const client = net.connect(socket, () => {
      client.write(bytes, () => {
        if (options.vanish === true) client.destroy();
      });
    });
    client.on("data", (part) => {
      parts.push(part);
      if (Buffer.concat(parts).length >= (options.enough ?? Infinity)) client.destroy();
    });
    client.on("error", reject);
    client.on("close", () => resolve(Buffer.concat(parts)));
  });
}

function domains(dir: string): { domid: number; name: string | null }[] {
  const { out } = xenolith(["status", "--json", "--dir", dir]);
  return (JSON.parse(out) as { domains: { domid: number; name: string | null }[] }).domains;
}

test("up --detach, status, store, metrics, down", async () => {
  const dir = path.join(folder(), "host");
  const up = xenolith(["up", "--detach", "--json", "--dir", dir, "--memory", "4G", "--metrics", "0"]);
  expect(up).toMatchObject({ code: 0, err: "" });
  const { pid, xenstored } = JSON.parse(up.out) as { pid: number; xenstored: string };
  expect(fs.statSync(dir).mode & 0o777).toBe(0o700);
  expect(fs.statSync(xenstored).mode & 0o777).toBe(0o600);
  const status = JSON.parse(xenolith(["status", "--json"], { env: { XENOLITH_DIR: dir } }).out) as object;
  expect(status).toMatchObject({
    dir,
    pid,
    xen: "4.17",
    memoryMiB: { total: 4096 },
    domains: [{ domid: 0, name: "Domain-0" }],
  });
  expect(xenolith(["store", "read", "--dir", dir, "/local/domain/0/name"]).out).toBe("Domain-0\n");
  const log = fs.readFileSync(path.join(dir, "host.log"), "utf8");
  const metrics = /^Metrics are at (\S+)$/m.exec(log)?.[1] ?? "";
  expect(await (await fetch(metrics)).text()).toMatch(/^xenstored_requests_total\{type="READ"\} [1-9]/m);
  expect(xenolith(["up", "--metrics", "0", "--xenstored", "c"])).toMatchObject({
    code: 2,
    err: expect.stringContaining("--metrics tells of our own xenstored") as string,
  });
  expect(xenolith(["down", "--dir", dir])).toMatchObject({
    code: 0,
    out: `the host in ${dir} has stopped\n`,
  });
  expect(fs.readdirSync(dir)).toEqual(["host.log"]);
  expect(xenolith(["status", "--dir", dir]).code).toBe(1);
});

test("without a terminal it prints lines, and ends cleanly with SIGTERM and SIGINT", async () => {
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    const dir = path.join(folder(), "host");
    const host = startXenolith(["up", "--dir", dir]);
    await host.printed(/Try:/);
    expect(host.out).toContain(`xenstored listens at ${dir}/xenstored/socket`);
    xenolith(["store", "write", "--dir", dir, "/local/domain/0/backend/vif/7/0/state", "4"]);
    await host.printed(/vif0 of domain 7: backend Connected/);
    host.process.kill(signal);
    expect(await host.ended).toMatchObject({ code: 0, err: "" });
    expect(fs.existsSync(dir)).toBe(false);
  }
});

test("a host whose reader goes away ends, and leaves nothing", async () => {
  const dir = path.join(folder(), "host");
  const host = startXenolith(["up", "--dir", dir]);
  await host.printed(/Try:/);
  host.process.stdout?.destroy();
  for (const value of ["1", "5"]) {
    xenolith(["store", "write", "--dir", dir, "/local/domain/0/backend/vif/7/0/state", value]);
  }
  expect(await host.ended).toMatchObject({ code: 0, err: "" });
  expect(fs.existsSync(dir)).toBe(false);
});

test("run says as a shell does by its exit code that there is no such program, or that it is none", () => {
  const dir = liveHost();
  expect(xenolith(["run", "--dir", dir, "--", "xen-nosuch"])).toMatchObject({
    code: 127,
    err: "xenolith run: there is no program xen-nosuch\nTry: apt-get install xen-utils-4.17\n",
  });
  expect(xenolith(["run", "--dir", dir, "--", "/etc/passwd"])).toMatchObject({
    code: 126,
    err: "xenolith run: /etc/passwd is no program, or not for you\nTry: ls -l /etc/passwd\n",
  });
});

test("a second host in the same directory is refused, and the first lives on", () => {
  const dir = liveHost();
  for (const extra of [[], ["--detach"]]) {
    const { code, err } = xenolith(["up", "--dir", dir, ...extra]);
    expect(code).toBe(1);
    expect(err).toMatch(/^xenolith up: a host is running in \S+ \(pid \d+\)\nTry: \S+ status --dir \S+\n$/);
  }
  expect(domains(dir)).toHaveLength(1);
});

test("of two that start at once exactly one comes up", async () => {
  const dir = path.join(folder(), "host");
  const both = [startXenolith(["up", "--dir", dir]), startXenolith(["up", "--dir", dir])];
  const loser = await Promise.race(both.map(async ({ ended }) => ended));
  expect(loser.code).toBe(1);
  expect(loser.err).toMatch(/a host is (running|starting or stopping) in/);
  expect(domains(dir)).toHaveLength(1);
});

test("what a killed host left behind does not stop the next one", async () => {
  const dir = path.join(folder(), "host");
  const first = startXenolith(["up", "--dir", dir]);
  await first.printed(/Try:/);
  // A program's daemon, as xl's monitor of a domain, and what was in /run.
  const env = { XENOLITH_BRIDGE: path.join(dir, "bridge"), XENOLITH_SESSION: "1" };
  const monitor = spawn("sleep", ["60"], { detached: true, stdio: "ignore", env });
  const monitorEnded = new Promise((resolve) => monitor.on("close", (_, signal) => resolve(signal)));
  fs.mkdirSync(path.join(dir, "run-xen"));
  fs.writeFileSync(path.join(dir, "run-xen/domid-history"), "1\n");
  first.process.kill("SIGKILL");
  await first.ended;
  expect(fs.existsSync(path.join(dir, "control.sock"))).toBe(true);
  const second = startXenolith(["up", "--dir", dir]);
  await second.printed(/Try:/);
  expect(domains(dir)).toHaveLength(1);
  expect(await monitorEnded).toBe("SIGTERM");
  expect(fs.existsSync(path.join(dir, "run-xen"))).toBe(false);
});

test.each([[[]], [["--detach"]]])("directories that cannot be used are refused %j", (extra) => {
  const base = folder();
  fs.writeFileSync(path.join(base, "file"), "");
  const long = path.join(base, "d".repeat(100));
  const refused = (dir: string): string => {
    const { code, err } = xenolith(["up", ...extra, "--dir", dir]);
    expect(code).toBe(1);
    expect(err).toMatch(/\nTry: \S+ up .*\n$/);
    return err;
  };
  expect(refused(path.join(base, "file", "host"))).toMatch(/cannot use .*: part of the path is no directory/);
  expect(refused("/proc/xenolith")).toMatch(/cannot use \/proc\/xenolith: there is no such file/);
  expect(refused(long)).toMatch(/path is too long \(\d+ bytes, a Unix socket allows 107\)/);
  expect(fs.existsSync(path.join(long, "xenstored"))).toBe(false);
});

test("a file in the place of its socket is not taken away", () => {
  const dir = folder();
  const inTheWay = path.join(dir, "control.sock");
  fs.writeFileSync(inTheWay, "somebody's");
  const refused = xenolith(["up", "--dir", dir]);
  expect(refused).toMatchObject({
    code: 1,
    err: expect.stringContaining(`not a socket, and in the way: ${inTheWay}\n`) as string,
  });
  expect(fs.readFileSync(inTheWay, "utf8")).toBe("somebody's");
  expect(xenolith(["up", "--dir", inTheWay]).err).toContain(`${inTheWay} is no directory\n`);
});

test("nonsense on xenstored's socket ends that connection, and no other", async () => {
  const dir = liveHost();
  const socket = path.join(dir, "xenstored/socket");
  const tooLong = encode(XS.READ, 1, 0, "");
  tooLong.set([255, 255, 255, 127], 12);
  expect(await talk(socket, tooLong)).toHaveLength(0);
  const unknown = await talk(socket, encode(99, 1, 0, "\0"), { enough: HEADER_SIZE + "ENOSYS\0".length });
  expect(unknown.subarray(16).toString("latin1")).toBe("ENOSYS\0");
  await talk(socket, encode(XS.WRITE, 1, 0, "/tool/half\0value").subarray(0, 20), { vanish: true });
  await talk(socket, encode(XS.TRANSACTION_START, 1, 0, "\0"), { vanish: true });
  expect(xenolith(["store", "exists", "--dir", dir, "/tool/half"]).code).toBe(1);
  expect(xenolith(["store", "ls", "--dir", dir]).code).toBe(0);
});

test("nonsense on the control socket is answered, and the host lives on", async () => {
  const dir = liveHost();
  const control = path.join(dir, "control.sock");
  const nonsense = ["hello\n", "{}\n", "null\n", '{"verb":7,"args":[]}\n', '{"verb":"status","args":[7]}\n'];
  for (const text of nonsense) expect((await talk(control, text)).toString()).toContain("not a request");
  expect((await talk(control, '{"verb":"frob","args":[]}\n')).toString()).toContain("knows no frob");
  expect((await talk(control, '{"verb":"__proto__","args":[]}\n')).toString()).toContain(
    "knows no __proto__",
  );
  expect((await talk(control, '{"verb":"xl","args":["list"]}\n')).toString()).toContain("not a request");
  await talk(control, '{"verb":"sta', { vanish: true });
  expect(domains(dir)).toHaveLength(1);
});

test("a recording of a live host runs again the same", () => {
  const trace = path.join(folder(), "t");
  const dir = liveHost("--trace", trace);
  expect(xenolith(["store", "write", "--dir", dir, "/tool/a", "1", "/tool/b", "2"]).code).toBe(0);
  expect(xenolith(["store", "rm", "--dir", dir, "/tool/a"]).code).toBe(0);
  expect(xenolith(["down", "--dir", dir]).code).toBe(0);
  const { code, out } = xenolith(["replay", trace]);
  expect(out).toMatch(/\d+ steps and \d+ events, all the same/);
  expect(code).toBe(0);
  expect(xenolith(["export", trace, "--as", "mermaid"]).out).toContain("WRITE /tool/a 1");
});

test("ps shows who waits where", () => {
  const dir = liveHost();
  expect(xenolith(["ps", "--dir", dir]).out).toMatch(/^S {5}dom0\/xenwatch +xenwatch_thread: /m);
  const { out } = xenolith(["ps", "--dir", dir, "dom0/xenwatch"]);
  expect(out).toMatch(/^STAT {2}THREAD.*\nS {5}dom0\/xenwatch +xenwatch_thread: .*\n$/);
  expect(xenolith(["ps", "--dir", dir, "nobody"])).toMatchObject({
    code: 1,
    err: expect.stringMatching(/^xenolith ps: no thread nobody: .*\nTry: /) as string,
  });
});

test("a full disk ends the trace, not the host", async () => {
  const dir = path.join(folder(), "host");
  const host = startXenolith(["up", "--dir", dir, "--trace", "/dev/full"]);
  await host.printed(/Try:/);
  expect(host.err).toBe(
    "xenolith: the trace /dev/full ends here, after 0 bytes: no space left on the device\n",
  );
  expect(domains(dir)).toHaveLength(1);
});

test("a trace that cannot be made keeps the host from coming up, and nothing is left", () => {
  const dir = path.join(folder(), "host");
  const { code, err } = xenolith(["up", "--dir", dir, "--trace", "/none/t"]);
  expect(code).toBe(1);
  expect(err).toMatch(/cannot write the trace \/none\/t/);
  expect(fs.existsSync(dir)).toBe(false);
});

test("dom0's shutdown is the host's end", async () => {
  const dir = path.join(folder(), "host");
  const host = startXenolith(["up", "--dir", dir]);
  await host.printed(/Try:/);
  xenolith(["store", "write", "--dir", dir, "/local/domain/0/control/shutdown", "poweroff"]);
  expect((await host.ended).code).toBe(0);
  expect(host.out).toMatch(/the host shut down \(poweroff\)/);
});

test("a broken invariant stops the host with a message and a trace of what led to it", async () => {
  const base = folder();
  const patch = path.join(base, "broken.patch");
  fs.writeFileSync(
    patch,
    `--- a/src/core/daemons/outside.ts
+++ b/src/core/daemons/outside.ts
@@ -1,1 +1,2 @@
 export const clientConnected = input("socket.connect", (host, data: { socket: string; server: string }) => {
+  if (data.socket === "outside.2") throw new Error("assertion failed: as the test wants it");
`,
  );
  const mutant = pathToFileURL(path.join(root, "src/cli/mutant.ts")).href;
  const preload = `import { readFileSync } from "node:fs"; import { installMutant } from ${JSON.stringify(mutant)};
    installMutant(readFileSync(${JSON.stringify(patch)}, "utf8"));`;
  const node = ["--import", `data:text/javascript,${encodeURIComponent(preload)}`];
  const dir = path.join(base, "host");
  const host = startXenolith(["up", "--dir", dir], { node });
  await host.printed(/Try:/);
  expect(xenolith(["store", "ls", "--dir", dir]).code).toBe(0);
  expect(xenolith(["store", "ls", "--dir", dir]).code).toBe(1);
  expect((await host.ended).code).toBe(1);
  const saved = path.join(dir, "crash.trace.jsonl");
  expect(host.err).toMatch(
    /^xenolith up: the host has stopped: Error: assertion failed: as the test wants it\n/,
  );
  expect(host.err).toContain(`what led to it is in ${saved}\nTry: `);
  expect(fs.readdirSync(dir)).toEqual(["crash.trace.jsonl"]);
  expect(xenolith(["export", saved, "--as", "mermaid"]).out).toContain("xenstored");
});
