// SPDX-License-Identifier: Apache-2.0
//
// Every advisory about xenbus and the PV backends that this model can express,
// as what must hold now; the others with the reason, in docs/reference/advisories.md.

import * as fs from "node:fs";
import * as path from "node:path";
import { describe, expect, test } from "vitest";
import { BLKIF_OP_READ, blkifLayout, decodeResponse, encodeRequest } from "../../src/core/drivers/blkif.ts";
import { gnttabCell } from "../../src/core/drivers/gnttab.ts";
import { netbackStatsCell } from "../../src/core/drivers/netback-cells.ts";
import { netfrontQueueCell, txLayout } from "../../src/core/drivers/netfront-cells.ts";
import { pagesInUseCell } from "../../src/core/hypervisor/pages-in-use.ts";
import { produceRequest, readSlot, responsesProduced } from "../../src/core/drivers/ring.ts";
import { must } from "../../src/core/engine/cells.ts";
import { routine } from "../../src/core/engine/routine.ts";
import { random } from "../../src/core/engine/scheduler.ts";
import { killThread, spawnThread } from "../../src/core/engine/thread.ts";
import { evtchnSend } from "../../src/core/hypervisor/event-channel.ts";
import { close } from "../../src/core/hypervisor/event-channel-op.ts";
import { activeGrants } from "../../src/core/hypervisor/grant-table.ts";
import { pendingEvents } from "../../src/core/xenbus/xenwatch.ts";
import { writeU32 } from "../../src/core/xenstore/wire.ts";
import { root } from "../source-files.ts";
import { BAD_REF, Hostile, XVDA } from "./hand-frontend.ts";

/** Rows of the page: advisory, whether a test has its name, what it shows or why none can. */
const rows = [
  ...fs
    .readFileSync(path.join(root, "docs/reference/advisories.md"), "utf8")
    .matchAll(/^\| (XSA-\d+|CVE-[\d-]+) \| (.+?) \| (.+?) \|$/gm),
].map(([, advisory = "", , what = ""]) => ({
  advisory,
  expressed: !what.startsWith("not expressed:"),
  what,
}));

const own = fs.readFileSync(import.meta.filename, "utf8");

test("the page lists advisories, each with a test of its name or the reason why there is none", () => {
  expect(rows.length).toBeGreaterThanOrEqual(20);
  for (const { advisory, expressed } of rows) {
    const named = new RegExp(`test(\\.each\\(.*\\))?\\(\\s*["\`][^"\`]*${advisory}\\b`, "s").test(own);
    expect(named, `${advisory}: a test of its name`).toBe(expressed);
  }
});

/** Sends an event as often as it is let. */
const storm = routine(
  "test_event_storm",
  (a: { domid: number; port: number }) => ({ ...a, sent: 0 }),
  ({ forever, step }) => [
    forever("for (;;)", [
      step("EVTCHNOP_send", (host, l) => {
        evtchnSend(host, l.domid, l.port);
        l.sent++;
      }),
    ]),
  ],
);

/** A transmit request for one page. */
function txRequest(ref: number, id: number): Uint8Array {
  const bytes = new Uint8Array(txLayout.slotBytes);
  writeU32(bytes, 0, ref);
  bytes[8] = id;
  bytes[10] = 98;
  return bytes;
}

