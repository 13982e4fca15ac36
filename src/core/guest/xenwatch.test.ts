// SPDX-License-Identifier: Apache-2.0
//
// xenwatch as a policy: which thread runs a callback, in what order, for how
// long a domain has a thread, and what taking a watch back promises.

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { cellType } from "../engine/cells.ts";
import { mailboxCell } from "../engine/mailbox.ts";
import { routine } from "../engine/routine.ts";
import { random } from "../engine/scheduler.ts";
import type { Scheduler } from "../engine/scheduler.ts";
import { hasEnded, joinThread, spawnThread, stackOf, threadCell } from "../engine/thread.ts";
import { addBridge } from "../drivers/backend-devices.ts";
import * as domctl from "../hypervisor/domctl.ts";
import { domainCell } from "../hypervisor/domain.ts";
import type { XenVersionName } from "../hypervisor/version.ts";
import { registerXenbusWatch, unregisterXenbusWatch } from "../xenbus/watch.ts";
import { watchTokens, xenwatchPolicies } from "../xenbus/xenbus.ts";
import type { WatchEvent, XenwatchPolicy } from "../xenbus/xenbus.ts";
import { cancelEvents, mailboxesOf, mtwatchDomainCell, pendingEvents } from "../xenbus/xenwatch.ts";
import { TestHost, TOOLSTACK } from "./testing.ts";

/** While there is one for a domain, callbacks about it do not return. */
const stuckCell = cellType<{ stuck: true }>("test-stuck");

/** Whose event a path below `backend/x` is. */
const domidIn = (path: string): number => Number(path.split("/")[2] ?? 0);

const callback = routine(
  "test_xenwatch_callback",
  (a: WatchEvent) => ({ ...a, of: domidIn(a.path) }),
  ({ step, waitFor }) => [
    step("begin", (host, l) => {
      const thread = host.current.slice("dom0/".length);
      host.emit("printk", { domid: 0, text: `begin ${l.token} ${l.path} in ${thread}` });
    }),
    waitFor("stuck", (host, l) => host.get(stuckCell, l.of) === undefined),
    step("end", (host, l) => host.emit("printk", { domid: 0, text: `end ${l.token} ${l.path}` })),
  ],
);

const takesItselfBack = routine(
  "test_xenwatch_takes_itself_back",
  (a: WatchEvent) => ({ ...a }),
  ({ step, call }) => [
    step("begin", (host, l) => host.emit("printk", { domid: 0, text: `begin ${l.token} ${l.path}` })),
    call("unregister", unregisterXenbusWatch, ({ domid, token }) => ({ domid, token })),
  ],
);

interface Setting {
  policy?: XenwatchPolicy;
  seed?: number;
  scheduler?: Scheduler;
  version?: XenVersionName;
}

/** A host whose dom0 watches `backend/x` as the bus does: whose event it is, the path says. */
function watching(setting: Setting = {}): TestHost {
  const host = new TestHost({ policy: "per-domain", ...setting });
  run(host, registerXenbusWatch, { ...watch("shared", "backend/x"), getDomid: "path" as const });
  host.settle();
  host.records.length = 0;
  return host;
}

const watch = (token: string, node: string, callbackName = callback.name) => ({
  domid: 0,
  node,
  token,
  callback: callbackName,
});

/** Runs a routine in dom0's kernel to its end. */
function run<A extends object>(host: TestHost, what: Parameters<typeof spawnThread<A>>[2], args: A): void {
  start(host, what, args);
  host.until((world) => hasEnded(world, "dom0/test"), `${what.name} ends`);
  expect(host.act((h) => joinThread(h, "dom0/test")).errno).toBeNull();
}

function start<A extends object>(host: TestHost, what: Parameters<typeof spawnThread<A>>[2], args: A): void {
  host.act((h) => void spawnThread(h, "dom0/test", what, args, { joinable: true }));
}

/** Makes a domain as far as xenwatch's threads care: its directory, and the watch that says so. */
function introduce(host: TestHost): number {
  const domid = host.build("mode=idle");
  host.settle();
  return domid;
}

/** Destroys a domain as libxl does: its nodes first. */
function destroy(host: TestHost, domid: number): void {
  host.store(["RM", `/local/domain/${domid}\0`]);
  host.act(
    (h) => void spawnThread(h, `test/destroy${domid}`, domctl.destroydomain, { caller: TOOLSTACK, domid }),
  );
  host.until((world) => world.get(domainCell, domid) === undefined, `d${domid} is gone`);
  host.settle();
}

function stick(host: TestHost, domid: number): void {
  host.act((h) => void h.add(stuckCell, domid, { stuck: true }));
}

function unstick(host: TestHost, domid: number): void {
  host.act((h) => h.drop(stuckCell, domid));
  host.settle();
}

const event = (host: TestHost, path: string): void => host.write(`/local/domain/0/${path}`, "");

/** What the callbacks said, in order. */
function said(host: TestHost): string[] {
  return host.records.flatMap((r) =>
    r.kind === "printk" && /^(begin|end) /.test(r.data.text) ? [r.data.text] : [],
  );
}

