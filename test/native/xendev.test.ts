// SPDX-License-Identifier: Apache-2.0
//
// libxendev against a host that only adds numbers: descriptors, threads,
// signals, fork and exec, and that every page mapped is given back once.

import { execFileSync, spawn, spawnSync } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { fail, isFailure } from "../../src/core/engine/errno.ts";
import { Attention } from "../../src/live/attention.ts";
import { mapFrames } from "../../src/live/bridge/device.ts";
import type { Device, OpenDevice, Send } from "../../src/live/bridge/device.ts";
import type { Release } from "../../src/live/bridge/mappings.ts";
import { BridgeServer } from "../../src/live/bridge/server.ts";
import { StandingAnswers } from "../../src/live/bridge/standing.ts";
import { FileMemory } from "../../src/live/guest-memory.ts";
import type { FrameRun } from "../../src/live/guest-memory.ts";
import { libxendev } from "../../src/live/native.ts";
import { requires } from "../capabilities.ts";

/** References on frames, as a hypervisor would count them. */
const held = new Map<number, number>();
/** First words of what was refused, or stands. */
const asked: number[] = [];
let folder: string;
let memory: FileMemory;
let standing: StandingAnswers;
let server: BridgeServer;
let library: string;
let client: string;
let awake: string;

function hold(mfn: number, by: number): void {
  held.set(mfn, (held.get(mfn) ?? 0) + by);
  if (held.get(mfn) === 0) held.delete(mfn);
}

function holdRun({ mfn, pages }: FrameRun, by: number): void {
  for (let i = 0; i < pages; i++) hold(mfn + i, by);
}

function privcmd(): Device {
  return {
    ioctl(session, number, argument, inline, answer, place) {
      const word = (at: number): number => Number(inline.readBigUInt64LE(at * 8));
      switch (number & 255) {
        case 200:
          return answer(word(0) + word(1));
        case 201:
          session.process.write(argument, Buffer.concat([inline.subarray(8, 16), inline.subarray(0, 8)]));
          return answer(0);
        case 202:
          return void setTimeout(() => answer(word(0)), word(1));
        case 203: {
          const pages = word(1);
          holdRun({ mfn: word(2), pages }, 1);
          const release: Release = (gone) => gone.forEach((piece) => holdRun(piece, -1));
          return answer(0, mapFrames(memory, session, word(0), [word(2), pages], true, release) ?? undefined);
        }
        case 204: {
          const found = session.process.read(word(2), 8);
          if (isFailure(found) || place === null) return answer(fail("EFAULT"));
          const first = Number(Buffer.from(found).readBigUInt64LE());
          asked.push(first);
          const written = session.process.write(word(3), Uint8Array.of(0xea, 0xff, 0xff, 0xff));
          if (isFailure(written)) return answer(written);
          const stands = { place: place.known, first, last: first + 100, same: 8, from: 2, to: 3, told: -22 };
          return answer(0, { ...stands, count: standing.give() });
        }
        case 205:
          standing.end();
          return answer(0);
        case 0:
          asked.push(word(0));
          return answer(fail("ENOSYS"), word(0) === 7 ? "always" : undefined);
        default:
          return answer(fail("ENOTTY"));
      }
    },
    mmap: (_session, _asked, answer) => answer(0),
    close: () => {},
  };
}

function evtchn(send: Send): Device {
  return {
    ioctl: (_session, _number, _argument, _inline, answer) => answer(fail("ENOTTY")),
    mmap: (_session, _asked, answer) => answer(fail("ENODEV")),
    written: (bytes) => send(Uint8Array.of((bytes[0] as number) + 1, 0, 0, 0)),
    close: () => {},
  };
}

