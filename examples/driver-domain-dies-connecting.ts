// SPDX-License-Identifier: Apache-2.0

import type { CellType } from "../src/core/engine/cells.ts";
import { blockDeviceCell } from "../src/core/drivers/backend-devices.ts";
import { bioCell, blkbackCell, blkbackRingCell } from "../src/core/drivers/blkback-cells.ts";
import { isFailure } from "../src/core/engine/errno.ts";
import { devdCell } from "../src/core/guest/devd-cell.ts";
import { checkLedger } from "../src/core/hypervisor/check-ledger.ts";
import { domainById } from "../src/core/hypervisor/domain.ts";
import { pausedomain } from "../src/core/hypervisor/domctl.ts";
import { xenbusFileCell } from "../src/core/xenbus/dev-file.ts";
import { domainIsGone, guestIsUp, operator, storeValue } from "../src/explore/operator.ts";
import { scenario } from "../src/explore/scenario.ts";

const FRONTEND = "/local/domain/2/device/vbd/51712/state";
const BACKEND = "/local/domain/1/backend/vbd/2/51712/state";
const SCRIPT = "/local/domain/1/backend/vbd/2/51712/hotplug-status";
const INITIALISED = "3";
const CONNECTED = "4";

/** What the driver domain's kernel and its devd keep. */
const backends: readonly CellType<object>[] = [
  blkbackCell,
  blkbackRingCell,
  bioCell,
  devdCell,
  xenbusFileCell,
];

export default scenario({
  name: "driver-domain-dies-connecting",
  about:
    "a driver domain is destroyed at the moment at which it connects a guest's disk; then the guest is destroyed",
  host: {
    files: {
      "/etc/xen/store.cfg": [
        'name = "store"',
        'type = "pv"',
        "memory = 4",
        'extra = "backend=1 disks=/dev/vg/x"',
        "",
      ].join("\n"),
      "/etc/xen/one.cfg": [
        'name = "one"',
        'type = "pv"',
        "memory = 4",
        'extra = "dev=1"',
        'disk = [ "backend=store,vdev=xvda,format=raw,target=/dev/vg/x" ]',
        "",
      ].join("\n"),
    },
  },
  before: (words) => {
    const { xl, until } = operator(words);
    return [
      ...xl("create the driver domain", ["create", "-e", "/etc/xen/store.cfg"]),
      until("it is up", (host) => guestIsUp(host, 1)),
      ...xl("create", ["create", "-e", "/etc/xen/one.cfg"]),
      until(
        "the frontend has offered its ring, devd's script has run",
        (host) => storeValue(host, FRONTEND) === INITIALISED && storeValue(host, SCRIPT) === "connected",
      ),
      // What the guest does from here on is not the question: it stands still.
      words.step("pause", (host) => {
        const paused = pausedomain(host, { domid: 0, process: "operator" }, 2);
        return isFailure(paused) ? paused : undefined;
      }),
    ];
  },
  settle: false,
  // When xl begins is the question, not how it goes about it; nor are the console and dom0's kernel.
  prompt: [
    ...["xenconsoled", "dom0/xenwatch", "dom0/xenbus", "dom1/vcpu0", "xen/rcu/1/1", "xen/rcu/2/1"],
    ...["dom0/xl.3", "dom0/xl.3/destroy-1", "dom0/xl.4", "dom0/xl.4/destroy-2", "dom0/xl.4/vbd-51712-remove"],
    ...["xen/dom1/vcpus", "xen/dom2/vcpus"],
    // devd hears of every node that the backend writes, and has nothing to do with it.
    ...["dom1/xl.devd", "dom1/xenbus_dev", "dom1/xenbus_dev/dom1/xl.devd/xs", "dom1/xenbus"],
  ],
  script: (words) => {
    const { xl, until } = operator(words);
    return [
      ...xl("destroy the driver domain", ["destroy", "store"]),
      until("domain 1 is gone", (host) => domainIsGone(host, 1)),
      ...xl("destroy", ["destroy", "one"]),
      until("domain 2 is gone", (host) => domainIsGone(host, 2)),
    ];
  },
  always: {
    "every reference has an owner": (host) => {
      for (const domid of [0, 1, 2]) {
        if (domainById(host, domid) === undefined) continue;
        const [first] = checkLedger(host, domid);
        if (first !== undefined) return first;
      }
      return null;
    },
  },
  sometimes: {
    "it has connected the disk before it dies": (host) => storeValue(host, BACKEND) === CONNECTED,
    "both are gone": (host) => domainIsGone(host, 1) && domainIsGone(host, 2),
  },
  finally: {
    "both are gone": (host) =>
      domainIsGone(host, 1) && domainIsGone(host, 2) ? null : "one is still there, and nothing is left to do",
    "no node of them is left": (host) =>
      ["/local/domain/1", "/local/domain/2", "/libxl/1", "/libxl/2"].every(
        (path) => storeValue(host, path) === undefined,
      )
        ? null
        : "nodes of them are left",
    "nothing of its backend is left": (host) =>
      backends.every((type) => host.count(type) === 0) && host.get(blockDeviceCell, "d1:78:0") === undefined
        ? null
        : "its disk, a ring, a request, its device or its devd is",
  },
});