/** The kernel's threads of watch events. */
function threads(host: TestHost): string[] {
  return (host.world.ids(threadCell) as string[]).filter((name) => /^dom0\/xen(watch|-mtwatch)/.test(name));
}

describe.each(xenwatchPolicies)("policy %s", (policy) => {
  const isSingle = policy === "single";

  test("runs a domain's events in its own thread, everybody's in the default one", () => {
    const host = watching({ policy });
    const domid = introduce(host);
    event(host, `backend/x/${domid}/0`);
    event(host, "backend/x");
    host.settle();
    const own = isSingle ? "xenwatch" : `xen-mtwatch-${domid}`;
    expect(
      said(host)
        .filter((line) => line.startsWith("begin"))
        .toSorted(),
    ).toEqual(["begin shared backend/x in xenwatch", `begin shared backend/x/${domid}/0 in ${own}`]);
  });

  test(`${isSingle ? "stalls every domain" : "stalls one domain only"} where a callback does not return`, () => {
    const host = watching({ policy });
    const [stalled, other] = [introduce(host), introduce(host)];
    stick(host, stalled);
    event(host, `backend/x/${stalled}/0`);
    host.settle();
    event(host, `backend/x/${other}/0`);
    host.settle();
    const ended = (): string[] => said(host).filter((line) => line.startsWith("end"));
    expect(ended()).toEqual(isSingle ? [] : [`end shared backend/x/${other}/0`]);
    unstick(host, stalled);
    expect(ended()).toHaveLength(2);
  });

  test("keeps the order of each watch and domain, under any schedule, with domains coming and going", () => {
    fc.assert(
      fc.property(
        fc.nat(),
        fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 4, maxLength: 10 }),
        (seed, who) => {
          const host = watching({ policy, seed, scheduler: random });
          const domids = [0, introduce(host)];
          const expected = new Map<number, string[]>();
          for (const [at, index] of who.entries()) {
            // The third number is used before its domain is there: its events begin in the default thread.
            if (at === who.length >> 1) domids[2] = introduce(host);
            const domid = domids[index] ?? (domids[1] as number) + 1;
            const path = domid === 0 ? "backend/x" : `backend/x/${domid}/${at}`;
            event(host, path);
            if (domid !== 0) expected.set(domid, [...(expected.get(domid) ?? []), path]);
          }
          host.settle();
          for (const [domid, paths] of expected) {
            const lines = said(host).filter((line) => line.includes(`backend/x/${domid}/`));
            expect(lines.map((line) => line.split(" in ")[0])).toEqual(
              paths.flatMap((path) => [`begin shared ${path}`, `end shared ${path}`]),
            );
          }
        },
      ),
      { numRuns: 12 },
    );
  });

  test("a watch can be taken back from within its callback, and nothing comes after that", () => {
    const host = watching({ policy });
    const domid = introduce(host);
    run(host, registerXenbusWatch, {
      ...watch("once", "backend/y", takesItselfBack.name),
      getDomid: "path" as const,
    });
    host.settle();
    expect(said(host)).toEqual(["begin once backend/y"]);
    event(host, `backend/y/${domid}/0`);
    host.settle();
    expect(said(host)).toHaveLength(1);
    expect(watchTokens(host.world, 0)).not.toContain("once");
  });

  test("taking a watch back waits for a callback that is under way in another thread", () => {
    const host = watching({ policy });
    const domid = introduce(host);
    stick(host, domid);
    for (const at of [0, 1, 2]) event(host, `backend/x/${domid}/${at}`);
    host.settle();
    start(host, unregisterXenbusWatch, { domid: 0, token: "shared" });
    host.settle();
    expect(stackOf(host.world, "dom0/test")[0]).toEqual({
      routine: "unregister_xenbus_watch",
      at: "mutex_lock xenwatch_mutex",
    });
    unstick(host, domid);
    expect(hasEnded(host.world, "dom0/test")).toBe(true);
    const returned = host.records.findIndex((r) => r.kind === "exit" && r.data.thread === "dom0/test");
    expect(host.records.slice(returned).filter((r) => r.kind === "printk")).toEqual([]);
    expect(pendingEvents(host.world, 0)).toEqual([]);
  });
});

