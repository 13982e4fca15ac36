// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import { fileCell } from "../daemons/files.ts";
import { must } from "../engine/cells.ts";
import type { Host } from "../engine/host.ts";
import { fifo, random, run } from "../engine/scheduler.ts";
import { spawnThread, stackOf, threadCell } from "../engine/thread.ts";
import { addBlockDevice, addBridge, blockDeviceCell, bridgeCell } from "../drivers/backend-devices.ts";
import { hotplugEnded, killHotplug, reapHotplug } from "../drivers/hotplug.ts";
import { xsHandleCell } from "../daemons/xs-client.ts";
import { netbackStatsCell } from "../drivers/netback-cells.ts";
import { domainCell } from "../hypervisor/domain.ts";
import * as domctl from "../hypervisor/domctl.ts";
import { TestHost, TOOLSTACK } from "./testing.ts";

const XVDA = 51712;
const XVDB = 51728;

/** A host with two disks and a bridge. */
function hostWithDevices(options: { seed?: number } = {}): TestHost {
  const host =
    options.seed === undefined ? new TestHost() : new TestHost({ seed: options.seed, scheduler: random });
  host.act((h) => {
    addBlockDevice(h, "7:0", "/dev/loop0", 32768);
    addBlockDevice(h, "7:1", "/dev/loop1", 16384);
    addBridge(h, "xenbr0");
  });
  return host;
}

function addFile(host: Host, path: string, size: number): void {
  host.add(fileCell, path, { kind: "regular", bytes: new Uint8Array(0), size });
}

/** A guest that is up with a disk and an interface, both connected. */
function guestWithDevices(options: { seed?: number; extra?: string } = {}): {
  host: TestHost;
  domid: number;
} {
  const host = hostWithDevices(options);
  const domid = host.build(`mode=idle dev=1 ${options.extra ?? ""}`);
  host.addDisk(domid, XVDA, "/dev/loop0");
  host.addNic(domid, 0, "xenbr0");
  host.settle();
  expect(host.hotplug("vbd", domid, XVDA, "add")).toBe(0);
  expect(host.hotplug("vif", domid, 0, "online")).toBe(0);
  host.unpause(domid);
  host.untilPrinted(domid, "GUEST: up");
  host.settle();
  expect(host.states("vbd", domid, XVDA)).toBe("4 4");
  expect(host.states("vif", domid, 0)).toBe("4 4");
  return { host, domid };
}

/** Tells a backend to go, as libxl does before it waits for state 6. */
function forceClosing(host: TestHost, kind: "vbd" | "vif", domid: number, devid: number): void {
  const backend = `/local/domain/0/backend/${kind}/${domid}/${devid}`;
  host.write(`${backend}/online`, "0");
  host.write(`${backend}/state`, "5");
}

/** States as they were written, with who wrote them: `0 2` is the backend's InitWait. */
function stateWrites(host: TestHost, kind: "vbd" | "vif", devid: number): string[] {
  const backend = host.wire("dom0 kernel").map((line) => ["back", line] as const);
  return [...backend, ...host.wire("dom1 kernel").map((line) => ["front", line] as const)].flatMap(
    ([end, line]) => {
      const found = new RegExp(`^in WRITE (?:backend|device)/${kind}/(?:\\d+/)?${devid}/state (\\d)`).exec(
        line,
      );
      return found === null ? [] : [`${end} ${found[1]}`];
    },
  );
}

/** The kernel stack of dom0's xenwatch, as /proc prints it: the innermost routine first. */
function xenwatchStack(host: TestHost): string[] {
  return stackOf(host.world, "dom0/xenwatch").map(({ routine }) => routine);
}

