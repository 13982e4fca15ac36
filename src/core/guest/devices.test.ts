// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import { addBlockDevice, addBridge } from "../drivers/dom0-devices.ts";
import { TestHost } from "./testing.ts";

function hostWithDevices(): { host: TestHost; domid: number } {
  const host = new TestHost();
  host.act((h) => {
    addBlockDevice(h, "7:0", "/dev/loop0", 32768);
    addBlockDevice(h, "7:1", "/dev/loop1", 16384);
    addBridge(h, "xenbr0");
  });
  return { host, domid: host.build("mode=idle dev=1") };
}

describe("a disk", () => {
  test("connects", () => {
    const { host, domid } = hostWithDevices();
    host.addDisk(domid, 51712, "/dev/loop0");
    host.addNic(domid, 0, "xenbr0");
    host.settle();
    expect(host.hotplug("vbd", domid, 51712, "add")).toBe(0);
    expect(host.hotplug("vif", domid, 0, "online")).toBe(0);
    host.unpause(domid);
    host.untilPrinted(domid, "GUEST: up");
    host.settle();
    expect(host.states("vbd", domid, 51712)).toBe("4 4");
    expect(host.states("vif", domid, 0)).toBe("4 4");
    console.log(
      host
        .wire("dom0 kernel")
        .filter((l) => !/DIRECTORY|READ|be_watch/.test(l))
        .join("\n"),
    );
    console.log(
      host
        .wire(`dom${domid} kernel`)
        .filter((l) => !/DIRECTORY|READ|fe_watch/.test(l))
        .join("\n"),
    );
  });
});
