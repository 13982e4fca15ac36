// SPDX-License-Identifier: Apache-2.0
//
// Disks that a driver domain serves: their life, and what becomes of them and of
// their guest when the driver domain is gone, stands still, or lets go of nothing.

import { describe, expect, test } from "vitest";
import { must } from "../engine/cells.ts";
import { checkFault, clearFaults, injectFault } from "../engine/fault.ts";
import { threadCell } from "../engine/thread.ts";
import { blockDeviceCell } from "../drivers/backend-devices.ts";
import { devdCell } from "../guest/devd-cell.ts";
import { devdProcess } from "../guest/driver-domain.ts";
import { activeGrants } from "../hypervisor/grant-table.ts";
import { domainCell } from "../hypervisor/domain.ts";
import { XlHost } from "./testing.ts";
import type { CommandResult } from "./testing.ts";

const SERVES = "mode=idle backend=1 disks=/dev/vg/x,/dev/vg/y,/var/lib/z.img:64m";
const DISK = 'disk = ["backend=store,vdev=xvda,format=raw,target=/dev/vg/x"]';

/** A small guest; it must come up. */
function create(host: XlHost, name: string, extra: string, ...lines: string[]): void {
  host.write(
    `/tmp/${name}.cfg`,
    [`name = "${name}"`, 'type = "pv"', "memory = 4", `extra = "${extra}"`, ...lines, ""].join("\n"),
  );
  expect(host.xl(`xl create /tmp/${name}.cfg`)).toMatchObject({ status: 0 });
  host.pass(3);
}

/** Domain 1, the driver domain, and domain 2 with its disk. */
function served(): XlHost {
  const host = new XlHost();
  create(host, "store", SERVES);
  create(host, "g", "mode=idle dev=1", DISK);
  return host;
}

/** A command and how many seconds it took. */
function timed(host: XlHost, line: string): CommandResult & { seconds: number } {
  const since = host.world.now;
  const result = host.xl(line);
  return { ...result, seconds: (host.world.now - since) / 1_000_000 };
}

/** The rows of block-list: device, backend's domain, state of the frontend, the backend's directory. */
function disks(host: XlHost, name = "g"): string[] {
  return host
    .xl(`xl block-list ${name}`)
    .stdout.trimEnd()
    .split("\n")
    .slice(1)
    .map((row) => row.split(/\s+/))
    .map(([devid, backend, , state, , , path]) => [devid, backend, state, path].join(" "));
}

const listed = (host: XlHost): string[] =>
  host
    .xl("xl list")
    .stdout.trimEnd()
    .split("\n")
    .slice(2)
    .map((row) => row.trim().split(/\s+/))
    .map(([name, domid, , , state]) => `${name} ${domid} ${state}`);

const backend = (devid: number, domid = 2): string => `/local/domain/1/backend/vbd/${domid}/${devid}`;

