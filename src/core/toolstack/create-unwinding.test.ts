// SPDX-License-Identifier: Apache-2.0
//
// Whatever fails while a domain is created, nothing of it stays, and the other
// domains do not notice.

import { describe, expect, test } from "vitest";
import { clearFaults, injectFault } from "../engine/fault.ts";
import { random } from "../engine/scheduler.ts";
import { heapCell } from "../hypervisor/heap.ts";
import { must } from "../engine/cells.ts";
import { guestConfig, XlHost } from "./testing.ts";

const freePages = (host: XlHost): number => must(host.world, heapCell, 0).freePages;

/** Cells by type, but for those that remember every domain there ever was. */
function leftovers(host: XlHost): Map<string, number> {
  const footprint = host.footprint();
  for (const type of ["domid-incarnation", "xenstore-incarnation", "file", "memory-line"])
    footprint.delete(type);
  return footprint;
}

const withDevices = guestConfig(
  "g",
  "mode=idle dev=1",
  'disk = ["phy:/dev/loop0,xvda,w"]',
  'vif = ["mac=00:16:3e:00:00:01,bridge=xenbr0"]',
);

/** A host on which one domain with devices was created and destroyed, so that all directories are there. */
function usedHost(): XlHost {
  const host = new XlHost({ blockDevices: { "/dev/loop0": 2048 } });
  host.write("/tmp/g.cfg", withDevices);
  expect(host.xl("xl create /tmp/g.cfg").status).toBe(0);
  host.pass(3);
  expect(host.xl("xl destroy g").status).toBe(0);
  host.pass(3);
  return host;
}

describe("a creation that fails leaves nothing", () => {
  test.each([
    ["a disk that is not there", 'disk = ["phy:/dev/none,xvda,w"]', "Unable to set disk defaults for disk 0"],
    ["a bridge that is not there", 'vif = ["bridge=nosuchbr"]', "Could not find bridge device nosuchbr"],
    [
      "a kernel that is not there",
      'kernel = "/no/kernel"',
      "failed to open file '/no/kernel': No such file or directory",
    ],
    [
      "a PVH guest's kernel that is not there",
      'type = "pvh"\nkernel = "/no/kernel"',
      "libxl: error: libxl_dom.c:909:libxl__domain_firmware: xc_dom_kernel_file failed: No such file or directory\n" +
        "libxl: error: libxl_dom.c:1075:libxl__build_hvm: initializing domain firmware failed\n" +
        "libxl: error: libxl_create.c:1640:domcreate_rebuild_done: Domain 2:cannot (re-)build domain: -1\n",
    ],
    [
      "a PVH guest's ramdisk that is not there",
      'type = "pvh"\nramdisk = "/no/ramdisk"',
      "libxl: error: libxl_dom.c:926:libxl__domain_firmware: xc_dom_ramdisk_file failed: No such file or directory\n",
    ],
    [
      "a PVH guest of a name that is taken",
      'type = "pvh"\nname = "Domain-0"',
      "libxl: error: libxl_xshelp.c:206:libxl__xs_read_mandatory: xenstore read failed: `/libxl/2/type': " +
        "No such file or directory\n" +
        "libxl: warning: libxl_dom.c:49:libxl__domain_type: unable to get domain type for domid=2, assuming HVM\n",
    ],
    [
      "more memory than there is",
      "memory = 1000000",
      "xc_dom_boot_mem_init: can't allocate low memory for domain",
    ],
    ["a kernel that is none", 'kernel = "/tmp/g.cfg"', "xc_dom_find_loader: no loader found"],
  ])("%s", (_what, line, message) => {
    const host = usedHost();
    const before = leftovers(host);
    const free = freePages(host);
    host.write("/tmp/bad.cfg", guestConfig("bad", "mode=idle dev=1", line));
    const result = host.xl("xl create /tmp/bad.cfg");
    expect(result.status).toBe(3);
    expect(result.stderr).toContain(message);
    host.pass(3);
    expect(leftovers(host)).toEqual(before);
    expect(freePages(host)).toBe(free);
    expect(host.xl("xl list").stdout.split("\n")).toHaveLength(3);
  });

  test.each(["/etc/xen/scripts/block", "/etc/xen/scripts/vif-bridge"])(
    "%s fails, or takes too long",
    (script) => {
      const host = usedHost();
      const before = leftovers(host);
      host.act((on) => void injectFault(on, "fail-script", [script]));
      const failed = host.xl("xl create /tmp/g.cfg");
      expect(failed.status).toBe(3);
      expect(failed.stderr).toMatch(
        new RegExp(`${script} (add|online) \\[\\d+\\] exited with error status 1\n`),
      );
      host.act((on) => void injectFault(on, "slow-script", [script, "100"]));
      const slow = host.xl("xl create /tmp/g.cfg");
      expect(slow.status).toBe(3);
      expect(slow.stderr).toContain("because of timeout");
      host.act((on) => void clearFaults(on));
      host.pass(3);
      expect(leftovers(host)).toEqual(before);
      expect(host.xl("xl create /tmp/g.cfg").status).toBe(0);
    },
  );
});

test.each([1, 2, 3, 4])("domains made and destroyed at once, in a random order (seed %i)", (seed) => {
  const host = new XlHost({ blockDevices: { "/dev/loop0": 2048 } }, random, seed);
  const free = freePages(host);
  host.write("/tmp/g.cfg", withDevices);
  for (const name of ["a", "b", "c"]) host.write(`/tmp/${name}.cfg`, guestConfig(name));
  const creations = ["g", "a", "b", "c"].map((name) => host.start(`xl create /tmp/${name}.cfg`));
  expect(creations.map((process) => host.finish(process).status)).toEqual([0, 0, 0, 0]);
  host.pass(4);
  const ends = [
    "xl shutdown -w a",
    "xl destroy b",
    "xl destroy g",
    "xl reboot c",
    "xl list",
    "xl destroy 99",
  ];
  const statuses = ends.map((line) => host.start(line)).map((process) => host.finish(process).status);
  expect(statuses).toEqual([0, 0, 0, 0, 0, 1]);
  host.pass(6);
  const listed = host.xl("xl list").stdout;
  expect(listed).toMatch(/^c +5 /m);
  expect(listed.trimEnd().split("\n")).toHaveLength(3);
  expect(host.xl("xl destroy c").status).toBe(0);
  host.pass(3);
  expect(freePages(host)).toBe(free);
});