describe("a domain's thread", () => {
  test.each(["4.17", "4.23"] as const)("is made and ends with its domain (xenstored of %s)", (version) => {
    for (const policy of ["per-domain", "per-domain-parent"] as const) {
      const host = watching({ policy, version });
      expect(threads(host)).toEqual(["dom0/xenwatch"]);
      const domid = introduce(host);
      expect(threads(host)).toEqual([`dom0/xen-mtwatch-${domid}`, "dom0/xenwatch"]);
      destroy(host, domid);
      expect(threads(host)).toEqual(["dom0/xenwatch"]);
      expect(host.world.ids(mtwatchDomainCell)).toEqual([]);
      expect(host.world.ids(mailboxCell).filter((id) => String(id).includes("mtwatch"))).toEqual([]);
    }
  });

  test.each([
    [
      "4.17",
      ["in WATCH /local/domain mtwatch:/local/domain 1", "in WATCH /local/domain mtwatch:/local/domain"],
    ],
    ["4.23", ["in WATCH /local/domain mtwatch:/local/domain 1"]],
  ] as const)("by a watch on the parent alone: xenstored of %s is asked for %j", (version, asked) => {
    const host = new TestHost({ policy: "per-domain-parent", version });
    const wire = host.wire("dom0 kernel");
    expect(wire.filter((line) => line.includes("mtwatch:") && line.startsWith("in"))).toEqual(asked);
    const domid = introduce(host);
    const events = host.wire("dom0 kernel").filter((line) => line.includes("WATCH_EVENT /local/domain/"));
    expect(events.length).toBeGreaterThan(0);
    // Where xenstored knows of depths it sends no more than it is asked for; else the kernel leaves it out.
    const deeper = events.filter((line) => line.includes(`/local/domain/${domid}/`));
    expect(deeper.length > 0).toBe(version === "4.17");
    expect(pendingEvents(host.world, 0)).toEqual([]);
  });

  test.each(["per-domain", "per-domain-parent"] as const)(
    "is for domains, whatever else is written beside them (%s)",
    (policy) => {
      const host = watching({ policy });
      for (const name of ["mine", "1e2", "-3"]) host.write(`/local/domain/${name}`, "");
      const domid = introduce(host);
      expect(threads(host)).toEqual([`dom0/xen-mtwatch-${domid}`, "dom0/xenwatch"]);
    },
  );

  test("is there for a domain's devices only, where the policy says so", () => {
    const host = new TestHost({ policy: "per-domain-device" });
    host.act((h) => void addBridge(h, "xenbr0"));
    const domid = host.build("mode=idle dev=1");
    expect(threads(host)).toEqual(["dom0/xenwatch"]);
    for (const device of [0, 1]) host.addNic(domid, device, "xenbr0");
    host.settle();
    expect(threads(host)).toEqual([`dom0/xen-mtwatch-${domid}`, "dom0/xenwatch"]);
    for (const device of [0, 1]) {
      expect(threads(host)).toHaveLength(2);
      host.store(["RM", `/local/domain/${domid}/device/vif/${device}\0`]);
      host.settle();
    }
    expect(threads(host)).toEqual(["dom0/xenwatch"]);
  });

  test("drains what is left of an old domain before it begins with the new one of that number", () => {
    const host = watching();
    const domid = introduce(host);
    stick(host, domid);
    event(host, `backend/x/${domid}/old`);
    host.settle();
    destroy(host, domid);
    event(host, `backend/x/${domid}/late`);
    host.settle();
    expect(threads(host)).toHaveLength(2);
    // The toolstack may use the number again: nobody holds the domain.
    host.store(["MKDIR", `/local/domain/${domid}\0`]);
    introduce(host);
    event(host, `backend/x/${domid}/new`);
    host.settle();
    unstick(host, domid);
    expect(said(host).map((line) => line.split(" in ")[0])).toEqual(
      ["old", "late", "new"].flatMap((what) => [
        `begin shared backend/x/${domid}/${what}`,
        `end shared backend/x/${domid}/${what}`,
      ]),
    );
    expect(threads(host)).toContain(`dom0/xen-mtwatch-${domid}`);
  });

  test("of each of 1,200 domains is found although their names fill more than one reply", () => {
    const host = watching();
    for (let first = 100; first < 1300; first += 100) {
      host.store(
        ["TRANSACTION_START", "\0"],
        ...Array.from({ length: 100 }, (_, at): ["MKDIR", string] => [
          "MKDIR",
          `/local/domain/${first + at}\0`,
        ]),
        ["TRANSACTION_END", "T\0"],
      );
    }
    const domid = introduce(host);
    expect(threads(host)).toHaveLength(1 + 1200 + 1);
    host.store(...[107, 1207].map((old): ["RM", string] => ["RM", `/local/domain/${old}\0`]));
    destroy(host, domid);
    expect(threads(host)).toHaveLength(1 + 1198);
    expect(threads(host)).not.toContain("dom0/xen-mtwatch-1207");
  });
});

describe("taking back a watch of one domain's device", () => {
  test("visits one list, however many domains there are", () => {
    const host = watching();
    const domids = [introduce(host), introduce(host), introduce(host)];
    const owned = { getDomid: domids[1] as number };
    expect(mailboxesOf(host.world, 0, owned)).toEqual([`dom0/xen-mtwatch-${domids[1]}`]);
    expect(mailboxesOf(host.world, 0, { getDomid: "path" })).toHaveLength(4);
    // Even the shared one's events are in the lists of the domains they are about.
    stick(host, domids[0] as number);
    for (const at of [0, 1]) event(host, `backend/x/${domids[0]}/${at}`);
    host.settle();
    const pending = (): string[] => pendingEvents(host.world, 0).map(({ token }) => token);
    expect(pending().toSorted()).toEqual(["be_watch", "shared"]);
    host.act((h) => cancelEvents(h, 0, "shared"));
    expect(pending()).toEqual(["be_watch"]);
  });
});
