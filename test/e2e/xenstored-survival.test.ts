// SPDX-License-Identifier: Apache-2.0
//
// What outlives a xenstored: with a journal what was acknowledged, whenever it
// is killed; with a live update everything, clients included.

import { cpSync, existsSync, readFileSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { startReal } from "../../bench/xenstored/real.ts";
import type { XenstoreClient } from "../../src/client/index.ts";
import { encode, parse, readLatin1, XS } from "../../src/core/xenstore/wire.ts";
import { requires } from "../capabilities.ts";
import { killRounds } from "./kill-rounds.ts";
import { bin, folder, xenolith } from "./xenolith.ts";
import {
  clientOf,
  killNamed,
  killServing,
  liveUpdate,
  servingPid,
  startXenstored,
} from "./xenstored-process.ts";

test("kill -9 at any moment: what was acknowledged is there, whole, and nothing else", async () => {
  for (const fsync of ["always", "never"] as const) {
    const { acknowledged } = await killRounds({ rounds: 3, dir: folder(), fsync, seed: 11, liveMs: 250 });
    expect(acknowledged).toBeGreaterThan(5);
  }
});

test("a journal's damage is told with the place and what to do, and that helps", async () => {
  const dir = folder();
  const state = join(dir, "journal");
  const first = await startXenstored(dir, "--state", state);
  const client = await clientOf(first.socketPath);
  await client.write("/a", "1");
  const sound = statSync(state).size;
  await client.write("/b", "2");
  await client.write("/c", "3");
  await killServing(first.pidFile);
  const bytes = readFileSync(state);
  bytes[sound + 30] = (bytes[sound + 30] as number) ^ 1;
  writeFileSync(state, bytes);
  const refused = xenolith(["xenstored", "--socket", first.socketPath, "--state", state]);
  expect(refused.code).toBe(1);
  expect(refused.err).toContain(`${state} is damaged at byte ${sound}: a frame is damaged`);
  expect(refused.err).toContain(`Try: cp ${state} ${state}.damaged && truncate --size=${sound} ${state}`);
  cpSync(state, `${state}.damaged`);
  truncateSync(state, sound);
  const second = await startXenstored(dir, "--state", state);
  const again = await clientOf(second.socketPath);
  expect([await again.read("/a"), await again.exists("/b")]).toEqual(["1", false]);
  const other = xenolith(["xenstored", "--socket", join(dir, "other"), "--state", state]);
  expect(other.err).toContain(`process ${servingPid(second.pidFile)} writes this journal`);
});

/** A client that sends bytes as they are. */
function raw(socketPath: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(socketPath, () => resolve(socket)).on("error", reject);
    onTestFinished(() => void socket.destroy());
  });
}

/** Everything that comes on a socket until the reply with that id, as `TYPE body`. */
function messages(socket: Socket, lastReqId: number): Promise<string[]> {
  return new Promise((resolve, reject) => {
    let bytes = Buffer.alloc(0);
    const found: string[] = [];
    socket.on("close", () => reject(new Error(`closed after ${found.length} messages`)));
    socket.on("data", (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk]);
      let at = 0;
      for (;;) {
        const parsed = parse(bytes, at);
        if (parsed.state !== "packet") break;
        found.push(`${parsed.type} ${readLatin1(bytes, parsed.start, parsed.end)}`);
        at = parsed.end;
        if (parsed.reqId === lastReqId) resolve(found);
      }
      bytes = bytes.subarray(at);
    });
  });
}

/** Events of a watch that come until one for `last`. */
async function eventsUntil(client: XenstoreClient, path: string, last: string): Promise<string[]> {
  const paths: string[] = [];
  for await (const event of await client.watch(path)) {
    paths.push(event.path);
    if (event.path === last) break;
  }
  return paths;
}

test("a live update: clients, transactions, watches, half requests and full buffers go on", async () => {
  const dir = folder();
  const { socketPath, pidFile, running } = await startXenstored(dir, "--state", join(dir, "journal"));
  const pid = servingPid(pidFile);
  const [control, busy, watcher] = [
    await clientOf(socketPath),
    await clientOf(socketPath),
    await clientOf(socketPath),
  ];
  await control.write("/flood/x", "0");
  const transaction = await busy.begin();
  await transaction.write("/in/transaction", "1");
  const conflicting = await busy.begin();
  await conflicting.read("/flood/x");
  await conflicting.write("/never", "1");
  const events = eventsUntil(watcher, "/after", "/after/last");
  // One that asked, and has taken nothing of 40 MB for its answers: more than any buffer holds.
  const slow = await raw(socketPath);
  slow.pause();
  const value = "v".repeat(4000);
  await control.write("/big", value);
  for (let i = 1; i <= 10_000; i++) slow.write(encode(XS.READ, i, 0, "/big\0"));
  // One in the middle of a request.
  const half = await raw(socketPath);
  const request = encode(XS.WRITE, 5, 0, "/half\0value");
  half.write(request.subarray(0, 20));
  for (let i = 0; i < 20; i++) await control.write("/flood/x", String(i));

  expect(await liveUpdate(control, bin)).toBe("OK");
  expect(servingPid(pidFile)).not.toBe(pid);
  const answered = messages(half, 5);
  half.write(request.subarray(20));
  expect(await answered).toEqual(["11 OK\0"]);
  await transaction.write("/in/more", "2");
  await transaction.commit();
  await expect(conflicting.commit()).rejects.toMatchObject({ code: "EAGAIN" });
  expect(await control.read("/in/more")).toBe("2");
  const all = messages(slow, 10_000);
  slow.resume();
  expect(new Set(await all)).toEqual(new Set([`2 ${value}`]));
  expect(await all).toHaveLength(10_000);
  await control.write("/after/last", "1");
  expect(await events).toEqual(["/after", "/after/last"]);
  // The process before stays until all it had begun to send has arrived, and no longer.
  if (running.process.exitCode === null) await once(running.process, "exit");
  const newcomer = await clientOf(socketPath);
  expect(await newcomer.exists("/never")).toBe(false);
  // And all of it is in the journal of the successor.
  await killServing(pidFile);
  const next = await startXenstored(dir, "--state", join(dir, "journal"));
  expect(await (await clientOf(next.socketPath)).read("/in/more")).toBe("2");
});