function start(what: string): ChildProcess {
  return spawn(client, [what], {
    env: {
      ...process.env,
      LD_PRELOAD: library,
      XENOLITH_BRIDGE: folder,
      XENSTORED_PATH: join(folder, "store"),
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
}

async function run(what: string): Promise<{ code: number | null; stderr: string }> {
  const child = start(what);
  let stderr = "";
  child.stderr?.on("data", (text: Buffer) => (stderr += text.toString()));
  const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
  return { code, stderr };
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 30_000;
  while (!condition() && performance.now() < deadline)
    await new Promise((resolve) => setTimeout(resolve, 20));
  expect(condition()).toBe(true);
}

requires("c-compiler")("libxendev", () => {
  const build = fs.mkdtempSync(join(tmpdir(), "xenolith-client-"));

  beforeAll(() => {
    library = libxendev();
    client = join(build, "client");
    awake = join(build, "awake");
    execFileSync("gcc", ["-Wall", "-o", client, join(import.meta.dirname, "client.c"), "-lpthread"]);
    execFileSync("gcc", ["-Wall", "-o", awake, join(import.meta.dirname, "awake.c")]);
  });
  afterAll(() => fs.rmSync(build, { recursive: true }));

  beforeEach(async () => {
    folder = fs.mkdtempSync(join(tmpdir(), "xenolith-bridge-"));
    fs.mkdirSync(join(folder, "files/proc/xen"), { recursive: true });
    fs.mkdirSync(join(folder, "files/dev/xen"), { recursive: true });
    fs.writeFileSync(join(folder, "files/proc/xen/capabilities"), "control_d\n");
    fs.writeFileSync(join(folder, "files/dev/xen/privcmd"), "");
    fs.writeFileSync(join(folder, "files/dev/xen/hypercall"), "");
    memory = new FileMemory(join(folder, "memory"));
    standing = new StandingAnswers(folder);
    server = new BridgeServer({
      domid: 0,
      devices: new Map<string, OpenDevice>([
        ["/dev/xen/privcmd", () => privcmd()],
        ["/dev/xen/evtchn", (_process, send) => evtchn(send)],
      ]),
      memoryFolder: memory.folder,
      attention: new Attention(),
      failed: (error) => {
        throw error;
      },
    });
    await server.listen(join(folder, "socket"));
    held.clear();
  });
  afterEach(async () => {
    await server.close();
    standing.close();
    fs.rmSync(folder, { recursive: true });
  });

  test.each(["answered", "in-vain", "pays-again", "one-processor", "non-blocking", "no-socket"])(
    "an answer is waited for awake: %s",
    (what) => expect(spawnSync(awake, [what], { encoding: "utf8" })).toMatchObject({ status: 0, stderr: "" }),
  );

  test.each([
    "calls",
    "files",
    "descriptors",
    "closed-behind",
    "threads",
    "signals",
    "mappings",
    "events",
    "buffers",
  ])("%s", async (what) => {
    expect(await run(what)).toEqual({ code: 0, stderr: "" });
    await until(() => server.processes().length === 0);
    expect([...held]).toEqual([]);
  });

  test("a thread that asks xenstored waits as read() does, however it ends", async () => {
    const store = createServer((socket) => {
      socket.on("error", () => {});
      socket.on("data", (bytes) => (bytes.toString() === "q" ? socket.end() : socket.write(bytes)));
    });
    await new Promise<void>((resolve) => store.listen(join(folder, "store"), resolve));
    expect(await run("store")).toEqual({ code: 0, stderr: "" });
    store.close();
  });

  test("a host that goes away during a call is missed at once", async () => {
    const child = start("wait");
    await new Promise((resolve) => child.stdout?.once("data", resolve));
    const ended = once(child, "close");
    await server.close();
    expect(await ended).toEqual([19, null]);
    await server.listen(join(folder, "socket"));
  });

  test("what is always refused is asked once of a device, until something else is asked of it", async () => {
    asked.length = 0;
    expect(await run("refused")).toEqual({ code: 0, stderr: "" });
    expect(asked).toEqual([7, 8, 8, 7, 7]);
  });

  test("an answer that stands is asked for once, until the host takes a step", async () => {
    asked.length = 0;
    expect(await run("standing")).toEqual({ code: 0, stderr: "" });
    expect(asked).toEqual([10, 111, 110, 120, 121, 122, 124, 125, 128, 129]);
  });

  test("a page is held until it is unmapped, or its process is killed, whatever it closed", async () => {
    const child = start("hold");
    await new Promise((resolve) => child.stdout?.once("data", resolve));
    expect([...held.keys()]).toEqual([50, 51, 52, 53]);
    await new Promise((resolve) => setTimeout(resolve, 700));
    expect(held.size).toBe(4);
    child.kill("SIGKILL");
    await until(() => held.size === 0);
  });

  test("without a host it says so, once, and the device does not exist", async () => {
    await server.close();
    const { code, stderr } = await run("open");
    expect(code).toBe(19);
    expect(stderr).toMatch(
      /^xenolith: no host is running here; start one with: xenolith up \(bridge .*\)\n$/,
    );
    await server.listen(join(folder, "socket"));
  });
});
