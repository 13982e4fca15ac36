// SPDX-License-Identifier: Apache-2.0
//
// The talk's three hangs and their like, on a simulated host: from the held page
// to the thread, to what that waits for, to the command that ends it.

import { describe, expect, test } from "vitest";
import { injectFault } from "../core/engine/fault.ts";
import { fifo } from "../core/engine/scheduler.ts";
import type { World } from "../core/engine/world.ts";
import { guestIsUp, operator } from "../explore/operator.ts";
import { scenario } from "../explore/scenario.ts";
import { simulate } from "../explore/simulate.ts";
import { diagnose } from "./diagnose.ts";
import type { Diagnosis } from "./diagnosis.ts";
import { whyKept } from "./driver-domain.ts";

const config = [
  'name = "one"',
  'type = "pv"',
  "memory = 32",
  'extra = "dev=1 ping=1"',
  'disk = [ "phy:/dev/vg/one,xvda,w" ]',
  'vif = [ "mac=00:16:3e:00:00:01,bridge=xenbr0" ]',
  "",
].join("\n");

/** A host on which a domain was destroyed while a fault was injected, when nothing moves any more. */
function destroyedUnder(name: string, ...words: string[]): World {
  const { world } = simulate(
    scenario({
      name: `destroyed under ${[name, ...words].join(" ")}`,
      about: "a test of the doctor",
      host: { files: { "/etc/xen/one.cfg": config }, blockDevices: { "/dev/vg/one": 32768 } },
      script: (vocabulary) => {
        const { xl, startXl, until } = operator(vocabulary);
        const fault = vocabulary.step("fault", (host) => {
          expect(injectFault(host, name, words)).toBe(0);
        });
        // A guest reads its disk while it boots, and sends packets when it is up.
        const early = words[0]?.startsWith("/dev/") === true;
        return [
          ...(early ? [fault] : []),
          ...xl("create", ["create", "/etc/xen/one.cfg"]),
          early
            ? vocabulary.sleep("the guest boots", () => 5_000_000)
            : until("the guest is up", (host) => guestIsUp(host, 1)),
          vocabulary.sleep("packets are sent", () => 3_000_000),
          ...(early ? [] : [fault]),
          vocabulary.sleep("it takes effect", () => 3_000_000),
          startXl("destroy", ["destroy", "one"]),
          vocabulary.sleep("xl gives up", () => 60_000_000),
        ];
      },
    }),
    { seed: 1, scheduler: fifo },
  );
  return world;
}

/** Threads of a holder's chain, from its own on. */
function threads({ holders }: Diagnosis, at: number): (string | undefined)[] {
  return holders[at]?.chain.map(({ thread }) => thread) ?? [];
}

describe("a packet that does not come back", () => {
  const found = diagnose(destroyedUnder("hold-packet", "vif1.0"), 1);

  test("the queue's packets: their dealloc thread waits for those who have them", () => {
    expect(found.stage).toBe("zombie");
    const [packets] = found.holders;
    expect(packets).toMatchObject({
      who: "netback's packets of vif1.0-q0 in domain 0",
      chain: [
        { thread: "dom0/vif1.0-q0-dealloc", why: expect.stringMatching(/^\d packets? in flight$/) as string },
        { at: "sk_buff on hold", why: expect.stringMatching(/^the fault hold-packet vif1\.0 is injected/) },
      ],
      release: "xenolith fault clear hold-packet vif1.0",
    });
  });

  test("the rings: xenwatch would unmap them, and waits for that thread", () => {
    expect(found.holders[1]?.who).toBe("netback's rings of vif1.0 in domain 0");
    expect(threads(found, 1).slice(0, 2)).toEqual(["dom0/xenwatch", "dom0/vif1.0-q0-dealloc"]);
    expect(found.stalled).toMatchObject([{ thread: "dom0/xenwatch" }]);
    expect(found.next).toEqual(["xenolith fault clear hold-packet vif1.0", "xenolith wait --freed 1"]);
  });
});

test("an exhausted tag set: blkback's own thread waits for a tag", () => {
  const found = diagnose(destroyedUnder("hold-tag", "/dev/vg/one"), 1);
  expect(found.holders[0]).toMatchObject({
    who: "blkback's vbd 51712 of domain 1 in domain 0",
    release: "xenolith fault clear hold-tag /dev/vg/one",
  });
  expect(found.holders[0]?.chain.at(-1)).toMatchObject({ routine: "blk_mq_get_tag", at: "bt_get" });
});