test("live updates under load: every request of every client is answered once, in order", async () => {
  const { socketPath, pidFile } = await startXenstored(folder());
  const control = await clientOf(socketPath);
  const load = { over: false };
  const worker = async (name: number): Promise<number> => {
    const client = await clientOf(socketPath);
    let done = 0;
    for (; !load.over; done++) {
      await client.write(`/load/${name}`, String(done));
      expect(await client.read(`/load/${name}`)).toBe(String(done));
    }
    return done;
  };
  const workers = [worker(0), worker(1), worker(2)];
  const comers = (async (): Promise<number> => {
    let come = 0;
    for (; !load.over; come++) {
      const client = await clientOf(socketPath);
      expect(await client.exists("/tool")).toBe(true);
      client.close();
    }
    return come;
  })();
  const pids = new Set([servingPid(pidFile)]);
  for (let i = 0; i < 3; i++) {
    expect(await liveUpdate(control, bin)).toBe("OK");
    pids.add(servingPid(pidFile));
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  load.over = true;
  expect(pids.size).toBe(4);
  for (const done of await Promise.all(workers)) expect(done).toBeGreaterThan(3);
  expect(await comers).toBeGreaterThan(3);
});

test("a live update that fails leaves all as it was, and says why", async () => {
  const dir = folder();
  const { socketPath, pidFile } = await startXenstored(dir, "--xen-version", "4.23");
  const pid = servingPid(pidFile);
  const [control, other] = [await clientOf(socketPath), await clientOf(socketPath)];
  const transaction = await other.begin();
  await transaction.write("/t", "1");
  expect(await liveUpdate(control, join(dir, "none"))).toBe("File not accessible.");
  expect(await liveUpdate(control, pidFile)).toBe("File not executable.");
  expect(await control.control("live-update", "-s")).toBe("Not in live-update session.");
  expect(await control.control("live-update", "-a")).toBe("No live-update session active.");
  await expect(control.control("live-update", "-x")).rejects.toMatchObject({ code: "EINVAL" });
  // Another program is not given open transactions: it would not know what to do with them.
  expect(await liveUpdate(control, "/bin/false", { start: ["-t", "1"] })).toBe(
    "Domains with long running transactions:\nDomain 0: 1 s",
  );
  expect(await liveUpdate(control, "/bin/false", { start: ["-t", "0", "-F"] })).toMatch(/it ended with 1$/);
  expect(await liveUpdate(control, bin, { cmdline: "xenstored" })).toMatch(/it ended with 2$/);
  expect(await liveUpdate(control, bin, { start: ["-v", "3"] })).toBe(
    "Migration stream version not supported.",
  );
  expect(await control.control("live-update", "-a")).toBe("OK");
  expect(servingPid(pidFile)).toBe(pid);
  await transaction.commit();
  expect(await control.read("/t")).toBe("1");
  expect(await (await clientOf(socketPath)).read("/t")).toBe("1");
  expect(existsSync(join(dir, "state_dump"))).toBe(false);
});

requires(
  "xen-utils",
  "libxen-dev",
  "c-compiler",
)("live update with the real C xenstored", () => {
  test("it hands over to us, and we to it, and clients notice nothing", async () => {
    const run = join(folder(), "run");
    const real = await startReal("c", run);
    const pidFile = join(run, "ours.pid");
    const realPid = join(run, "c.pid");
    onTestFinished(() => {
      killNamed(pidFile);
      killNamed(realPid);
      return real.stop();
    });
    const [control, watcher] = [await clientOf(real.socketPath), await clientOf(real.socketPath)];
    await control.write("/vm/a", "1");
    await control.setPerms("/vm/a", ["n0", "r5"]);
    const events = eventsUntil(watcher, "/vm", "/vm/last");
    const ours = `xenstored --socket ${real.socketPath} --pid-file ${pidFile}`;
    expect(await liveUpdate(control, bin, { cmdline: ours, start: ["-t", "5"] })).toBe("OK");
    expect(await control.control("help")).toContain("live-update");
    expect(await control.directory("/")).toEqual(["tool", "vm"]);
    expect(await control.getPerms("/vm/a")).toEqual(["n0", "r5"]);
    await control.write("/vm/b", "2");
    expect(existsSync(pidFile)).toBe(true);
    const theirs = `--no-fork --internal-db --pid-file ${realPid}`;
    const program = "/usr/lib/xen-4.17/bin/xenstored";
    expect(await liveUpdate(control, program, { cmdline: theirs, start: ["-t", "5"] })).toBe("OK");
    await control.write("/vm/last", "3");
    expect(await events).toEqual(["/vm", "/vm/b", "/vm/last"]);
    expect(await control.read("/vm/b")).toBe("2");
    expect(await (await clientOf(real.socketPath)).getPerms("/vm/a")).toEqual(["n0", "r5"]);
    expect(servingPid(realPid)).not.toBe(real.process.pid);
  });
});
