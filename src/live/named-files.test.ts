// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import { textBytes } from "../core/daemons/files.ts";
import { namedFiles } from "./named-files.ts";

const config = `
name = "web"
kernel = "/boot/vmlinuz"
ramdisk = 'initrd.img'
disk = [ '/srv/web.img,raw,xvda,rw', 'format=raw, vdev=xvdb, access=r, target=data.img', ',,hdc:cdrom,r' ]
vif = [ 'bridge=xenbr0' ]
`;

function read(name: string): Uint8Array | null {
  return name === "web.cfg" ? textBytes(config) : null;
}

test("create names its configuration, and that names kernels and disks", () => {
  expect(namedFiles(["create", "-p", "web.cfg"], read)).toEqual({
    reads: ["web.cfg", "/boot/vmlinuz", "initrd.img", "/srv/web.img", "data.img"],
    writes: [],
  });
});

test("what the command line adds to a configuration counts too", () => {
  const { reads } = namedFiles(["create", "none.cfg", 'kernel="/other"', "ramdisk='r'"], read);
  expect(reads).toEqual(["none.cfg", "/other", "r"]);
});

test("save and dump-core write, restore reads", () => {
  expect(namedFiles(["save", "web", "out.save"], read)).toEqual({ reads: [], writes: ["out.save"] });
  expect(namedFiles(["dump-core", "web", "core"], read)).toEqual({ reads: [], writes: ["core"] });
  expect(namedFiles(["restore", "in.save"], read)).toEqual({ reads: ["in.save"], writes: [] });
});

test("a disk that is attached is looked for", () => {
  expect(namedFiles(["block-attach", "web", "phy:/dev/sdz,xvdc,w"], read).reads).toEqual(["/dev/sdz"]);
});

test("other verbs, wrong ones and broken configurations name nothing", () => {
  for (const argv of [["list"], ["destroy", "web"], ["no-such-verb"], [], ["create", "--no-such-option"]]) {
    expect(namedFiles(argv, read)).toEqual({ reads: [], writes: [] });
  }
  expect(namedFiles(["create", "x"], () => textBytes("kernel = [ 'unfinished")).reads).toEqual(["x"]);
});
