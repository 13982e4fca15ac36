// SPDX-License-Identifier: Apache-2.0

import { expect, test } from "vitest";
import { diskDevid } from "./disk.ts";

test.each([
  // docs/man/xen-vbd-interface.7: the encodings' own examples and their borders.
  ["xvda", 51712],
  ["xvda1", 51713],
  ["xvdb", 51728],
  ["xvdp15", 51967],
  ["xvdq", (1 << 28) | (16 << 8)],
  ["xvda16", (1 << 28) | 16],
  ["hda", 768],
  ["hdb1", 768 + 64 + 1],
  ["hdc", 5632],
  ["sda", 2048],
  ["sdb1", 2065],
  ["d0", 51712],
  ["d1p2", 51730],
  ["51712", 51712],
])("%s is device %i", (vdev, devid) => {
  expect(diskDevid(vdev)).toBe(devid);
});

test.each(["", "xvd", "hde", "sdq", "sda16", "vda", "d", "xvda256"])("%j is no disk's name", (vdev) => {
  expect(diskDevid(vdev)).toBeNull();
});
