// SPDX-License-Identifier: Apache-2.0
//
// blkback: the side of a guest's disk of who serves it, dom0 or a driver domain, as
// a state machine on xenstore (Linux drivers/block/xen-blkback/xenbus.c).

import { must } from "../engine/cells.ts";
import { errnoNumber, present } from "../engine/errno.ts";
import type { Errno } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { enlist } from "../engine/runqueue.ts";
import { spawnThread } from "../engine/thread.ts";
import { deviceUnregister } from "../xenbus/bus.ts";
import { deviceOf, sameDevice, xenbusDriver } from "../xenbus/device.ts";
import type { DeviceArgs } from "../xenbus/device.ts";
import { printk } from "../xenbus/printk.ts";
import { XenbusState } from "../xenbus/state.ts";
import { xenbusDevFatal, xenbusDevIsOnline, xenbusSwitchState } from "../xenbus/switch-state.ts";
import { registerXenbusWatch, unregisterXenbusWatch } from "../xenbus/watch.ts";
import type { WatchEvent } from "../xenbus/xenbus.ts";
import { xenbusPrintf, xenbusRead, xenbusReadOptional } from "../xenbus/xs.ts";
import { blkbackCell, blkbackInfoCell, blkbackRingCell } from "./blkback-cells.ts";
import { connectRing, updateBlkifStatus } from "./blkback-connect.ts";
import { xenBlkifDisconnect } from "./blkback-ring.ts";
import type { DiskArgs } from "./blkback-ring.ts";
import { blockDeviceCell, ofDomain } from "./backend-devices.ts";

/** What a backend offers at once, before and after it has registered its watch. */
const MAX_INDIRECT_SEGMENTS = "256";
const MAX_QUEUES = "2";
const MAX_RING_PAGE_ORDER = "4";

const backendToken = (device: string): string => `backend:${device}`;

/** The disk of a device. */
function blkifOf(host: Host, device: string): string {
  return must(host, blkbackInfoCell, device).blkif;
}

/** The frontend shows another state. */
const frontendChanged = routine(
  "frontend_changed [xen_blkback]",
  (a: DeviceArgs & { state: number }) => ({
    ...a,
    ours: 0,
    nodename: "",
    blkif: "",
    unregister: false,
    busy: false,
    errno: null as Errno | null,
  }),
  ({ step, when, call, attempt }) => [
    step("switch", (host, l) => {
      const { state, nodename } = deviceOf(host, l.device);
      l.ours = state;
      l.nodename = nodename;
      l.blkif = blkifOf(host, l.device);
      l.unregister = l.state === XenbusState.Unknown;
    }),
    when(
      "prepare for reconnect",
      (l) => l.state === XenbusState.Initialising && l.ours === XenbusState.Closed,
      [
        step("pr_info", (host, l) =>
          printk(host, l.domid, `xen-blkback: ${l.nodename}: prepare for reconnect`),
        ),
        call("InitWait", xenbusSwitchState, (l) => ({ ...sameDevice(l), state: XenbusState.InitWait })),
      ],
    ),
    when(
      "ready",
      (l) =>
        (l.state === XenbusState.Initialised || l.state === XenbusState.Connected) &&
        l.ours !== XenbusState.Connected,
      [
        call(
          "xen_blkif_disconnect",
          xenBlkifDisconnect,
          ({ domid, blkif }) => ({ domid, blkif }),
          (l, busy) => {
            l.busy = busy;
          },
        ),
        when(
          "pending I/O",
          (l) => l.busy,
          [
            call("xenbus_dev_fatal", xenbusDevFatal, (l) => ({
              ...sameDevice(l),
              err: errnoNumber("EBUSY"),
              message: "pending I/O",
            })),
          ],
          [
            attempt([
              call("connect_ring", connectRing, (l) => ({ ...sameDevice(l), blkif: l.blkif })),
              call("xen_update_blkif_status", updateBlkifStatus, (l) => ({
                ...sameDevice(l),
                blkif: l.blkif,
              })),
            ]).onError(
              (l, errno) => {
                l.errno = errno;
              },
              [call("clean up", xenBlkifDisconnect, ({ domid, blkif }) => ({ domid, blkif }))],
            ),
          ],
        ),
      ],
    ),
    when("Closing", (l) => l.state === XenbusState.Closing, [
      call("to Closing", xenbusSwitchState, (l) => ({ ...sameDevice(l), state: XenbusState.Closing })),
    ]),
    when("Closed", (l) => l.state === XenbusState.Closed, [
      call("disconnect", xenBlkifDisconnect, ({ domid, blkif }) => ({ domid, blkif })),
      call("to Closed", xenbusSwitchState, (l) => ({ ...sameDevice(l), state: XenbusState.Closed })),
      call(
        "xenbus_dev_is_online",
        xenbusDevIsOnline,
        (l) => ({ ...sameDevice(l), nodename: l.nodename }),
        (l, online) => {
          l.unregister = !online;
        },
      ),
    ]),
    when("gone", (l) => l.unregister, [call("device_unregister", deviceUnregister, sameDevice)]),
    when("impossible", (l) => l.state > XenbusState.Closed || l.state === XenbusState.InitWait, [
      call("xenbus_dev_fatal state", xenbusDevFatal, (l) => ({
        ...sameDevice(l),
        err: errnoNumber("EINVAL"),
        message: `saw state ${l.state} at frontend`,
      })),
    ]),
  ],
);

