// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import * as fc from "fast-check";
import { cellType, must } from "../engine/cells.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { checkHash } from "../engine/save.ts";
import { random } from "../engine/scheduler.ts";
import { hasEnded, joinThread, spawnThread } from "../engine/thread.ts";
import { addBlockDevice, addBridge } from "../drivers/backend-devices.ts";
import { setPending } from "../hypervisor/port.ts";
import { deviceNode } from "../xenbus/bus.ts";
import { parseState, XenbusState, xenbusStrState } from "../xenbus/state.ts";
import { registerXenbusWatch, unregisterXenbusWatch } from "../xenbus/watch.ts";
import { watchTokens, xenbusCell, xenbusQueueCell, xenbusRequestCell } from "../xenbus/xenbus.ts";
import type { WatchEvent } from "../xenbus/xenbus.ts";
import { pendingEvents } from "../xenbus/xenwatch.ts";
import { xenbusDirectory, xenbusPrintf, xenbusRead } from "../xenbus/xs.ts";
import { serverWrite } from "../xenstore/ring.ts";
import { encode, writeU32, XS } from "../xenstore/wire.ts";
import { TestHost } from "./testing.ts";

const seen = routine(
  "test_callback",
  (a: WatchEvent) => ({ ...a }),
  ({ step }) => [step("seen", (host, l) => host.emit("printk", { domid: l.domid, text: `event ${l.path}` }))],
);

/** Watches a node of dom0's, counts its events, and takes the watch back from within the callback's thread. */
const once = routine(
  "test_callback_once",
  (a: WatchEvent) => ({ ...a }),
  ({ step, call }) => [
    step("seen", (host, l) => host.emit("printk", { domid: l.domid, text: `event ${l.path}` })),
    call("unregister", unregisterXenbusWatch, ({ domid, token }) => ({ domid, token })),
  ],
);

/** While it is there, a callback does not return. */
const blocked = cellType<{ blocked: true }>("test-blocked");

const stuck = routine(
  "test_callback_stuck",
  (a: WatchEvent) => ({ ...a }),
  ({ waitFor, step }) => [
    waitFor("blocked", (host) => host.get(blocked, 0) === undefined),
    step("free", () => {}),
  ],
);

/** Runs a routine in dom0's kernel and gives its result or error. */
function inKernel<A extends object>(
  host: TestHost,
  what: Parameters<typeof spawnThread<A>>[2],
  args: A,
): unknown {
  host.act((h) => void spawnThread(h, "dom0/test", what, args, { joinable: true }));
  host.until((world) => hasEnded(world, "dom0/test"), `${what.name} ends`);
  const { errno, result } = host.act((h) => joinThread(h, "dom0/test"));
  return errno ?? result;
}

/** Paths a test callback was called with. */
function events(host: TestHost): string[] {
  return host.records.flatMap((r) =>
    r.kind === "printk" && r.data.text.startsWith("event") ? [r.data.text.slice(6)] : [],
  );
}

describe("xenbus states", () => {
  test.each([
    ["4", 4],
    ["  2", 2],
    ["6 and more", 6],
    ["", 0],
    ["closed", 0],
    ["-1", -1],
  ])("%j reads as %i", (text, state) => expect(parseState(text)).toBe(state));

  test("have names", () => {
    expect(Object.values(XenbusState).map(xenbusStrState)).toEqual(Object.keys(XenbusState));
    expect(xenbusStrState(9)).toBe("INVALID");
  });
});

describe("a bus", () => {
  test.each([
    ["backend", "backend/vif/1/0/state", "backend/vif/1/0"],
    ["backend", "backend/vif/1/0", "backend/vif/1/0"],
    ["backend", "backend/vif/1", null],
    ["frontend", "device/vbd/51712/state", "device/vbd/51712"],
    ["frontend", "device/vbd", null],
  ] as const)("%s: %s belongs to %s", (bus, path, node) => expect(deviceNode(bus, path)).toBe(node));
});

/** Puts bytes into the ring of replies to dom0's kernel, as a xenstored outside could, and tells it. */
function say(host: TestHost, ...messages: Uint8Array[]): void {
  host.act((h) => {
    const { mfn, port } = must(h, xenbusCell, 0);
    for (const bytes of messages) {
      const page = { read: readOf(h, mfn), write: writeOf(h, mfn) };
      expect(serverWrite(page, bytes)).toBe(bytes.length);
    }
    setPending(h, 0, port);
  });
  host.settle();
}

const readOf =
  (host: Host, mfn: number) =>
  (offset: number, length: number): Uint8Array =>
    host.memory.read(mfn, offset, length);

const writeOf =
  (host: Host, mfn: number) =>
  (offset: number, bytes: Uint8Array): void =>
    host.memory.write(mfn, offset, bytes);

/** A header and no body, whatever length it speaks of. */
function header(type: number, length: number): Uint8Array {
  const bytes = encode(type, 1, 0, "");
  writeU32(bytes, 12, length);
  return bytes;
}