describe("a disk", () => {
  test("is connected in the recorded order of writes, down to references and ports", () => {
    const { host, domid } = guestWithDevices();
    const writes = (who: string, node: RegExp): string[] =>
      host
        .wire(who)
        .flatMap((line) => (line.startsWith("in WRITE") && node.test(line) ? [line.slice(9)] : []));
    expect(writes("dom0 kernel", /backend\/vbd/)).toEqual(
      [
        "feature-max-indirect-segments 256",
        "multi-queue-max-queues 2",
        "max-ring-page-order 4",
        "state 2",
        "feature-flush-cache 1",
        "discard-granularity 4096",
        "discard-alignment 0",
        "discard-secure 0",
        "feature-discard 1",
        "feature-barrier 1",
        "feature-persistent 1",
        "sectors 32768",
        "info 0",
        "sector-size 512",
        "physical-sector-size 512",
        "state 4",
      ].map((line) => `backend/vbd/${domid}/${XVDA}/${line}`),
    );
    expect(writes(`dom${domid} kernel`, /device\/vbd/)).toEqual(
      [
        "ring-ref 8",
        "event-channel 8",
        "protocol x86_64-abi",
        "feature-persistent 1",
        "state 3",
        "state 4",
      ].map((line) => `device/vbd/${XVDA}/${line}`),
    );
  });

  test("is attached to a running guest and detached again", () => {
    const { host, domid } = guestWithDevices();
    host.addDisk(domid, XVDB, "/dev/loop1");
    expect(host.hotplug("vbd", domid, XVDB, "add")).toBe(0);
    host.settle();
    host.pass(1);
    expect(host.states("vbd", domid, XVDB)).toBe("4 4");
    expect(must(host.world, blockDeviceCell, "7:1").openers).toBe(1);
    host.records.length = 0;
    forceClosing(host, "vbd", domid, XVDB);
    host.settle();
    expect(stateWrites(host, "vbd", XVDB)).toEqual(["back 6", "front 6"]);
    expect(must(host.world, blockDeviceCell, "7:1").openers).toBe(0);
  });

  test("waits for a tag with xenwatch stuck behind its thread, as in the talk", () => {
    const { host, domid } = guestWithDevices();
    host.inject("hold-tag", "/dev/loop1");
    host.addDisk(domid, XVDB, "/dev/loop1");
    expect(host.hotplug("vbd", domid, XVDB, "add")).toBe(0);
    host.settle();
    host.act((h) => domctl.pausedomain(h, TOOLSTACK, domid));
    forceClosing(host, "vbd", domid, XVDB);
    host.store(["RM", `/local/domain/${domid}/device/vbd/${XVDB}\0`]);
    host.settle();
    expect(xenwatchStack(host)).toEqual([
      "kthread_stop",
      "xen_blkif_disconnect",
      "xen_blkbk_remove [xen_blkback]",
      "xenbus_dev_remove",
      "__device_release_driver",
      "device_release_driver",
      "bus_remove_device",
      "device_del",
      "device_unregister",
      "frontend_changed [xen_blkback]",
      "xenbus_otherend_changed",
      "frontend_changed [xenbus_probe_backend]",
      "xenwatch_thread",
      "kthread",
    ]);
    expect(stackOf(host.world, "dom0/1.xvdb-0").map(({ routine, at }) => `${routine} ${at}`)).toEqual([
      "blk_mq_get_tag bt_get",
      "__blk_mq_alloc_request blk_mq_get_tag",
      "submit_bio blk_mq_map_request",
      "dispatch_rw_block_io submit_bio",
      "__do_block_io_op dispatch_rw_block_io",
      "xen_blkif_schedule do_block_io_op",
      "kthread threadfn",
    ]);
    host.clear();
    host.pass(1);
    expect(xenwatchStack(host)).toEqual(["xenwatch_thread", "kthread"]);
    expect(host.read(`/local/domain/0/backend/vbd/${domid}/${XVDB}/state`)).toBe("6");
  });

  test("waits for persistent grants whose pages somebody still holds", () => {
    const { host, domid } = guestWithDevices();
    host.inject("hold-page", "/dev/loop0");
    forceClosing(host, "vbd", domid, XVDA);
    host.settle();
    expect(xenwatchStack(host).slice(0, 5)).toEqual([
      "gnttab_unmap_refs_sync",
      "free_persistent_gnts",
      "xen_blkbk_free_caches",
      "xen_blkif_disconnect",
      "frontend_changed [xen_blkback]",
    ]);
    host.clear();
    host.settle();
    expect(host.states("vbd", domid, XVDA)).toBe("6 6");
  });

  test("that is busy when its domain goes is let go of when its last request returns", () => {
    const { host, domid } = guestWithDevices();
    host.inject("hold-bio", "/dev/loop1");
    host.addDisk(domid, XVDB, "/dev/loop1");
    expect(host.hotplug("vbd", domid, XVDB, "add")).toBe(0);
    host.pass(1);
    host.act((h) => domctl.pausedomain(h, TOOLSTACK, domid));
    forceClosing(host, "vbd", domid, XVDB);
    host.store(["RM", `/local/domain/${domid}/device/vbd/${XVDB}\0`]);
    host.settle();
    expect(xenwatchStack(host)).toEqual(["xenwatch_thread", "kthread"]);
    expect(must(host.world, blockDeviceCell, "7:1").openers).toBe(1);
    host.clear();
    host.pass(1);
    expect(must(host.world, blockDeviceCell, "7:1").openers).toBe(0);
  });
});

