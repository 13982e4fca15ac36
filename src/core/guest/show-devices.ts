// SPDX-License-Identifier: Apache-2.0
//
// What a guest with dev=1 says of its devices, and the little it reads from its
// first disk (recordings, guest/init).

import { present } from "../engine/errno.ts";
import { must } from "../engine/cells.ts";
import type { Cells } from "../engine/cells.ts";
import { routine } from "../engine/routine.ts";
import { blkfrontCell } from "../drivers/blkfront-cells.ts";
import { blkfrontRead } from "../drivers/blkfront-io.ts";
import { netfrontCell } from "../drivers/netfront-cells.ts";
import { devicesOn } from "../xenbus/device.ts";
import { guestPrint } from "./console.ts";

/** `dd bs=4k count=16`, which the kernel reads ahead to twice as much. */
const DD_PAGES = 32;
const XVD_MAJOR = 202;

/** /proc/partitions. */
function partitions(cells: Cells, domid: number): string[] {
  const disks = devicesOn(cells, domid, "frontend").flatMap((device) => {
    const disk = cells.get(blkfrontCell, device);
    if (disk?.connected !== true) return [];
    const blocks = String(Math.floor(disk.sectors / 2));
    const minor = String(disk.vdevice & 0xff).padStart(7);
    return [`${String(XVD_MAJOR).padStart(4)}  ${minor} ${blocks.padStart(10)} ${disk.name}`];
  });
  return ["major minor  #blocks  name", "", ...disks];
}

/** `ip link`. */
function links(cells: Cells, domid: number): string[] {
  const macs = devicesOn(cells, domid, "frontend").flatMap((device) => {
    const netfront = cells.get(netfrontCell, device);
    return netfront?.registered === true ? [netfront.mac] : [];
  });
  return [
    "1: lo: <LOOPBACK> mtu 65536 qdisc noop qlen 1000",
    "    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00",
    ...macs.flatMap((mac, at) => [
      `${at + 2}: eth${at}: <BROADCAST,MULTICAST> mtu 1500 qdisc noop qlen 1000`,
      `    link/ether ${mac} brd ff:ff:ff:ff:ff:ff`,
    ]),
  ];
}

/** The disk that is called xvda, or null. */
function firstDisk(cells: Cells, domid: number): string | null {
  const found = devicesOn(cells, domid, "frontend").find(
    (device) => cells.get(blkfrontCell, device)?.name === "xvda",
  );
  return found !== undefined && must(cells, blkfrontCell, found).connected ? found : null;
}

/** Prints what devices there are and reads from the first disk. */
export const showDevices = routine(
  "cat /proc/partitions; ip link; dd",
  (a: { domid: number }) => ({
    ...a,
    lines: [] as string[],
    line: "",
    disk: null as string | null,
    ok: false,
  }),
  ({ sleep, step, each, call, when, attempt }) => [
    sleep("sleep 1", () => 1_000_000),
    step("look", (host, l) => {
      l.lines = [...partitions(host, l.domid), ...links(host, l.domid)];
      l.disk = firstDisk(host, l.domid);
    }),
    each(
      "lines",
      (l) => l.lines,
      (l, line) => void (l.line = line),
      [call("print", guestPrint, (l) => ({ domid: l.domid, line: l.line }))],
    ),
    when("has a disk", (l) => l.disk !== null, [
      attempt([
        call(
          "dd",
          blkfrontRead,
          (l) => ({ domid: l.domid, device: present(l.disk), pages: DD_PAGES }),
          (l) => void (l.ok = true),
        ),
      ]).onError(() => {}, []),
    ]),
    step("dd says", (_host, l) => {
      if (l.ok) l.lines = ["16+0 records in", "16+0 records out"];
      else l.lines = ["dd: can't open '/dev/xvda': No such file or directory"];
    }),
    each(
      "dd's lines",
      (l) => l.lines,
      (l, line) => void (l.line = line),
      [call("print dd", guestPrint, (l) => ({ domid: l.domid, line: l.line }))],
    ),
  ],
);