describe("xenbus and events", () => {
  test("XSA-331: events for a port that is being closed do no harm, in any order", () => {
    for (let seed = 1; seed <= 8; seed++) {
      const guest = new Hostile({ seed, scheduler: random });
      const { host, domid } = guest;
      const { port } = guest.connectVif();
      host.write(guest.node("vif", "state"), "6");
      for (let at = 0; at < 20; at++) host.act((on) => void evtchnSend(on, domid, port));
      host.act((on) => void close(on, guest.caller, { port }));
      host.settle();
      expect(guest.backend("vif")).toBe("6");
      expect(guest.pinned()).toEqual([]);
    }
  });

  test("XSA-332: a storm of events does not stall xenwatch", () => {
    const guest = new Hostile();
    const { host, domid } = guest;
    const { port } = guest.connectVif();
    host.act((on) => void spawnThread(on, "dom0/storm", storm, { domid, port }));
    const from = host.world.counters.step;
    const other = host.act((on) => on.now);
    guest.write("vbd", "feature-persistent", 1);
    const ring = guest.grant();
    for (const [name, value] of [
      ["ring-ref", ring.ref],
      ["event-channel", guest.port()],
      ["protocol", "x86_64-abi"],
      ["state", 3],
    ] as const)
      guest.write("vbd", name, value);
    host.until(() => guest.threads().includes(`dom0/${domid}.xvda-0`), "the disk connects");
    expect(host.world.counters.step - from).toBeLessThan(5_000);
    expect(host.world.now).toBe(other);
    host.act((on) => killThread(on, "dom0/storm"));
  });

  test("XSA-349: a frontend that floods its state has one event pending at most", () => {
    for (const policy of ["single", "per-domain"] as const) {
      const guest = new Hostile({ policy });
      const { host, domid } = guest;
      const { tx, port } = guest.connectVif();
      // Its packet is held, so that its backend's thread hangs while it goes on writing.
      host.inject("hold-packet", `vif${domid}.0`);
      const page = guest.grant();
      host.act((on) => {
        produceRequest(on.memory, tx.mfn, txLayout, 0, txRequest(page.ref, 1));
        evtchnSend(on, domid, port);
      });
      guest.show("vif", 5);
      for (let at = 0; at < 500; at++) guest.write("vif", "state", 4 + (at % 2));
      for (let at = 0; at < 500; at++) guest.write("vbd", "state", 4 + (at % 2));
      host.settle();
      const pending = pendingEvents(host.world, 0).map(({ token }) => token);
      expect(pending.toSorted()).toEqual([
        `otherend:backend/vbd/${domid}/${XVDA}`,
        `otherend:backend/vif/${domid}/0`,
      ]);
    }
  });

  test("XSA-441: a port is closed while another's handler runs, and both end", () => {
    for (let seed = 1; seed <= 8; seed++) {
      const guest = new Hostile({ seed, scheduler: random });
      const { host, domid } = guest;
      const [vif, vbd] = [guest.connectVif(), guest.connectVbd()];
      host.act((on) => {
        for (const { port } of [vif, vbd]) evtchnSend(on, domid, port);
        close(on, guest.caller, { port: vif.port });
      });
      for (const kind of ["vif", "vbd"] as const) guest.write(kind, "state", 6);
      host.settle();
      expect([guest.backend("vif"), guest.backend("vbd")]).toEqual(["6", "6"]);
      expect(guest.threads()).toEqual([]);
    }
  });
});