interface BackendLocals extends DeviceArgs {
  nodename: string;
  otherend: string;
  blkif: string;
  physical: string | null;
  /** How many numbers are in it: %x:%x. */
  numbers: number;
  mode: string;
  cdrom: boolean;
  known: string;
  doing: "reading physical-device" | "reading mode" | "creating vbd structure";
  errno: Errno | null;
}

/** What `%x:%x` reads of `physical-device`: the numbers as they are kept, and how many there were. */
function physicalDevice(value: string): { physical: string; numbers: number } {
  const found = /^\s*(?:0x)?([\da-f]+)(?::\s*(?:0x)?([\da-f]+))?/i.exec(value);
  const numbers = (found?.slice(1) ?? []).filter((number) => number !== undefined);
  const kept = numbers.map((number) => Number.parseInt(number, 16).toString(16));
  return { physical: kept.join(":"), numbers: kept.length };
}

/** Whether it is not the block device that is open. */
function isAnother({ domid, known, physical }: BackendLocals): boolean {
  return known !== "" && known !== ofDomain(domid, physical ?? "");
}

/** Opens the block device; ENOENT where there is none of that number (xen_vbd_create). */
function vbdCreate(host: Host, { domid, blkif, physical, mode, cdrom }: BackendLocals): Errno | null {
  const number = physical as string;
  const physicalDevice = ofDomain(domid, number);
  if (host.get(blockDeviceCell, physicalDevice) === undefined) {
    const [major = 0, minor = 0] = number.split(":").map((part) => Number.parseInt(part, 16));
    const device = (major * 2 ** 20 + minor).toString(16).padStart(8, "0");
    printk(host, domid, `xen-blkback: xen_vbd_create: device ${device} could not be opened`);
    return "ENOENT";
  }
  host.edit(blockDeviceCell, physicalDevice).openers++;
  Object.assign(host.edit(blkbackCell, blkif), { physicalDevice, mode, cdrom, open: true });
  return null;
}