describe("a disk of a driver domain", () => {
  test("is found by its devd, mapped by its kernel, and given back to nobody else", () => {
    const host = served();
    expect(disks(host)).toEqual([`51712 1 4 ${backend(51712)}`]);
    expect(host.node(`${backend(51712)}/physical-device`)).toBe("78:0");
    expect(host.node(`${backend(51712)}/hotplug-status`)).toBe("connected");
    expect(must(host.world, blockDeviceCell, "d1:78:0")).toMatchObject({ path: "/dev/vg/x", openers: 1 });
    const threads = host.world.ids(threadCell).filter((name) => String(name).includes("2.xvda"));
    expect(threads).toEqual(["dom1/2.xvda-0"]);
    const mappers = [...activeGrants(host.world, 2)]
      .filter(([ref]) => ref >= 8)
      .map(([, { domid }]) => domid);
    expect(new Set(mappers)).toEqual(new Set([1]));
    // Another guest may write to the same one: the script cannot read whose disk the other is (same_vm).
    create(host, "h", "mode=idle dev=1", DISK);
    expect(disks(host, "h")).toEqual([`51712 1 4 ${backend(51712, 3)}`]);
    expect(must(host.world, blockDeviceCell, "d1:78:0").openers).toBe(2);
  });

  test("comes and goes while the guest runs", () => {
    const host = served();
    const attach = "xl block-attach g backend=store,format=raw";
    // A file there becomes a loop device there.
    expect(host.xl(`${attach},vdev=xvdb,target=/var/lib/z.img`)).toMatchObject({ status: 0, stderr: "" });
    // Nobody looks whether it is there: the guest waits for ever.
    expect(host.xl(`${attach},vdev=xvdc,target=/dev/none`)).toMatchObject({ status: 0, stderr: "" });
    // What only QEMU could serve.
    expect(host.xl(`${attach.replace("raw", "qcow2")},vdev=xvdd,target=/dev/vg/y`).status).toBe(0);
    host.pass(1);
    expect(disks(host)).toEqual([
      `51712 1 4 ${backend(51712)}`,
      `51728 1 4 ${backend(51728)}`,
      `51744 1 3 ${backend(51744)}`,
      "51760 1 1 /local/domain/1/backend/qdisk/2/51760",
    ]);
    expect(host.node(`${backend(51728)}/node`)).toBe("/dev/loop0");
    expect(host.node(`${backend(51728)}/sectors`)).toBe(String((64 << 20) / 512));
    expect(timed(host, "xl block-detach g xvdb")).toMatchObject({ status: 0, stderr: "", seconds: 0.02 });
    expect(host.xl("xl block-detach g xvdc")).toMatchObject({ status: 0, stderr: "" });
    expect(host.node(backend(51728))).toBeUndefined();
    expect(host.world.get(blockDeviceCell, "d1:7:0")).toBeUndefined();
    expect(must(host.world, devdCell, devdProcess(1)).devices.map(({ dir }) => dir)).toEqual([
      "/local/domain/1/backend/qdisk/2/51760",
      backend(51712),
    ]);
    expect(host.xl("xl block-attach g backend=nosuch,format=raw,vdev=xvde,target=/dev/vg/y").stderr).toBe(
      "libxl: error: libxl_device.c:1486:device_addrm_aocomplete: unable to add device\n" +
        "libxl_device_disk_add failed.\n",
    );
  });

  test("is there again after a reboot, and after save and restore", () => {
    const host = served();
    host.xl("xl reboot g");
    host.pass(8);
    expect(disks(host)).toEqual([`51712 1 4 ${backend(51712, 3)}`]);
    expect(host.xl("xl save g /tmp/saved").status).toBe(0);
    expect(host.node("/local/domain/1/backend")).toBeUndefined();
    expect(host.xl("xl restore /tmp/saved").status).toBe(0);
    host.pass(3);
    expect(disks(host)).toEqual([`51712 1 4 ${backend(51712, 4)}`]);
  });
});

describe("a driver domain that is gone", () => {
  test.each(["xl destroy store", "xl shutdown -w store"])(
    "%s: the guest lives, and its end is quick",
    (end) => {
      const host = served();
      expect(host.xl(end).status).toBe(0);
      host.pass(3);
      expect(listed(host)).toEqual(["g 2 -b----"]);
      expect(disks(host)).toEqual([`51712 1 4 ${backend(51712)}`]);
      const said =
        "libxl: info: libxl_device.c:1067:libxl__initiate_device_generic_remove: " +
        `backend ${backend(51712)} already removed, cleanup frontend only\n`;
      expect(timed(host, "xl block-detach g xvda")).toMatchObject({ status: 0, stderr: said, seconds: 0 });
      expect(disks(host)).toEqual([]);
      expect(host.xl("xl destroy g")).toMatchObject({ status: 0, stderr: "" });
      host.pass(1);
      expect(listed(host)).toEqual([]);
      expect(host.node("/local/domain/1")).toBeUndefined();
    },
  );

  test("leaves nothing of itself, whichever of the two ends first", () => {
    const host = new XlHost();
    const life = (first: string, second: string): void => {
      create(host, "store", SERVES);
      create(host, "g", "mode=idle dev=1 ping=1", DISK, 'vif = ["backend=store"]');
      for (const name of [first, second]) host.xl(`xl destroy ${name}`);
      host.pass(3);
    };
    life("store", "g");
    const before = host.footprint();
    life("g", "store");
    life("store", "g");
    const left = [...host.footprint()].filter(([type, count]) => count !== before.get(type));
    expect(left.map(([type]) => type)).toEqual(["domid-incarnation", "xenstore-incarnation"]);
  });
});