describe("blkback and netback, mapping", () => {
  test("XSA-350: a frontend that reconnects again and again is disconnected once each time", () => {
    const guest = new Hostile();
    for (let cycle = 0; cycle < 5; cycle++) {
      const { ring } = guest.connectVbd();
      expect(guest.backend("vbd")).toBe("4");
      expect(guest.pinned()).toEqual([ring.ref]);
      // Initialised once more without closing: the old ring goes before the new one comes.
      guest.show("vbd", 6);
      guest.show("vbd", 6);
      expect(guest.backend("vbd")).toBe("6");
      expect(guest.pinned()).toEqual([]);
      guest.show("vbd", 1);
      expect(guest.backend("vbd")).toBe("2");
    }
  });

  /** Two queues, the second of which names a page that is not granted. */
  function offerTwoVifQueues(guest: Hostile): void {
    guest.write("vif", "multi-queue-num-queues", 2);
    for (const queue of [0, 1]) {
      guest.write("vif", `queue-${queue}/tx-ring-ref`, guest.grant().ref);
      guest.write("vif", `queue-${queue}/rx-ring-ref`, queue === 0 ? guest.grant().ref : BAD_REF);
      guest.write("vif", `queue-${queue}/event-channel`, guest.port());
    }
    guest.show("vif", 4);
  }

  test("XSA-361: a netback queue that cannot be mapped leaves none of the others mapped", () => {
    const guest = new Hostile();
    offerTwoVifQueues(guest);
    expect(guest.pinned()).toEqual([]);
    expect(guest.threads()).toEqual([]);
  });

  test("XSA-362: a blkback ring that cannot be mapped leaves none of the others mapped", () => {
    const guest = new Hostile();
    guest.write("vbd", "multi-queue-num-queues", 2);
    guest.write("vbd", "protocol", "x86_64-abi");
    for (const queue of [0, 1]) {
      guest.write("vbd", `queue-${queue}/ring-ref`, queue === 0 ? guest.grant().ref : BAD_REF);
      guest.write("vbd", `queue-${queue}/event-channel`, guest.port());
    }
    guest.show("vbd", 3);
    expect(guest.backend("vbd")).toBe("5");
    expect(guest.pinned()).toEqual([]);
    expect(guest.threads()).toEqual([]);
  });

  test.each([0, 1])(
    "XSA-365, XSA-367: a request with a bad page fails whole (persistent: %i)",
    (persistent) => {
      const guest = new Hostile();
      const { host, domid } = guest;
      const { ring, port } = guest.connectVbd(persistent);
      const good = guest.grant();
      const before = guest.pinned();
      const refs = [good.ref, BAD_REF];
      host.act((on) => {
        const request = encodeRequest({ operation: BLKIF_OP_READ, id: 3, sector: 0, refs });
        produceRequest(on.memory, ring.mfn, blkifLayout, 0, request);
        evtchnSend(on, domid, port);
      });
      host.settle();
      const answer = decodeResponse(host.act((on) => readSlot(on.memory, ring.mfn, blkifLayout, 0)));
      expect(answer).toEqual({ id: 3, status: 0xffff });
      // A page that was mapped persistently may stay so until the disk goes; no other may.
      expect(guest.pinned()).toEqual(persistent === 1 ? [...before, good.ref] : before);
      guest.show("vbd", 6);
      expect(guest.pinned()).toEqual([]);
    },
  );

  test("XSA-374: a packet whose page cannot be mapped is answered with an error, the interface lives on", () => {
    const guest = new Hostile();
    const { host, domid } = guest;
    const { tx, port } = guest.connectVif();
    const [before, good] = [guest.pinned(), guest.grant()];
    host.act((on) => {
      produceRequest(on.memory, tx.mfn, txLayout, 0, txRequest(BAD_REF, 7));
      produceRequest(on.memory, tx.mfn, txLayout, 1, txRequest(good.ref, 8));
      evtchnSend(on, domid, port);
    });
    host.pass(1);
    const answers = host.act((on) =>
      [0, 1].map((at) => [...readSlot(on.memory, tx.mfn, txLayout, at)].slice(0, 4)),
    );
    expect(answers).toEqual([
      [7, 0, 0xff, 0xff],
      [8, 0, 0, 0],
    ]);
    expect(guest.pinned()).toEqual(before);
  });

  test("XSA-371: after a disk has closed none of the guest's pages is mapped: no zombie", () => {
    const guest = new Hostile();
    const { host, domid } = guest;
    const { ring, port } = guest.connectVbd(1);
    const pages = [guest.grant(), guest.grant(), guest.grant()];
    host.act((on) => {
      const refs = pages.map(({ ref }) => ref);
      const request = encodeRequest({ operation: BLKIF_OP_READ, id: 1, sector: 0, refs });
      produceRequest(on.memory, ring.mfn, blkifLayout, 0, request);
      evtchnSend(on, domid, port);
    });
    host.pass(1);
    expect(guest.pinned()).toEqual([ring.ref, ...pages.map(({ ref }) => ref)]);
    guest.show("vbd", 6);
    expect(guest.pinned()).toEqual([]);
  });
});