describe("a network interface", () => {
  test("is connected in the recorded order of writes", () => {
    const { host, domid } = guestWithDevices();
    const front = host.wire(`dom${domid} kernel`).filter((line) => line.startsWith("in WRITE device/vif"));
    expect(front.map((line) => line.split("/").slice(3).join("/"))).toEqual([
      "xdp-headroom 0",
      "multi-queue-num-queues 1",
      "tx-ring-ref 522",
      "rx-ring-ref 523",
      "event-channel-tx 9",
      "event-channel-rx 10",
      "request-rx-copy 1",
      "feature-rx-notify 1",
      "feature-sg 1",
      "feature-gso-tcpv4 1",
      "feature-gso-tcpv6 1",
      "feature-ipv6-csum-offload 1",
      "state 4",
    ]);
    expect(stateWrites(host, "vif", 0)).toEqual(["back 2", "back 4", "front 4"]);
    expect(must(host.world, bridgeCell, "xenbr0").ports).toEqual([`vif${domid}.0`]);
    expect(host.read(`/local/domain/${domid}/device/vif/0/mtu`)).toBe("1500");
  });

  test("shows that it is connected only when its script has run", () => {
    const { host, domid } = guestWithDevices();
    host.addNic(domid, 1, "xenbr0");
    host.settle();
    expect(host.states("vif", domid, 1)).toBe("2 4");
    expect(host.hotplug("vif", domid, 1, "online")).toBe(0);
    host.settle();
    expect(host.states("vif", domid, 1)).toBe("4 4");
  });

  test("is detached: the backend shows 5 once more before 6", () => {
    const { host, domid } = guestWithDevices();
    host.records.length = 0;
    forceClosing(host, "vif", domid, 0);
    host.settle();
    expect(stateWrites(host, "vif", 0)).toEqual(["back 5", "back 6", "front 6"]);
    expect(host.read(`/local/domain/0/backend/vif/${domid}/0/hotplug-status`)).toBe("ENOENT");
    expect(host.hotplug("vif", domid, 0, "offline")).toBe(0);
    expect(must(host.world, bridgeCell, "xenbr0").ports).toEqual([]);
  });

  test("stalls xenwatch for every device while a packet of its is held", () => {
    const { host, domid } = guestWithDevices({ extra: "ping=1" });
    const queue = `0/backend/vif/${domid}/0/0`;
    const counted = (): number[] => {
      const { tx_zerocopy_sent: sent, tx_zerocopy_success: success } = must(
        host.world,
        netbackStatsCell,
        queue,
      );
      return [sent, success];
    };
    host.pass(3.5);
    expect(counted()).toEqual([3, 3]);
    host.inject("hold-packet", `vif${domid}.0`);
    host.pass(1);
    expect(counted()).toEqual([4, 3]);
    forceClosing(host, "vif", domid, 0);
    host.settle();
    expect(xenwatchStack(host).slice(0, 4)).toEqual([
      "kthread_stop",
      "xenvif_disconnect_data",
      "set_backend_state",
      "frontend_changed [xen_netback]",
    ]);
    // Another domain's disk is not even looked at.
    const other = host.build("mode=idle dev=1");
    host.addDisk(other, XVDA, "/dev/loop1");
    host.settle();
    expect(host.read(`/local/domain/0/backend/vbd/${other}/${XVDA}/state`)).toBe("1");
    host.clear();
    host.settle();
    expect(host.states("vif", domid, 0)).toBe("6 6");
    expect(host.read(`/local/domain/0/backend/vbd/${other}/${XVDA}/state`)).toBe("2");
  });
});

