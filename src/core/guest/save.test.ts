// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import { must } from "../engine/cells.ts";
import type { Plain } from "../engine/cells.ts";
import { addBlockDevice, addBridge } from "../drivers/backend-devices.ts";
import { domainCell } from "../hypervisor/domain.ts";
import { restoreGuest } from "./restore.ts";
import { saveGuest } from "./save.ts";
import { TestHost } from "./testing.ts";

/** A suspended guest of a host, and the image of it as a file would hold it. */
function suspended(host: TestHost, domid: number): Plain {
  host.write(`/local/domain/${domid}/control/shutdown`, "suspend");
  host.until((world) => must(world, domainCell, domid).shutdown === "complete", `d${domid} suspends`);
  expect(must(host.world, domainCell, domid).shutdownCode).toBe(2);
  host.settle();
  return JSON.parse(JSON.stringify(host.act((h) => saveGuest(h, domid)))) as Plain;
}

describe("a restored guest", () => {
  test("sets its watches again, newest first, before it looks at what has happened", () => {
    const host = new TestHost();
    const domid = host.build("mode=tick");
    host.unpause(domid);
    host.untilPrinted(domid, "tick 2");
    const image = suspended(host, domid);
    const restored = host.build("", { image: (h, info) => restoreGuest(h, info, image) });
    host.unpause(restored);
    host.untilPrinted(restored, "tick 5");
    // Scenario i1: six watches, then the control request whose acknowledgement it saw no more, then new events.
    expect(host.wire(`dom${restored} kernel`).filter((line) => line.startsWith("in "))).toEqual(
      [
        "WATCH cpu cpu_watch",
        "WATCH device fe_watch",
        "WATCH backend be_watch",
        "WATCH control/sysrq sysrq_watch",
        "WATCH control/shutdown shutdown_watch",
        "WATCH memory/target target_watch",
        "TRANSACTION_START",
        "READ control/shutdown",
        "TRANSACTION_END F",
        "TRANSACTION_START",
        "READ control/sysrq",
        "TRANSACTION_END F",
        "TRANSACTION_START",
        "READ control/shutdown",
        "TRANSACTION_END F",
        "READ memory/target",
      ].map((line) => `in ${line}`),
    );
    // Its clock stood still: it goes on counting where it was.
    expect(host.console(restored)).toMatch(/^GUEST: tick 3\r\nGUEST: tick 4\r\nGUEST: tick 5\r\n/);
  });

  test("obeys control requests again", () => {
    const host = new TestHost();
    const domid = host.build("mode=idle");
    host.unpause(domid);
    host.untilPrinted(domid, "GUEST: up");
    const image = suspended(host, domid);
    const restored = host.build("", { image: (h, info) => restoreGuest(h, info, image) });
    host.unpause(restored);
    host.settle();
    host.write(`/local/domain/${restored}/control/shutdown`, "poweroff");
    host.until((world) => must(world, domainCell, restored).shutdown === "complete", "it shuts down");
    expect(must(host.world, domainCell, restored).shutdownCode).toBe(0);
  });

  test("connects its disk and its interface to the new backends", () => {
    const host = new TestHost();
    host.act((h) => {
      addBlockDevice(h, "7:0", "/dev/loop0", 32768);
      addBridge(h, "xenbr0");
    });
    const addDevices = (domid: number): void => {
      host.addDisk(domid, 51712, "/dev/loop0");
      host.addNic(domid, 0, "xenbr0");
      host.settle();
      host.store(["WRITE", `/local/domain/${domid}/vm\0/vm/one`]);
      expect(host.hotplug("vbd", domid, 51712, "add")).toBe(0);
      expect(host.hotplug("vif", domid, 0, "online")).toBe(0);
    };
    const domid = host.build("mode=idle dev=1");
    addDevices(domid);
    host.unpause(domid);
    host.untilPrinted(domid, "records out");
    const image = suspended(host, domid);
    host.store(["WRITE", `/local/domain/${domid}/vm\0/vm/one`]);
    const restored = host.build("", { image: (h, info) => restoreGuest(h, info, image) });
    addDevices(restored);
    host.unpause(restored);
    host.pass(1);
    expect(host.states("vbd", restored, 51712)).toBe("4 4");
    expect(host.states("vif", restored, 0)).toBe("4 4");
  });
});