describe("a driver domain that stands still", () => {
  test("libxl waits ten seconds, and the guest it serves stays a zombie until it runs again", () => {
    const host = served();
    host.xl("xl pause store");
    const path = backend(51728);
    const attached = timed(host, "xl block-attach g backend=store,format=raw,vdev=xvdb,target=/dev/vg/y");
    expect(attached).toMatchObject({ status: 1, seconds: 10 });
    expect(attached.stderr).toContain(`Domain 2:unable to add device with path ${path}\n`);
    const destroyed = timed(host, "xl destroy g");
    expect(destroyed).toMatchObject({ status: 0, seconds: 10 });
    expect(destroyed.stderr).toContain(`Domain 2:unable to remove device with path ${path}\n`);
    expect(listed(host)).toEqual(["store 1 --p---", "(null) 2 --p--d"]);
    host.xl("xl unpause store");
    host.pass(3);
    expect(listed(host)).toEqual(["store 1 -b----"]);
    expect(host.node("/local/domain/1/backend")).toBeUndefined();
  });

  test("for longer than xenstored keeps events, it never learns, and holds the guest until it dies itself", () => {
    const host = served();
    host.xl("xl pause store");
    host.xl("xl block-attach g backend=store,format=raw,vdev=xvdb,target=/dev/vg/y");
    host.xl("xl destroy g");
    host.pass(30);
    host.xl("xl unpause store");
    host.pass(60);
    expect(listed(host)).toEqual(["store 1 -b----", "(null) 2 --p--d"]);
    host.xl("xl destroy store");
    host.pass(1);
    expect(listed(host)).toEqual([]);
  });

  test("compromised, it keeps a guest's pages until it dies itself", () => {
    const host = served();
    host.act((h) => injectFault(h, "refuse-unmap", ["1"]));
    expect(timed(host, "xl destroy g")).toMatchObject({ status: 0, stderr: "" });
    host.pass(60);
    expect(must(host.world, domainCell, 2).isDying).toBe("dead");
    host.xl("xl destroy store");
    host.pass(3);
    expect(listed(host)).toEqual([]);
    host.act((h) => clearFaults(h));
  });

  test("requests that its storage holds keep the guest, too", () => {
    const host = served();
    expect(checkFault(host.world, "hold-page", ["d1:/dev/vg/none"])).toMatchObject({
      why: expect.stringContaining("dom1 has no block device /dev/vg/none"),
    });
    host.act((h) => injectFault(h, "hold-page", ["d1:/dev/vg/x"]));
    expect(timed(host, "xl destroy g")).toMatchObject({ status: 0, seconds: 10 });
    host.pass(60);
    expect(listed(host)).toEqual(["store 1 -b----", "(null) 2 --p--d"]);
    host.act((h) => clearFaults(h));
    host.pass(3);
    expect(listed(host)).toEqual(["store 1 -b----"]);
  });
});

describe("xl devd", () => {
  test("in the foreground it looks after dom0's own, until it is interrupted", () => {
    const host = new XlHost({ blockDevices: { "/dev/vg/x": 32768 } });
    const devd = host.start("xl -vvv devd -F");
    host.pass(1);
    create(host, "g", "mode=idle dev=1", 'disk = ["phy:/dev/vg/x,xvda,w"]');
    const dir = "/local/domain/0/backend/vbd/1/51712";
    const said = (): string => host.output(devd, "stderr");
    expect(said()).toContain(`add_device: Domain 1:Added device ${dir} to the list of active devices\n`);
    expect(said()).toContain(`device_complete: device ${dir} add succeed\n`);
    expect(host.xl("xl destroy g")).toMatchObject({ status: 0, stderr: "" });
    host.pass(1);
    expect(said()).toContain(`device_complete: device ${dir} remove`);
    expect(host.node(dir)).toBeUndefined();
  });

  test("as a daemon it says its number and leaves", () => {
    const host = new XlHost();
    expect(host.xl("xl devd -p /run/xldevd.pid")).toMatchObject({ status: 0, stdout: "", stderr: "" });
    host.pass(1);
    expect(host.world.get(devdCell, "dom0/xl.1.devd")).toEqual({ devices: [], count: 0 });
    create(host, "g", "mode=idle");
    expect(must(host.world, devdCell, "dom0/xl.1.devd").devices).toEqual([
      { dir: "/local/domain/0/backend/console/1/0", domid: 1 },
    ]);
  });

  test("two of them in one domain do no harm", () => {
    const host = new XlHost({ blockDevices: { "/dev/vg/x": 32768 } });
    for (const line of ["xl devd", "xl devd"]) expect(host.xl(line).status).toBe(0);
    create(host, "g", "mode=idle dev=1", 'disk = ["phy:/dev/vg/x,xvda,w"]', 'vif = [""]');
    expect(disks(host)).toEqual(["51712 0 4 /local/domain/0/backend/vbd/1/51712"]);
    // Whoever comes late finds the directories gone, and says so.
    expect(host.xl("xl destroy g").status).toBe(0);
    host.pass(12);
    expect(host.node("/local/domain/0/backend/vbd/1")).toBeUndefined();
    expect(listed(host)).toEqual([]);
  });
});