test("persistent grants somebody still uses: and a device whose turn has not come", () => {
  const found = diagnose(destroyedUnder("hold-page", "/dev/vg/one"), 1);
  const [disk, vif] = found.holders;
  expect(disk?.chain).toMatchObject([{ thread: "dom0/xenwatch", routine: "gnttab_unmap_refs_sync" }]);
  expect(vif).toMatchObject({
    who: "netback's rings of vif1.0 in domain 0",
    hint: "its event waits for its turn in dom0/xenwatch",
    release: "xenolith fault clear hold-page /dev/vg/one",
  });
});

describe("a driver domain that serves the guest's disk", () => {
  const DRIVER = ['name = "store"', 'type = "pv"', "memory = 4", 'extra = "backend=1 disks=/dev/vg/x"', ""];
  const SERVED = [
    'name = "one"',
    'type = "pv"',
    "memory = 4",
    'extra = "dev=1"',
    'disk = [ "backend=store,vdev=xvda,format=raw,target=/dev/vg/x" ]',
    "",
  ];

  /** Domain 1 served domain 2 when it was destroyed, and something was done to domain 1 before. */
  function servedUnder(name: string, before: string | readonly [string, string]): World {
    const { world } = simulate(
      scenario({
        name: `served by a domain that ${name}`,
        about: "a test of the doctor",
        host: { files: { "/etc/xen/store.cfg": DRIVER.join("\n"), "/etc/xen/one.cfg": SERVED.join("\n") } },
        script: (vocabulary) => {
          const { xl, startXl, until } = operator(vocabulary);
          return [
            ...xl("create the driver domain", ["create", "/etc/xen/store.cfg"]),
            until("it is up", (host) => guestIsUp(host, 1)),
            ...xl("create", ["create", "/etc/xen/one.cfg"]),
            until("the guest is up", (host) => guestIsUp(host, 2)),
            ...(typeof before === "string"
              ? xl(before, before.split(" "))
              : [vocabulary.step("fault", (host) => void injectFault(host, before[0], [before[1]]))]),
            startXl("destroy", ["destroy", "one"]),
            vocabulary.sleep("xl gives up", () => 60_000_000),
          ];
        },
      }),
      { seed: 1, scheduler: fifo },
    );
    return world;
  }

  test.each([
    ["stands still", "pause store", /^domain 1 is paused/, "xenolith xl unpause 1"],
    [
      "is compromised",
      ["refuse-unmap", "1"],
      /^the backends of domain 1 unmap nothing/,
      "xenolith fault clear refuse-unmap 1",
    ],
    ["has a slow disk", ["hold-page", "d1:/dev/vg/x"], null, "xenolith fault clear hold-page d1:/dev/vg/x"],
  ] as const)("that %s: domain, backend, frames, and what ends it", (name, before, hint, release) => {
    const world = servedUnder(name, before);
    const found = diagnose(world, 2);
    expect(found).toMatchObject({ stage: "zombie", disagreements: [], missing: [] });
    const [holder] = found.holders;
    expect(holder).toMatchObject({ who: "blkback's vbd 51712 of domain 2 in domain 1", domid: 1, release });
    expect(holder?.holdings[0]?.frames.length).toBeGreaterThan(0);
    expect(holder?.holdings[0]?.grants.length).toBeGreaterThan(0);
    if (hint !== null) expect(holder?.hint).toMatch(hint);
    expect(found.next[0]).toBe(release);
    // Of one that runs, and of which no thread is on the way to letting go, no more is known than what ends it.
    if (hint === null) {
      expect(whyKept(world, 1, false)).toEqual({
        hint: expect.stringMatching(
          /^domain 1 runs, and nothing in it is on the way to letting go/,
        ) as string,
        release: "xenolith xl destroy 1",
      });
    }
  });
});

test("a stopped process lets go of nothing", () => {
  const found = diagnose(destroyedUnder("stop-process", "xenconsoled"), 1);
  expect(found.holders).toMatchObject([
    { name: "d0/xenconsoled", release: "xenolith fault clear stop-process xenconsoled" },
  ]);
});

test.each(["grant-map", "created", "allocated"])("a forgotten put of %s is a bug, and said to be", (kind) => {
  const found = diagnose(destroyedUnder("forget-put", "1", kind), 1);
  expect(found).toMatchObject({ stage: "zombie", missing: [], disagreements: [] });
  expect(found.holders.map(({ release }) => release)).toContain(`xenolith fault clear forget-put 1 ${kind}`);
});