/** The script has said which block device it is: it is opened, and the frontend served if it is ready. */
const backendChanged = routine(
  "backend_changed [xen_blkback]",
  (a: WatchEvent): BackendLocals => ({
    device: a.owner,
    domid: a.domid,
    nodename: "",
    otherend: "",
    blkif: "",
    physical: null,
    numbers: 0,
    mode: "",
    cdrom: false,
    known: "",
    doing: "reading physical-device",
    errno: null,
  }),
  ({ step, call, when, attempt }) => [
    step("be->dev", (host, l) => {
      const { nodename, otherend } = deviceOf(host, l.device);
      l.nodename = nodename;
      l.otherend = otherend ?? "";
      l.blkif = blkifOf(host, l.device);
      l.known = must(host, blkbackCell, l.blkif).physicalDevice;
    }),
    call(
      "physical-device",
      xenbusReadOptional,
      (l) => ({ domid: l.domid, dir: l.nodename, name: "physical-device" }),
      (l, value) => {
        if (value !== null) Object.assign(l, physicalDevice(value));
      },
    ),
    // Nothing there, or no number: the event at first, which the scripts' follows.
    when("half a number", (l) => l.numbers === 1, [
      call("xenbus_dev_fatal number", xenbusDevFatal, (l) => ({
        ...sameDevice(l),
        err: -1,
        message: l.doing,
      })),
    ]),
    when("another device", (l) => l.numbers === 2 && isAnother(l), [
      step("pr_warn", (host, l) =>
        printk(
          host,
          l.domid,
          `xen-blkback: changing physical device (from ${l.known} to ${l.physical}) not supported.`,
        ),
      ),
    ]),
    when("news", (l) => l.numbers === 2 && l.known === "", [
      attempt([
        call(
          "mode",
          xenbusRead,
          (l) => ({ domid: l.domid, dir: l.nodename, name: "mode" }),
          (l, mode) => {
            l.mode = mode;
            l.doing = "creating vbd structure";
          },
        ),
        call(
          "device-type",
          xenbusReadOptional,
          (l) => ({ domid: l.domid, dir: l.otherend, name: "device-type" }),
          (l, type) => {
            l.cdrom = type === "cdrom";
          },
        ),
        step("xen_vbd_create", (host, l) => {
          l.errno = vbdCreate(host, l);
        }),
      ]).onError((l, errno) => {
        l.errno = errno;
        l.doing = "reading mode";
      }, []),
      when(
        "cannot be opened",
        (l) => l.errno !== null,
        [
          call("xenbus_dev_fatal", xenbusDevFatal, (l) => ({
            ...sameDevice(l),
            err: errnoNumber(present(l.errno)),
            message: l.doing,
          })),
        ],
        [
          attempt([
            call("xen_update_blkif_status", updateBlkifStatus, (l) => ({ ...sameDevice(l), blkif: l.blkif })),
          ]).onError(() => {}, []),
        ],
      ),
    ]),
  ],
);

/** A free name for a device's disk: the device's own, unless an older disk of that name is still busy. */
function newDisk(host: Host, device: string): string {
  let blkif = device;
  for (let older = 1; host.get(blkbackCell, blkif) !== undefined; older++) blkif = `${device}~${older}`;
  host.add(blkbackInfoCell, device, { blkif, backendWatch: false });
  host.add(blkbackCell, blkif, {
    name: "",
    frontend: deviceOf(host, device).otherendId,
    physicalDevice: "",
    mode: "",
    cdrom: false,
    open: false,
    featurePersistent: false,
    rings: 0,
  });
  return blkif;
}

/** Makes the disk, waits for the script to find its block device, and for the frontend (InitWait). */
const blkbkProbe = routine(
  "xen_blkbk_probe [xen_blkback]",
  (a: DeviceArgs) => ({ ...a, nodename: "" }),
  ({ step, call }) => [
    step("xen_blkif_alloc", (host, l) => {
      l.nodename = deviceOf(host, l.device).nodename;
      newDisk(host, l.device);
    }),
    call("feature-max-indirect-segments", xenbusPrintf, (l) => ({
      domid: l.domid,
      dir: l.nodename,
      name: "feature-max-indirect-segments",
      value: MAX_INDIRECT_SEGMENTS,
    })),
    call("multi-queue-max-queues", xenbusPrintf, (l) => ({
      domid: l.domid,
      dir: l.nodename,
      name: "multi-queue-max-queues",
      value: MAX_QUEUES,
    })),
    call("backend_watch", registerXenbusWatch, (l) => ({
      domid: l.domid,
      node: `${l.nodename}/physical-device`,
      token: backendToken(l.device),
      callback: backendChanged.name,
      owner: l.device,
    })),
    step("be->backend_watch", (host, l) => {
      host.edit(blkbackInfoCell, l.device).backendWatch = true;
    }),
    call("max-ring-page-order", xenbusPrintf, (l) => ({
      domid: l.domid,
      dir: l.nodename,
      name: "max-ring-page-order",
      value: MAX_RING_PAGE_ORDER,
    })),
    call("xenbus_switch_state", xenbusSwitchState, (l) => ({
      ...sameDevice(l),
      state: XenbusState.InitWait,
    })),
  ],
);