describe("netback, hostile requests", () => {
  test.each([257, 10_000, 0xffffffff])(
    "XSA-423: %i requests in a ring of 256 slots are none; the interface closes as any other",
    (produced) => {
      const guest = new Hostile();
      const { host, domid } = guest;
      const { tx, port } = guest.connectVif();
      const index = new Uint8Array(4);
      writeU32(index, 0, produced);
      host.act((on) => {
        on.memory.write(tx.mfn, 0, index);
        evtchnSend(on, domid, port);
      });
      host.settle();
      const stats = must(host.world, netbackStatsCell, `0/backend/vif/${domid}/0/0`);
      expect(stats.tx_zerocopy_sent).toBe(0);
      expect(host.act((on) => responsesProduced(on.memory, tx.mfn))).toBe(0);
      guest.show("vif", 6);
      expect(guest.pinned()).toEqual([]);
    },
  );
});

describe("rogue backends", () => {
  /** A guest with a kernel and an interface, whose packet dom0 keeps mapped. */
  function guestWithHeldPacket(): { guest: Hostile; domid: number } {
    const guest = new Hostile();
    const { host } = guest;
    const domid = host.build("mode=idle dev=1 ping=1", { name: "victim" });
    host.addNic(domid, 0, "xenbr0");
    host.settle();
    host.hotplug("vif", domid, 0, "online");
    host.unpause(domid);
    host.untilPrinted(domid, "GUEST: up");
    host.inject("hold-packet", `vif${domid}.0`);
    host.pass(1.5);
    return { guest, domid };
  }

  test("XSA-376, XSA-396: a page that the backend does not unmap is not given to anybody else", () => {
    const { guest, domid } = guestWithHeldPacket();
    const { host } = guest;
    host.clear();
    host.inject("refuse-unmap", "0");
    host.pass(2);
    const device = `${domid}/device/vif/0`;
    const { txRing, rxRing } = must(host.world, netfrontQueueCell, `${device}/0`);
    host.store(["RM", `/local/domain/${domid}/device/vif/0\0`]);
    host.pass(30);
    // The frontend is gone; what is still mapped waits, with its references and pages.
    expect(host.world.get(netfrontQueueCell, `${device}/0`)).toBeUndefined();
    const kept = must(host.world, gnttabCell, domid);
    expect(kept.deferred).toEqual(expect.arrayContaining([txRing, rxRing]));
    for (const { ref, mfn } of kept.deferred) {
      expect(kept.free).not.toContain(ref);
      expect(must(host.world, pagesInUseCell, domid).mfns).toContain(mfn);
    }
    host.clear();
    expect([...activeGrants(host.world, domid)].map(([ref]) => ref)).not.toContain(txRing.ref);
  });

  test("XSA-391, XSA-403: answers to what nobody asked are left alone", () => {
    const { guest, domid } = guestWithHeldPacket();
    const { host } = guest;
    const { txRing, sent } = must(host.world, netfrontQueueCell, `${domid}/device/vif/0/0`);
    const before = sent.map(({ id }) => id);
    expect(before.length).toBeGreaterThan(0);
    const nonsense = new Uint8Array([0xee, 0xee, 0, 0]);
    const index = new Uint8Array(4);
    writeU32(index, 0, 0x7fffffff);
    host.act((on) => {
      for (let at = 0; at < txLayout.slots; at++)
        on.memory.write(txRing.mfn, 64 + at * txLayout.slotBytes, nonsense);
      on.memory.write(txRing.mfn, 8, index);
    });
    host.pass(2.5);
    const after = must(host.world, netfrontQueueCell, `${domid}/device/vif/0/0`).sent.map(({ id }) => id);
    expect(after).toEqual(expect.arrayContaining(before));
  });
});

test("CVE-2010-3699: Connected, Closed, Connected again: no thread is left behind", () => {
  const guest = new Hostile();
  const threads: string[][] = [];
  for (let cycle = 0; cycle < 5; cycle++) {
    guest.connectVif();
    guest.connectVbd();
    threads.push(guest.threads());
    for (const kind of ["vif", "vbd"] as const) {
      guest.show(kind, 5);
      guest.show(kind, 6);
    }
    expect(guest.threads()).toEqual([]);
    for (const kind of ["vif", "vbd"] as const) guest.show(kind, 1);
  }
  expect(threads[0]?.length).toBe(4);
  for (const those of threads) expect(those).toEqual(threads[0]);
});
