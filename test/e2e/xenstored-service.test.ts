// SPDX-License-Identifier: Apache-2.0
//
// The daemon as a service: what systemd is told, the unit that starts it, its
// metrics, and its end.

import { spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { requires } from "../capabilities.ts";
import { root } from "../source-files.ts";
import { bin, folder, startXenolith, xenolith } from "./xenolith.ts";
import { clientOf, liveUpdate, servingPid, startXenstored } from "./xenstored-process.ts";

test("metrics: what was asked, what went wrong, what there is", async () => {
  const { running, socketPath } = await startXenstored(
    folder(),
    "--metrics",
    "0",
    "--state",
    join(folder(), "j"),
  );
  const port = /http:\/\/127\.0\.0\.1:(\d+)\/metrics/.exec(running.out)?.[1];
  const client = await clientOf(socketPath);
  await client.write("/a", "1");
  await client.control("quota", "set", "nodes", "77");
  await expect(client.read("/none")).rejects.toMatchObject({ code: "ENOENT" });
  const introduced = await fetch(`http://127.0.0.1:${port}/metrics`);
  expect(introduced.headers.get("content-type")).toContain("version=0.0.4");
  const text = await introduced.text();
  // Each line is a comment or a sample, as Prometheus's text format has them.
  for (const line of text.trimEnd().split("\n"))
    expect(line).toMatch(
      /^(# (HELP|TYPE) [a-z_]+ .+|[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? [0-9.e+-]+)$/,
    );
  for (const sample of [
    'xenstored_requests_total{type="WRITE"} 1',
    'xenstored_errors_total{type="READ",error="ENOENT"} 1',
    "xenstored_nodes 4",
    "xenstored_journal_frames_total 2",
  ])
    expect(text).toContain(`${sample}\n`);
  expect((await fetch(`http://127.0.0.1:${port}/`)).status).toBe(404);
  const taken = xenolith(["xenstored", "--socket", join(folder(), "socket"), "--metrics", String(port)]);
  expect(taken).toMatchObject({
    code: 1,
    err: expect.stringContaining(`: cannot serve metrics at 127.0.0.1:${port}: the address is in use\n`),
  });
});

test("SIGTERM ends it: the socket and the pid file are gone, the exit code is 0", async () => {
  const { running, socketPath, pidFile } = await startXenstored(folder());
  await (await clientOf(socketPath)).write("/a", "1");
  process.kill(servingPid(pidFile), "SIGTERM");
  expect((await running.ended).code).toBe(0);
  expect([existsSync(socketPath), existsSync(pidFile)]).toEqual([false, false]);
});

test("SIGHUP opens the trace file anew, as C xenstored's; SIGUSR1 opens no debugger", async () => {
  const dir = folder();
  const { running, socketPath, pidFile } = await startXenstored(dir, "--log-level", "info");
  const client = await clientOf(socketPath);
  await client.control("logfile", join(dir, "trace"));
  await client.write("/a", "1");
  renameSync(join(dir, "trace"), join(dir, "trace.1"));
  process.kill(servingPid(pidFile), "SIGUSR1");
  process.kill(servingPid(pidFile), "SIGHUP");
  for (let i = 0; i < 3000 && !existsSync(join(dir, "trace")); i++)
    await new Promise((resolve) => setTimeout(resolve, 10));
  await client.write("/b", "2");
  expect(readFileSync(join(dir, "trace.1"), "latin1")).toContain("WRITE (/a 1");
  expect(readFileSync(join(dir, "trace"), "latin1")).toContain("WRITE (/b 2");
  process.kill(servingPid(pidFile), "SIGTERM");
  expect((await running.ended).code).toBe(0);
  expect(running.err).not.toContain("Debugger");
});

test("a pid file of another xenstored that runs is not taken; a stale one is", async () => {
  const dir = folder();
  writeFileSync(join(dir, "pid"), "99999999\n");
  const { socketPath, pidFile } = await startXenstored(dir);
  const pid = servingPid(pidFile);
  const other = join(dir, "other");
  expect(xenolith(["xenstored", "--socket", other, "--pid-file", pidFile])).toMatchObject({
    code: 1,
    err: `xenolith xenstored: ${pidFile} is that of another xenstored, process ${pid}\nTry: ps -fp ${pid}\n`,
  });
  expect(existsSync(other)).toBe(false);
  expect(servingPid(pidFile)).toBe(pid);
  await (await clientOf(socketPath)).write("/a", "1");
});

/** Python's few lines that Node lacks: a Unix socket for datagrams, each printed as a line. */
const LISTEN = `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print("ready", flush=True)
while True: print(s.recv(4096).decode().replace("\\n", " "), flush=True)
`;

requires("systemd", "pyxs")("systemd", () => {
  test("is told when it serves, which process does after a live update, and that it ends", async () => {
    const dir = folder();
    const notify = join(dir, "notify");
    const listener = spawn("python3", ["-c", LISTEN, notify], { stdio: ["ignore", "pipe", "inherit"] });
    onTestFinished(() => void listener.kill("SIGKILL"));
    let told = "";
    listener.stdout.setEncoding("utf8").on("data", (text: string) => void (told += text));
    const until = async (pattern: RegExp): Promise<void> => {
      for (let i = 0; !pattern.test(told); i++)
        if (i > 3000) throw new Error(`${String(pattern)}: ${told}`);
        else await new Promise((resolve) => setTimeout(resolve, 10));
    };
    await until(/ready/);
    const socketPath = join(dir, "socket");
    const pidFile = join(dir, "pid");
    startXenolith(["xenstored", "--socket", socketPath, "--pid-file", pidFile], {
      env: { NOTIFY_SOCKET: notify },
    });
    await until(/READY=1/);
    const first = servingPid(pidFile);
    expect(told).toContain(`MAINPID=${first}`);
    expect(await liveUpdate(await clientOf(socketPath), bin)).toBe("OK");
    const second = servingPid(pidFile);
    await until(new RegExp(`MAINPID=${second}`));
    process.kill(second, "SIGTERM");
    await until(/STOPPING=1/);
  });

  test("finds nothing wrong with the unit", () => {
    const unit = join(root, "examples/xenstored.service");
    const { status, stdout, stderr } = spawnSync("systemd-analyze", ["verify", "--man=no", unit], {
      encoding: "utf8",
    });
    const about = `${stdout}${stderr}`.split("\n").filter((line) => line.includes("xenstored.service"));
    expect({ status, about }).toEqual({ status: 0, about: [] });
  });
});

test("what it cannot use is what it names, with what to do", () => {
  const dir = folder();
  const socket = ["xenstored", "--socket", join(dir, "socket")];
  const cases: readonly (readonly [args: readonly string[], code: number, err: string])[] = [
    [["--pid-file", "/proc/none/pid"], 1, "cannot write the pid file /proc/none/pid: "],
    [["--state", dir], 1, `cannot use the journal ${dir}: it is a directory`],
    [["--xen-version", "oxenstored", "--conflicts", "strict"], 2, "--conflicts has no meaning with"],
  ];
  for (const [args, code, err] of cases) {
    const ended = xenolith([...socket, ...args]);
    expect([args, ended.code]).toEqual([args, code]);
    expect(ended.err).toContain(err);
    expect(ended.err).toMatch(/\nTry: /);
  }
});