/** What dom0's kernel said of its ring. */
function complaints(host: TestHost): string[] {
  return host.records.flatMap((r) =>
    r.kind === "printk" && r.data.text.startsWith("xenbus: ") ? [r.data.text.slice(8)] : [],
  );
}

describe("nonsense from xenstored is noted, and the kernel goes on", () => {
  test.each<[string, Uint8Array[], string[]]>([
    ["a length no message has", [header(XS.READ, 0xffff_ffff)], ["error -22 while reading message"]],
    ["a reply nobody waits for", [encode(XS.READ, 77, 0, "x")], ["error -2 while reading message"]],
    ["an event of one string", [encode(XS.WATCH_EVENT, 0, 0, "path\0")], ["error -22 while reading message"]],
    [
      "an event without its last NUL",
      [encode(XS.WATCH_EVENT, 0, 0, "p\0t")],
      ["error -22 while reading message"],
    ],
    ["an event of no watch", [encode(XS.WATCH_EVENT, 0, 0, "path\0token\0")], []],
    [
      "a wrong length before a whole event",
      [header(99, 5000), encode(XS.WATCH_EVENT, 0, 0, "x\0y\0z\0")],
      ["error -22 while reading message", "error -22 while reading message"],
    ],
  ])("%s", (_what, messages, said) => {
    const host = new TestHost();
    say(host, ...messages);
    expect(complaints(host)).toEqual(said);
    expect(inKernel(host, xenbusPrintf, { domid: 0, dir: "data", name: "a", value: "b" })).toBeNull();
    expect(inKernel(host, xenbusRead, { domid: 0, dir: "data", name: "a" })).toBe("b");
  });

  test("impossible indices empty the ring of replies", () => {
    const host = new TestHost();
    host.act((h) => {
      const { mfn, port } = must(h, xenbusCell, 0);
      h.memory.write(mfn, 2056, Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 9));
      setPending(h, 0, port);
    });
    host.settle();
    expect(complaints(host)).toEqual(["error -5 while reading message"]);
    expect(inKernel(host, xenbusDirectory, { domid: 0, dir: "/local/domain", name: "" })).toEqual(["0"]);
  });

  test("impossible indices of the ring of requests fail the request, and no later one", () => {
    const host = new TestHost();
    host.act((h) => h.memory.write(must(h, xenbusCell, 0).mfn, 2048, Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 9)));
    expect(inKernel(host, xenbusDirectory, { domid: 0, dir: "/local/domain", name: "" })).toBe("EIO");
    expect(complaints(host)).toEqual(["error -5 while writing message"]);
    expect(inKernel(host, xenbusDirectory, { domid: 0, dir: "/local/domain", name: "" })).toEqual(["0"]);
  });

  test.each([
    ["another type", encode(XS.WRITE, 1, 0, "OK\0"), "EINVAL"],
    ["an error of no name", encode(XS.ERROR, 1, 0, "what?"), "EINVAL"],
    ["an error's name without its NUL", encode(XS.ERROR, 1, 0, "ENOENT"), "ENOENT"],
  ])("a reply of %s is the request's failure", (_what, reply, errno) => {
    const host = new TestHost();
    host.act((h) => {
      const args = { domid: 0, dir: "data", name: "x" };
      spawnThread(h, "dom0/test", xenbusRead, args, { joinable: true });
    });
    host.until((world) => world.get(xenbusRequestCell, "0/1")?.state === "wait_reply", "it is sent");
    host.act((h) => {
      const { mfn, port } = must(h, xenbusCell, 0);
      // Before xenstored, which has not looked yet.
      serverWrite({ read: readOf(h, mfn), write: writeOf(h, mfn) }, reply);
      setPending(h, 0, port);
    });
    host.until((world) => hasEnded(world, "dom0/test"), "it is answered");
    expect(host.act((h) => joinThread(h, "dom0/test")).errno).toBe(errno);
  });
});

describe("a kernel's requests", () => {
  test("may be longer than the ring, and so may replies", () => {
    const host = new TestHost();
    const value = "x".repeat(3000);
    expect(inKernel(host, xenbusPrintf, { domid: 0, dir: "data", name: "long", value })).toBeNull();
    expect(inKernel(host, xenbusRead, { domid: 0, dir: "data", name: "long" })).toBe(value);
    expect(must(host.world, xenbusQueueCell, 0)).toMatchObject({ requests: [], writes: [], written: 0 });
    expect(must(host.world, xenbusCell, 0).users).toBe(0);
  });

  test("fail with xenstored's error", () => {
    const host = new TestHost();
    expect(inKernel(host, xenbusRead, { domid: 0, dir: "data", name: "nothing" })).toBe("ENOENT");
  });

  test("of several threads are answered to the one that asked, under any schedule", () => {
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 2, max: 8 }), (seed, threads) => {
        const host = new TestHost({ seed, scheduler: random });
        const names = Array.from({ length: threads }, (_, at) => `node${at}`);
        host.store(
          ...names.map((name): ["WRITE", string] => ["WRITE", `/local/domain/0/data/${name}\0${name}`]),
        );
        host.act((h) => {
          for (const name of names) {
            spawnThread(h, `dom0/${name}`, xenbusRead, { domid: 0, dir: "data", name }, { joinable: true });
          }
        });
        host.settle();
        const answers = host.act((h) => names.map((name) => joinThread(h, `dom0/${name}`).result));
        expect(answers).toEqual(names);
      }),
      { numRuns: 20 },
    );
  });

  test("list children in xenstored's order", () => {
    const host = new TestHost();
    host.store(["WRITE", "/local/domain/0/data/b\0"], ["WRITE", "/local/domain/0/data/a\0"]);
    expect(inKernel(host, xenbusDirectory, { domid: 0, dir: "data", name: "" })).toEqual(["b", "a"]);
  });
});