/** A disk's end: the block device is closed. Its rings must have gone. */
function freeDisk(host: Host, blkif: string): void {
  const { physicalDevice, open } = must(host, blkbackCell, blkif);
  if (open && host.get(blockDeviceCell, physicalDevice) !== undefined)
    host.edit(blockDeviceCell, physicalDevice).openers--;
  host.drop(blkbackCell, blkif);
}

function requestsAtDisk(host: Host, blkif: string): boolean {
  const { rings } = must(host, blkbackCell, blkif);
  for (let at = 0; at < rings; at++)
    if ((host.get(blkbackRingCell, `${blkif}/${at}`)?.inflight ?? 0) > 0) return true;
  return false;
}

/** The last request of a disk without a device has come back: what it held is let go of now. */
const blkifDeferredFree = routine(
  "xen_blkif_deferred_free",
  (a: DiskArgs) => ({ ...a }),
  ({ waitFor, call, step }) => [
    waitFor("refcnt", (host, l) => !requestsAtDisk(host, l.blkif)),
    call("xen_blkif_disconnect", xenBlkifDisconnect, (l) => l),
    step("xen_vbd_free", (host, l) => freeDisk(host, l.blkif)),
  ],
);

const blkbkRemove = routine(
  "xen_blkbk_remove [xen_blkback]",
  (a: DeviceArgs) => ({ ...a, blkif: "", watch: false, busy: false }),
  ({ step, when, call }) => [
    step("be = dev_get_drvdata", (host, l) => {
      const { blkif, backendWatch } = must(host, blkbackInfoCell, l.device);
      l.blkif = blkif;
      l.watch = backendWatch;
    }),
    when("watching", (l) => l.watch, [
      call("unregister_xenbus_watch", unregisterXenbusWatch, (l) => ({
        domid: l.domid,
        token: backendToken(l.device),
      })),
    ]),
    call(
      "xen_blkif_disconnect",
      xenBlkifDisconnect,
      ({ domid, blkif }) => ({ domid, blkif }),
      (l, busy) => {
        l.busy = busy;
      },
    ),
    step("xen_blkif_put", (host, l) => {
      host.drop(blkbackInfoCell, l.device);
      if (!l.busy) return freeDisk(host, l.blkif);
      const { domid, blkif } = l;
      const kworker = `dom${domid}/kworker/${blkif}`;
      spawnThread(host, kworker, blkifDeferredFree, { domid, blkif }, { kind: "kthread", domid });
      enlist(host, domid, kworker);
    }),
  ],
);

function forget(host: Host, device: string): void {
  const info = host.get(blkbackInfoCell, device);
  if (info === undefined) return;
  host.drop(blkbackInfoCell, device);
  for (let at = 0; at < must(host, blkbackCell, info.blkif).rings; at++) {
    const ring = `${info.blkif}/${at}`;
    if (host.get(blkbackRingCell, ring) !== undefined) host.drop(blkbackRingCell, ring);
  }
  freeDisk(host, info.blkif);
}

/** The driver, as the kernel of dom0 or of a driver domain loads it. */
export const blkback = xenbusDriver({
  module: "xen_blkback",
  bus: "backend",
  type: "vbd",
  probe: blkbkProbe,
  remove: blkbkRemove,
  allowRebind: true,
  otherendChanged: frontendChanged,
  forget,
});
