// SPDX-License-Identifier: Apache-2.0
//
// Pages that processes of dom0 share: /dev/xen/gntalloc through Debian's
// libxengnttab, channels over them through its libxenvchan, and its
// vchan-socket-proxy as both ends of one.

import { execFileSync } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { existsSync } from "node:fs";
import * as net from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { must } from "../../src/core/engine/cells.ts";
import { gntallocCell } from "../../src/core/drivers/gntalloc.ts";
import { checkLedger } from "../../src/core/hypervisor/check-ledger.ts";
import { pagesInUseCell } from "../../src/core/hypervisor/pages-in-use.ts";
import { findNextBit } from "../../src/core/hypervisor/bitmap.ts";
import { portsInUse } from "../../src/core/hypervisor/port.ts";
import { requires } from "../capabilities.ts";
import { RealHost, until } from "./real-host.ts";

const PROXY = "/usr/lib/xen-4.17/bin/vchan-socket-proxy";

let host: RealHost;
let program = "";

/** A running program and what it has said so far. */
class Talk {
  readonly child: ChildProcess;
  said = "";

  constructor(...command: [string, ...string[]]) {
    this.child = host.spawn(...command);
    for (const stream of [this.child.stdout, this.child.stderr])
      stream?.on("data", (text: Buffer) => (this.said += text.toString()));
  }

  says(text: string): Promise<void> {
    return until(`"${text}" after "${this.said}"`, () => this.said.includes(text));
  }

  ended(): Promise<void> {
    return until(`its end, after "${this.said}"`, () => {
      return this.child.exitCode !== null || this.child.signalCode !== null;
    });
  }
}

/** Pages and ports of dom0's that are in use. */
function held(): { pages: number; ports: number } {
  const { world } = host.live;
  let ports = 0;
  for (let at = findNextBit(world, portsInUse(0), 0); at >= 0; ports++)
    at = findNextBit(world, portsInUse(0), at + 1);
  return { pages: must(world, pagesInUseCell, 0).mfns.length, ports };
}

/** Nothing of what programs shared is left, once the next one has asked for a page. */
async function nothingIsLeft(before: { pages: number; ports: number }): Promise<void> {
  await host.ok(program, "device");
  await until(`${JSON.stringify(before)} is in use`, () => {
    const now = held();
    return now.pages === before.pages && now.ports === before.ports;
  });
  expect(checkLedger(host.live.world, 0)).toEqual([]);
  expect(host.live.world.count(gntallocCell)).toBe(0);
  expect(host.warnings).toEqual([]);
}

requires(
  "xen-utils",
  "xenstore-utils",
  "libxen-dev",
  "c-compiler",
)("pages of dom0's processes", () => {
  beforeAll(async () => {
    host = await RealHost.start();
    program = join(host.folder, "vchan");
    const source = join(import.meta.dirname, "vchan.c");
    execFileSync("gcc", ["-Wall", "-Werror", "-o", program, source, "-lxenvchan", "-lxengnttab"]);
  }, 60_000);

  afterAll(() => host.stop());

  test("gntalloc: its limit, its offsets, and what it refuses", async () => {
    const before = held();
    const said = (await host.ok(program, "device")).trimEnd().split("\n");
    expect(said).toEqual([
      "open 0 0",
      "alloc 2 0 0",
      "alloc 1023 -1 28",
      "alloc 1022 0 0",
      "indices 8192 0",
      "map nowhere -1 2",
      "map too many -1 2",
      "map 0 0",
      "notify nowhere -1 2",
      "notify oddly -1 22",
      "notify no port -1 22",
      "notify 0 0",
      "dealloc none -1 22",
      "dealloc 0 0",
      "dealloc again -1 22",
      "still mapped 7 0",
      "no ioctl -1 25",
      "full -1 28",
      "room 0 0",
    ]);
    await nothingIsLeft(before);
  }, 60_000);

  test("a page that is mapped when its owner gives it up is freed later", async () => {
    const before = held();
    const sharer = new Talk(program, "share", "0");
    await sharer.says("unshared");
    expect(sharer.said).toMatch(/^ref \d+\nmaps shared 1\nunshared shared 0\n$/);
    expect(held().pages, "it is mapped still").toBe(before.pages + 1);
    sharer.child.stdin?.end("\n");
    await sharer.ended();
    await nothingIsLeft(before);
  }, 60_000);

  test.each([
    ["in one page", 1000],
    ["with rings of their own", 40_000],
  ])(
    "libxenvchan, %s: both ends talk, and each learns of the other's death",
    async (_name, size) => {
      const before = held();
      const path = `/local/domain/0/data/vchan/${size}`;
      for (const dies of ["server", "client"] as const) {
        const server = new Talk(program, "server", "0", path, String(size));
        await server.says("init 0 0");
        const client = new Talk(program, "client", "0", path, String(size));
        await client.says("init 0 0");
        const line = `${"there and back ".repeat(60)}\n`;
        client.child.stdin?.write(line);
        await client.says(line);
        expect(client.said).toBe(`init 0 0\n${line}`);
        const [dead, other] = dies === "server" ? [server, client] : [client, server];
        dead.child.kill("SIGKILL");
        if (other === client) {
          await until("the client sees it", () => {
            client.child.stdin?.write("?\n");
            return client.said.includes("open 0 0");
          });
        } else await server.says("open 0 0");
        await other.ended();
        await host.run("xenstore-rm", path);
      }
      await nothingIsLeft(before);
    },
    60_000,
  );

  test("vchan-socket-proxy: two of them join two sockets", async () => {
    const before = held();
    const [near, far] = [join(host.folder, "near"), join(host.folder, "far")];
    const listener = net.createServer((socket) => void socket.pipe(socket)).listen(far);
    const path = "/local/domain/0/data/proxy";
    const server = new Talk(PROXY, "-m", "server", "-s", `${path}-state`, "0", path, far);
    const client = new Talk(PROXY, "-m", "client", "0", path, near);
    await until("the client listens", () => existsSync(near));
    const socket = net.connect(near);
    let back = "";
    socket.on("data", (text) => (back += text.toString()));
    socket.on("error", () => {});
    for (let round = 1; round <= 20; round++) {
      socket.write(String(round).padEnd(500));
      await until(`round ${round}, after "${server.said}${client.said}"`, () => back.length === round * 500);
    }
    expect(back.trimEnd()).toMatch(/20$/);
    socket.end();
    for (const proxy of [client, server]) {
      proxy.child.kill("SIGTERM");
      await proxy.ended();
    }
    listener.close();
    await nothingIsLeft(before);
  }, 60_000);
});
