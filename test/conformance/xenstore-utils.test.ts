// SPDX-License-Identifier: Apache-2.0
//
// Debian's unmodified clients against our xenstored on its Unix socket.

import { execFile, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { serveXenstored, type XenstoredServer } from "../../src/live/xenstored/server.ts";
import { standaloneStore } from "../../src/live/xenstored/standalone.ts";
import { connectXenstore } from "../../src/live/xenstore-client.ts";
import { requires } from "../capabilities.ts";

const folder = mkdtempSync(join(tmpdir(), "xenstore-utils-"));
const socketPath = join(folder, "socket");
const env = { ...process.env, XENSTORED_PATH: socketPath, XENSTORED_RUNDIR: folder };
let server: XenstoredServer;

beforeAll(async () => {
  server = await serveXenstored({ socketPath, store: (queued) => standaloneStore({}, queued) });
});

afterAll(async () => {
  await server.close();
  rmSync(folder, { recursive: true });
});

interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function run(program: string, ...args: string[]): Promise<Ran> {
  return new Promise((resolve) => {
    execFile(program, args, { env, encoding: "latin1" }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? -1), stdout, stderr });
    });
  });
}

async function output(program: string, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await run(program, ...args);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return stdout;
}

requires("xenstore-utils")("xenstore-utils", () => {
  test("write, read, list, exists, rm", async () => {
    await output("xenstore-write", "/a/b", "hi", "/a/c", "there");
    expect(await output("xenstore-read", "/a/b", "/a/c")).toBe("hi\nthere\n");
    expect(await output("xenstore-read", "-p", "/a/b")).toBe("/a/b: hi\n");
    expect(await output("xenstore-list", "/a")).toBe("b\nc\n");
    expect((await run("xenstore-exists", "/a/b")).code).toBe(0);
    expect((await run("xenstore-exists", "/a/none")).code).toBe(1);
    await output("xenstore-rm", "/a");
    const missing = await run("xenstore-read", "/a/b");
    expect(missing).toEqual({ code: 1, stdout: "", stderr: "xenstore-read: couldn't read path /a/b\n" });
  });

  test("ls -f and ls -fp", async () => {
    await output("xenstore-write", "/t/x", "1", "/t/x/y", "\u00e4\n\u0001", "/t/z", "");
    await output("xenstore-chmod", "/t/x", "n0", "r5", "b7");
    expect(await output("xenstore-ls", "-f", "/t")).toBe(
      '/t/x = "1"\n/t/x/y = "\\xc3\\xa4\\n\\001"\n/t/z = ""\n',
    );
    const withPerms = await output("xenstore-ls", "-fp", "/t");
    expect(withPerms.replaceAll(/ +\(/g, " (")).toContain('/t/x = "1" (n0,r5,b7)\n');
    await output("xenstore-rm", "/t");
  });

  test("chmod -r", async () => {
    await output("xenstore-write", "/r/x/y", "1");
    await output("xenstore-chmod", "-r", "/r", "r0", "w3");
    expect((await output("xenstore-ls", "-fp", "/r")).match(/\(r0,w3\)/g)).toHaveLength(2);
    await output("xenstore-rm", "/r");
  });

  test("watch", async () => {
    const watch = spawn("xenstore-watch", ["-n", "4", "/w"], { env, stdio: ["ignore", "pipe", "inherit"] });
    let seen = "";
    const ended = new Promise<number | null>((resolve) => void watch.on("close", resolve));
    await new Promise<void>((resolve) => {
      watch.stdout.on("data", (chunk: Buffer) => {
        seen += chunk.toString();
        resolve();
      });
    });
    await output("xenstore-write", "/w/a", "1");
    await output("xenstore-write", "/elsewhere", "1");
    await output("xenstore-rm", "/w/a");
    await output("xenstore-rm", "/w");
    expect(await ended).toBe(0);
    expect(seen).toBe("/w\n/w/a\n/w/a\n/w\n");
  });

  test("a directory that is listed in parts", async () => {
    const names = Array.from({ length: 1500 }, (_, i) => `name-${i}`);
    for (let at = 0; at < names.length; at += 500) {
      await output("xenstore-write", ...names.slice(at, at + 500).flatMap((name) => [`/big/${name}`, ""]));
    }
    expect((await output("xenstore-list", "/big")).trimEnd().split("\n")).toEqual(names);
    await output("xenstore-rm", "/big");
  });
});

requires("xenstore-utils")("a directory with 20,000 children", () => {
  const names = Array.from({ length: 20_000 }, (_, i) => `c${i}`);

  test("xenstore-ls and xenstore-list show all of them, in order", async () => {
    const client = await connectXenstore(socketPath);
    await Promise.all(names.map((name) => client.write(`/many/${name}`, name)));
    expect(await output("xenstore-ls", "-f", "/many")).toBe(
      names.map((name) => `/many/${name} = "${name}"\n`).join(""),
    );
    expect(await output("xenstore-list", "/many")).toBe(names.map((name) => `${name}\n`).join(""));
    expect(await client.directory("/many")).toEqual(names);
    await output("xenstore-rm", "/many");
    expect((await run("xenstore-exists", "/many")).code).toBe(1);
    client.close();
  });
});

requires("xen-utils")("xenstore-control", () => {
  const control = (...words: string[]): Promise<Ran> =>
    run("/usr/lib/xen-4.17/bin/xenstore-control", ...words);

  test("check, print, quota and help", async () => {
    expect(await control("check")).toEqual({ code: 0, stdout: "OK\n", stderr: "" });
    expect(await control("print", "hello")).toEqual({ code: 0, stdout: "OK\n", stderr: "" });
    expect((await control("help")).stdout).toMatch(/^check\t/m);
    expect((await control("quota")).stdout).toMatch(/^nodes +: +1000 /m);
    expect((await control("quota", "set", "nodes", "1234")).stdout).toBe("OK\n");
    expect((await control("quota")).stdout).toMatch(/^nodes +: +1234 /m);
    expect((await control("quota", "set", "nodes", "1000")).stdout).toBe("OK\n");
    expect((await control("quota", "0")).stdout).toMatch(/^Domain 0:\nnodes/);
    expect((await control("quota-soft")).stdout).toMatch(/^Quota settings:/);
  });

  test("what it does not know", async () => {
    const { code, stderr } = await control("nonsense");
    expect(code).toBe(3);
    expect(stderr).toMatch(/^Command not supported\. Valid commands are:\ncheck\t\n/);
  });
});

requires("xenstore-utils", "xen-utils")("test-xenstore", () => {
  test("every test of it passes", async () => {
    const { code, stdout } = await run("/usr/lib/xen-4.17/bin/test-xenstore", "-i", "2000");
    expect(code).toBe(0);
    expect(stdout.match(/avg:/g)).toHaveLength(12);
  });
});

const pyxs = `
import os, pyxs
c = pyxs.Client(unix_socket_path=os.environ["XENSTORED_PATH"]); c.connect()
c.write(b"/p/x", b"1"); print(c.read(b"/p/x"), c.list(b"/p"), c.exists(b"/p/y"))
c.set_perms(b"/p/x", [b"n0", b"r5"]); print(c.get_perms(b"/p/x"))
c.transaction(); c.write(b"/p/y", b"2"); print(c.commit())
print(list(c.walk(b"/p")))
m = c.monitor(); m.watch(b"/p", b"token"); events = m.wait()
print(next(events)); c.delete(b"/p/x"); print(next(events))
print(c.get_domain_path(3), c.is_domain_introduced(3))
try: c.read(b"/nothing")
except pyxs.PyXSError as e: print(type(e).__name__, e.args[0])
c.close()
`;

requires("pyxs")("pyxs", () => {
  test("reads, writes, transactions, monitors", async () => {
    expect((await output("/usr/bin/python3", "-c", pyxs)).trimEnd().split("\n")).toEqual([
      "b'1' [b'x'] False",
      "[b'n0', b'r5']",
      "True",
      "[(b'/p', b'', [b'x', b'y']), (b'/p/x', b'1', []), (b'/p/y', b'2', [])]",
      "Event(path=b'/p', token=b'token')",
      "Event(path=b'/p/x', token=b'token')",
      "b'/local/domain/3' False",
      "PyXSError 2",
    ]);
  });
});