describe("hotplug scripts", () => {
  test("say which bridge there is not, and fail", () => {
    const { host, domid } = guestWithDevices();
    host.addNic(domid, 1, "nosuchbr");
    expect(host.hotplug("vif", domid, 1, "online")).toBe(1);
    const backend = `/local/domain/0/backend/vif/${domid}/1`;
    expect(host.read(`${backend}/hotplug-error`)).toBe("Could not find bridge device nosuchbr");
    expect(host.read(`${backend}/hotplug-status`)).toBe("error");
  });

  test("keep two domains from writing to one disk", () => {
    const { host } = guestWithDevices();
    const other = host.build("mode=idle");
    host.addDisk(other, XVDA, "/dev/loop0");
    expect(host.hotplug("vbd", other, XVDA, "add")).toBe(1);
    const backend = `/local/domain/0/backend/vbd/${other}/${XVDA}`;
    expect(host.read(`${backend}/hotplug-status`)).toBe("busy");
    expect(host.read(`${backend}/hotplug-error`)).toBe(
      "Device /dev/loop0 is mounted in a guest domain,\nand so cannot be mounted now.",
    );
  });

  test("make a loop device of a file, and free it again", () => {
    const { host, domid } = guestWithDevices();
    host.act((h) => addFile(h, "/mnt/d.img", 1 << 20));
    host.addDisk(domid, XVDB, "/mnt/d.img");
    host.settle();
    expect(host.hotplug("vbd", domid, XVDB, "add")).toBe(0);
    host.pass(1);
    expect(host.states("vbd", domid, XVDB)).toBe("4 4");
    expect(host.read(`/local/domain/0/backend/vbd/${domid}/${XVDB}/sectors`)).toBe("2048");
    expect(host.read(`/local/domain/0/backend/vbd/${domid}/${XVDB}/node`)).toBe("/dev/loop2");
    expect(host.hotplug("vbd", domid, XVDB, "remove")).toBe(0);
    expect(host.world.get(blockDeviceCell, "7:2")).toBeUndefined();
  });

  test("can be made slow, and to fail", () => {
    const { host, domid } = guestWithDevices();
    const before = host.world.now;
    host.inject("slow-script", "/etc/xen/scripts/block", "5");
    host.inject("fail-script", "/etc/xen/scripts/block", "3");
    host.addDisk(domid, XVDB, "/dev/loop1");
    expect(host.hotplug("vbd", domid, XVDB, "add")).toBe(3);
    expect(host.world.now - before).toBeGreaterThanOrEqual(5_000_000);
  });
});

describe("a hotplug script that is killed", () => {
  /** Kills a disk's script after so many of the host's steps; whether it was still at work. */
  function killAfter(steps: number): { host: TestHost; domid: number; killed: boolean } {
    const host = new TestHost();
    const domid = host.build("mode=idle");
    host.act((h) => addFile(h, "/mnt/d.img", 1 << 20));
    host.addDisk(domid, XVDB, "/mnt/d.img");
    host.settle();
    const name = host.startScript("vbd", domid, XVDB, "add");
    let left = steps;
    run(host.world, fifo, { until: (world) => left-- === 0 || hotplugEnded(world, name) });
    const killed = !hotplugEnded(host.world, name);
    host.act((h) => (killed ? killHotplug(h, name) : void reapHotplug(h, name)));
    return { host, domid, killed };
  }

  test("holds up no other, and leaves no connection behind", () => {
    let killed = true;
    for (let steps = 1; killed; steps += 5) {
      const tried = killAfter(steps);
      const { host, domid } = tried;
      host.settle();
      expect(host.world.ids(xsHandleCell).filter((id) => String(id).includes("hotplug"))).toEqual([]);
      expect(host.hotplug("vbd", domid, XVDB, "add")).toBe(0);
      killed = tried.killed;
    }
  });
});

