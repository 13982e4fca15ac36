// SPDX-License-Identifier: Apache-2.0
//
// Expected results were observed with libxlutil 4.17.7.

import { describe, expect, test } from "vitest";
import { parseDisk } from "./disk-spec.ts";
import { deviceDisk } from "./domain-config.ts";
import type { Json } from "./idl.ts";

/** The disk as libxl's JSON shows it. */
function disk(...specs: string[]): Json {
  const parsed = parseDisk("command line", specs);
  expect(parsed.stderr).toBe("");
  expect(parsed.failed).toBe(false);
  return deviceDisk.toJson(parsed.disk);
}

describe("disk specifications", () => {
  test.each<[string, Json]>([
    ["phy:/dev/loop0,xvda,w", { pdev_path: "/dev/loop0", vdev: "xvda", format: "raw", readwrite: 1 }],
    ["/dev/vg/guest,,xvda", { pdev_path: "/dev/vg/guest", vdev: "xvda", format: "raw", readwrite: 1 }],
    ["/a.qcow2,qcow2,hda,r", { pdev_path: "/a.qcow2", vdev: "hda", format: "qcow2" }],
    [
      "format=raw, vdev=xvda, access=rw, target=/a,b.img",
      { pdev_path: "/a,b.img", vdev: "xvda", format: "raw", readwrite: 1 },
    ],
    ["/iso,,hdc,cdrom", { pdev_path: "/iso", vdev: "hdc", format: "raw", removable: 1, is_cdrom: 1 }],
    [",hdc:cdrom,r", { pdev_path: "", vdev: "hdc", format: "empty", removable: 1, is_cdrom: 1 }],
    ["cdrom,vdev=hdc", { vdev: "hdc", format: "empty", removable: 1, is_cdrom: 1 }],
    ["file:/a.img,hda:disk,w", { pdev_path: "/a.img", vdev: "hda", format: "raw", readwrite: 1 }],
    ["qcow2:/a,hda", { pdev_path: "/a", vdev: "hda", format: "qcow2", readwrite: 1 }],
    ["tap:qcow:/a,hda", { pdev_path: "/a", vdev: "hda", format: "qcow", readwrite: 1 }],
    [
      "iscsi:iqn.x,xvda",
      { pdev_path: "iqn.x", vdev: "xvda", format: "raw", script: "block-iscsi", readwrite: 1 },
    ],
    ["drbd:res,xvda", { pdev_path: "res", vdev: "xvda", format: "raw", script: "block-drbd", readwrite: 1 }],
    [
      "backend=store,backendtype=qdisk,script=s,direct-io-safe,no-discard,specification=virtio,vdev=xvdb,target=/b",
      {
        backend_domname: "store",
        pdev_path: "/b",
        vdev: "xvdb",
        backend: "qdisk",
        format: "raw",
        script: "s",
        readwrite: 1,
        direct_io_safe: true,
        discard_enable: "False",
        specification: "virtio",
      },
    ],
  ])("%s", (spec, expected) => {
    expect(disk(spec)).toEqual(expected);
  });

  test("several words of a command line make one disk", () => {
    expect(disk("/dev/sdb", "vdev=xvdb", "access=ro")).toEqual({
      pdev_path: "/dev/sdb",
      vdev: "xvdb",
      format: "raw",
    });
  });
});

describe("xl's words for bad disks", () => {
  const prefix = "command line: config parsing error in disk specification: ";
  test.each([
    ["", "no vdev specified in `'"],
    ["/a", "no vdev specified in `/a'"],
    ["vdev=xvda", "no target specified (and device not removable) in `vdev=xvda'"],
    ["/a,foo,xvda", "unknown value for format: near `foo' in `/a,foo,xvda'"],
    ["/a,raw,xvda,x", "unknown value for access: near `x' in `/a,raw,xvda,x'"],
    ["/a,raw,xvda,r,q", "too many positional parameters: near `q' in `/a,raw,xvda,r,q'"],
    ["format=raw,format=qcow,vdev=a", "format respecified: near `qcow' in `format=raw,format=qcow,vdev=a'"],
    ["vdev=a,vdev=b,target=/x", "vdev respecified: near `b' in `vdev=a,vdev=b,target=/x'"],
    ["zork=1,vdev=a", "unknown parameter: near `zork=1,' in `zork=1,vdev=a'"],
    ["devtype=tape,vdev=a", "unknown value for type: near `devtype=tape,' in `devtype=tape,vdev=a'"],
    ["backendtype=x,vdev=a", "unknown value for backendtype: near `x' in `backendtype=x,vdev=a'"],
    ["zork:/a,xvda", "unknown deprecated disk prefix: near `zork:' in `zork:/a,xvda'"],
    ["/a,,hda:tape", "unknown deprecated type: near `tape' in `/a,,hda:tape'"],
    ["=x", "bad disk syntax: near `=x' in `=x'"],
  ])("%s", (spec, expected) => {
    const parsed = parseDisk("command line", [spec]);
    expect(parsed.failed).toBe(true);
    expect(parsed.stderr).toBe(`${prefix}${expected}\n`);
  });
});