describe("a kernel's watches", () => {
  const watch = (callback: string, onePending = false) =>
    ({ domid: 0, node: "data", token: "test", callback, onePending }) as const;

  test("are called once when they are registered, and then for every event, in order", () => {
    const host = new TestHost();
    inKernel(host, registerXenbusWatch, watch(seen.name));
    host.write("/local/domain/0/data/a", "1");
    host.write("/local/domain/0/data/b", "2");
    host.settle();
    expect(events(host)).toEqual(["data", "data/a", "data/b"]);
  });

  test("may be taken back from within their callback: no event comes after that", () => {
    const host = new TestHost();
    inKernel(host, registerXenbusWatch, watch(once.name));
    host.write("/local/domain/0/data/a", "1");
    host.settle();
    expect(events(host)).toEqual(["data"]);
    expect(watchTokens(host.world, 0)).not.toContain("test");
  });

  test("that take one event at a time hold back a frontend that floods them (XSA-349)", () => {
    const host = new TestHost();
    inKernel(host, registerXenbusWatch, watch(seen.name, true));
    host.settle();
    // xenwatch is kept busy while a hundred writes come in.
    host.act((h) => h.add(blocked, 0, { blocked: true }));
    inKernel(host, registerXenbusWatch, { ...watch(stuck.name), token: "stuck", node: "other" });
    host.settle();
    for (let at = 0; at < 100; at++) host.write("/local/domain/0/data/a", String(at));
    host.settle();
    expect(pendingEvents(host.world, 0).filter(({ token }) => token === "test")).toEqual([
      { token: "test", path: "data/a" },
    ]);
    host.act((h) => h.drop(blocked, 0));
    host.settle();
    expect(events(host)).toEqual(["data", "data/a"]);
  });

  test("are refused by xenstored for a node that cannot be: nothing is left", () => {
    const host = new TestHost();
    expect(inKernel(host, registerXenbusWatch, { ...watch(seen.name), node: "bad//path" })).toBe("EINVAL");
    expect(watchTokens(host.world, 0)).not.toContain("test");
  });
});

describe("devices of a guest with two vCPUs", () => {
  function connected(seed: number): TestHost {
    const host = new TestHost({ seed, scheduler: random, tracking: { undo: true, hash: true } });
    host.act((h) => {
      addBlockDevice(h, "7:0", "/dev/loop0", 32768);
      addBridge(h, "xenbr0");
    });
    const domid = host.build("mode=idle dev=1", { vcpus: 2, pages: 1024 });
    host.addDisk(domid, 51712, "/dev/loop0");
    host.addNic(domid, 0, "xenbr0");
    host.settle();
    host.hotplug("vbd", domid, 51712, "add");
    host.hotplug("vif", domid, 0, "online");
    host.unpause(domid);
    host.pass(5);
    return host;
  }

  test("have a queue for each, with nodes in a directory each", () => {
    const host = connected(1);
    expect(host.states("vbd", 1, 51712)).toBe("4 4");
    expect(host.states("vif", 1, 0)).toBe("4 4");
    const home = "/local/domain/1/device";
    expect(host.read(`${home}/vif/0/multi-queue-num-queues`)).toBe("2");
    expect(host.read(`${home}/vbd/51712/multi-queue-num-queues`)).toBe("2");
    for (const queue of ["queue-0", "queue-1"]) {
      expect(host.read(`${home}/vif/0/${queue}/tx-ring-ref`)).toMatch(/^\d+$/);
      expect(host.read(`${home}/vbd/51712/${queue}/ring-ref`)).toMatch(/^\d+$/);
    }
  });

  test("connect under any schedule, with every cell's hash right", () => {
    for (let seed = 2; seed <= 6; seed++) {
      const host = connected(seed);
      expect(host.states("vbd", 1, 51712)).toBe("4 4");
      expect(host.states("vif", 1, 0)).toBe("4 4");
      expect(() => checkHash(host.world)).not.toThrow();
    }
  });
});