describe("a guest's end", () => {
  test("closes its devices first, the latest first: front 5, back 5, front 6, back 6", () => {
    const { host, domid } = guestWithDevices();
    host.records.length = 0;
    host.write(`/local/domain/${domid}/control/shutdown`, "poweroff");
    host.until((world) => must(world, domainCell, domid).shutdown === "complete", "it shuts down");
    host.settle();
    const order = host.records.flatMap((r) => {
      if (r.kind !== "xenstore" || r.data.dir !== "in" || r.data.op !== "WRITE") return [];
      const found = /^(backend|device)\/(vbd|vif)\/.*\/state\0(\d)$/.exec(r.data.body);
      return found === null ? [] : [`${found[2]} ${found[1] === "backend" ? "back" : "front"} ${found[3]}`];
    });
    expect(order.filter((line) => line.startsWith("vif"))).toEqual([
      "vif front 5",
      "vif back 5",
      "vif front 6",
      "vif back 6",
    ]);
    expect(order.filter((line) => line.startsWith("vbd"))).toEqual([
      "vbd front 5",
      "vbd back 5",
      "vbd front 6",
      "vbd back 6",
    ]);
    expect(order.indexOf("vif front 6")).toBeLessThan(order.indexOf("vbd front 5"));
  });

  test("frees every page when the toolstack destroys it with live devices", () => {
    for (const seed of [1, 2, 3, 4, 5]) {
      const { host, domid } = guestWithDevices({ seed });
      host.act((h) => domctl.pausedomain(h, TOOLSTACK, domid));
      for (const [kind, devid] of [
        ["vbd", XVDA],
        ["vif", 0],
      ] as const) {
        host.store(["RM", `/local/domain/${domid}/device/${kind}/${devid}\0`]);
        forceClosing(host, kind, domid, devid);
      }
      host.settle();
      expect(host.read(`/local/domain/0/backend/vbd/${domid}/${XVDA}/state`)).toBe("6");
      expect(host.read(`/local/domain/0/backend/vif/${domid}/0/state`)).toBe("6");
      host.act(
        (h) => void spawnThread(h, "test/destroy", domctl.destroydomain, { caller: TOOLSTACK, domid }),
      );
      host.until((world) => world.get(domainCell, domid) === undefined, `d${domid} is gone`);
      host.settle();
      const left = (host.world.ids(threadCell) as string[]).filter((name) => /vif|xvd|dom1\//.test(name));
      expect(left).toEqual([]);
    }
  });

  test("lets a domain linger whose interface's packet is held, and frees it when the packet is", () => {
    const { host, domid } = guestWithDevices({ extra: "ping=1" });
    host.inject("hold-packet", `vif${domid}.0`);
    host.pass(1.5);
    host.act((h) => {
      domctl.pausedomain(h, TOOLSTACK, domid);
      spawnThread(h, "test/destroy", domctl.destroydomain, { caller: TOOLSTACK, domid });
    });
    for (const [kind, devid] of [
      ["vbd", XVDA],
      ["vif", 0],
    ] as const) {
      host.store(["RM", `/local/domain/${domid}/device/${kind}/${devid}\0`]);
      forceClosing(host, kind, domid, devid);
    }
    host.pass(20);
    expect(host.world.get(domainCell, domid)?.isDying).toBe("dead");
    host.clear();
    host.settle();
    expect(host.world.get(domainCell, domid)).toBeUndefined();
  });
});
