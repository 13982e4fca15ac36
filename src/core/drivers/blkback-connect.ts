// SPDX-License-Identifier: Apache-2.0
//
// blkback connecting: the rings a frontend offers, then the disk's data for the
// frontend, then a thread a ring (Linux drivers/block/xen-blkback/xenbus.c,
// connect_ring, connect, xen_update_blkif_status).

import { must } from "../engine/cells.ts";
import { errnoNumber, fail, isFailure } from "../engine/errno.ts";
import type { Errno } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { deviceOf, sameDevice } from "../xenbus/device.ts";
import type { DeviceArgs } from "../xenbus/device.ts";
import { kthreadRun } from "../xenbus/kthread.ts";
import { printk } from "../xenbus/printk.ts";
import { XenbusState } from "../xenbus/state.ts";
import { failFatally, xenbusDevFatal, xenbusSwitchState } from "../xenbus/switch-state.ts";
import { printEach } from "../xenbus/write-entries.ts";
import type { Entry } from "../xenbus/write-entries.ts";
import {
  xenbusPrintf,
  xenbusRead,
  xenbusReadOptional,
  xenbusReadUnsigned,
  xenbusTransactionEnd,
  xenbusTransactionStart,
} from "../xenbus/xs.ts";
import { blkbackCell, blkbackRingCell } from "./blkback-cells.ts";
import { xenBlkifSchedule } from "./blkback-io.ts";
import { xenBlkifMap } from "./blkback-ring.ts";
import { blockDeviceCell } from "./backend-devices.ts";

const MAX_QUEUES = 2;
const MAX_RING_PAGE_ORDER = 4;
/** xenbus_scanf's result where one value was read, which some errors are told with: `-1 …`. */
const READ_ONE = -1;
const [VDISK_CDROM, VDISK_READONLY] = [1, 4];
/** Bytes of a thread's name, with the one that ends it (TASK_COMM_LEN). */
const TASK_COMM_LEN = 16;

const protocols = ["x86_64-abi", "x86_32-abi"];

interface RefsLocals extends DeviceArgs {
  blkif: string;
  at: number;
  dir: string;
  /** The reference's node. */
  name: string;
  port: number;
  ref: number;
  frontend: number;
  /** The grant table's, where it does not map the ring. */
  status: number;
  doing: string;
  errno: Errno;
}

/** What `%u` reads of a node; null where there is nothing of the kind. */
function unsigned(value: string): number | null {
  const found = /^\s*\+?(\d+)/.exec(value)?.[1];
  return found === undefined ? null : Number(BigInt.asUintN(32, BigInt(found)));
}

/** Reads what the frontend offers for one ring, and maps it. Rings of one page only. What fails is told. */
const readPerRingRefs = routine(
  "read_per_ring_refs",
  (a: DeviceArgs & { blkif: string; at: number; dir: string; name: string }): RefsLocals => ({
    ...a,
    port: -1,
    ref: -1,
    frontend: 0,
    status: 0,
    doing: `reading ${a.dir}/event-channel`,
    errno: "EINVAL",
  }),
  ({ call, step, attempt, failWith, when }) => [
    attempt([
      call(
        "event-channel",
        xenbusRead,
        (l) => ({ domid: l.domid, dir: l.dir, name: "event-channel" }),
        (l, port) => {
          l.port = unsigned(port) ?? -1;
        },
      ),
      when("no port", (l) => l.port < 0, [failWith("port", "EINVAL")]),
      call(
        "ring-ref",
        xenbusRead,
        (l) => ({ domid: l.domid, dir: l.dir, name: l.name }),
        (l, ref) => {
          l.ref = unsigned(ref) ?? -1;
        },
      ),
      when("no reference", (l) => l.ref < 0, [failWith("reference", "EINVAL")]),
      step("xen_blkif_map", (host, l) => {
        l.doing = `mapping ring-ref port ${l.port}`;
        l.frontend = must(host, blkbackCell, l.blkif).frontend;
        const mapped = xenBlkifMap(host, l.domid, l.blkif, l.at, l.ref, l.port);
        if (mapped === undefined || isFailure(mapped)) return mapped;
        l.status = mapped.status;
        return fail("ENOENT");
      }),
    ]).onError(
      (l, errno) => {
        const maps = l.doing.startsWith("mapping");
        if (!maps && l.port >= 0) l.doing = `reading ${l.dir}/${l.name}`;
        l.errno = maps ? errno : "EINVAL";
      },
      [
        when("not granted", (l) => l.status !== 0, [
          call("xenbus_map_ring", xenbusDevFatal, (l) => ({
            ...sameDevice(l),
            err: -l.status,
            message: `mapping in shared page ${l.ref} from domain ${l.frontend}`,
          })),
        ]),
        ...failFatally({ call, failWith }, ["xenbus_dev_fatal", "told"], (l) => l.doing),
      ],
    ),
  ],
);

interface ConnectLocals extends DeviceArgs {
  blkif: string;
  nodename: string;
  otherend: string;
  protocol: string | null;
  persistent: number;
  queues: number;
  order: number | null;
  numbers: number[];
  at: number;
}

/** Maps the frontend's rings. What is wrong is left in the store, and is this routine's error. */
export const connectRing = routine(
  "connect_ring",
  (a: DeviceArgs & { blkif: string }): ConnectLocals => ({
    ...a,
    nodename: "",
    otherend: "",
    protocol: null,
    persistent: 0,
    queues: 1,
    order: null,
    numbers: [],
    at: 0,
  }),
  ({ step, call, each, failWith, when }) => [
    step("dev->otherend", (host, l) => {
      const { nodename, otherend } = deviceOf(host, l.device);
      l.nodename = nodename;
      l.otherend = otherend ?? "";
    }),
    call(
      "protocol",
      xenbusReadOptional,
      (l) => ({ domid: l.domid, dir: l.otherend, name: "protocol" }),
      (l, protocol) => {
        l.protocol = protocol?.trim().split(/\s/)[0] ?? null;
      },
    ),
    when("unknown protocol", (l) => l.protocol !== null && !protocols.includes(l.protocol), [
      call("xenbus_dev_fatal protocol", xenbusDevFatal, (l) => ({
        ...sameDevice(l),
        err: READ_ONE,
        message: `unknown fe protocol ${l.protocol}`,
      })),
      failWith("ENOSYS", "ENOSYS"),
    ]),
    call(
      "feature-persistent",
      xenbusReadUnsigned,
      (l) => ({ domid: l.domid, dir: l.otherend, name: "feature-persistent", otherwise: 0 }),
      (l, value) => {
        l.persistent = value;
      },
    ),
    call(
      "multi-queue-num-queues",
      xenbusReadUnsigned,
      (l) => ({ domid: l.domid, dir: l.otherend, name: "multi-queue-num-queues", otherwise: 1 }),
      (l, value) => {
        l.queues = value;
        l.numbers = Array.from({ length: Math.min(value, MAX_QUEUES) }, (_, at) => at);
      },
    ),
    when("bad number of queues", (l) => l.queues === 0 || l.queues > MAX_QUEUES, [
      call("xenbus_dev_fatal queues", xenbusDevFatal, (l) => ({
        ...sameDevice(l),
        // What became of reading the protocol.
        err: l.protocol === null ? errnoNumber("ENOENT") : READ_ONE,
        message: `guest requested ${l.queues} queues, exceeding the maximum of ${MAX_QUEUES}.`,
      })),
      failWith("queues", "ENOSYS"),
    ]),
    call(
      "ring-page-order",
      xenbusReadOptional,
      (l) => ({ domid: l.domid, dir: l.otherend, name: "ring-page-order" }),
      (l, order) => {
        l.order = order === null ? null : unsigned(order);
      },
    ),
    when("rings too large", (l) => (l.order ?? 0) > MAX_RING_PAGE_ORDER, [
      call("xenbus_dev_fatal order", xenbusDevFatal, (l) => ({
        ...sameDevice(l),
        err: errnoNumber("EINVAL"),
        message: `requested ring page order ${l.order} exceed max:${MAX_RING_PAGE_ORDER}`,
      })),
      failWith("order", "EINVAL"),
    ]),
    step("xen_blkif_alloc_rings", (host, l) => {
      host.edit(blkbackCell, l.blkif).featurePersistent = l.persistent !== 0;
      printk(host, l.domid, usingQueues(l));
    }),
    each(
      "rings",
      (l) => l.numbers,
      (l, at) => {
        l.at = at;
      },
      [
        call("read_per_ring_refs", readPerRingRefs, (l) => ({
          ...sameDevice(l),
          blkif: l.blkif,
          at: l.at,
          dir: l.queues === 1 ? l.otherend : `${l.otherend}/queue-${l.at}`,
          name: l.order === null ? "ring-ref" : "ring-ref0",
        })),
      ],
    ),
  ],
);

/** What the kernel says of the rings it is about to map; protocols by number (enum blkif_protocol). */
function usingQueues({ nodename, queues, protocol, persistent }: ConnectLocals): string {
  const number = protocol === "x86_32-abi" ? 2 : 1;
  const name = protocol ?? "unspecified, assuming default";
  const grants = persistent === 0 ? "" : "persistent grants";
  return `xen-blkback: ${nodename}: using ${queues} queues, protocol ${number} (${name}) ${grants}`;
}

/** What the frontend is told of the disk, around the discard nodes. */
function diskData(host: Host, blkif: string): { discard: Entry[]; rest: Entry[]; flush: string } {
  const { physicalDevice, mode, cdrom } = must(host, blkbackCell, blkif);
  const disk = must(host, blockDeviceCell, physicalDevice);
  const flush = disk.flush ? "1" : "0";
  const discard: Entry[] =
    disk.discardGranularity > 0
      ? [
          ["discard-granularity", String(disk.discardGranularity)],
          ["discard-alignment", "0"],
          ["discard-secure", "0"],
          ["feature-discard", "1"],
        ]
      : [["feature-discard", "0"]];
  const readonly = !mode.includes("w") || disk.readonly;
  return {
    flush,
    discard,
    rest: [
      ["feature-barrier", flush],
      ["feature-persistent", "1"],
      ["sectors", String(disk.sectors)],
      ["info", String((cdrom ? VDISK_CDROM : 0) | (readonly ? VDISK_READONLY : 0))],
      ["sector-size", String(disk.sectorSize)],
      ["physical-sector-size", String(disk.physicalSectorSize)],
    ],
  };
}

interface TellLocals extends DeviceArgs {
  blkif: string;
  nodename: string;
  tx: number;
  flush: string;
  discardEnable: number;
  discard: Entry[];
  rest: Entry[];
  name: string;
  value: string;
  done: boolean;
}

const nodename = (l: TellLocals): string => l.nodename;

/** Tells the frontend of the disk and switches to Connected. */
const connect = routine(
  "connect [xen_blkback]",
  (a: DeviceArgs & { blkif: string }): TellLocals => ({
    ...a,
    nodename: "",
    tx: 0,
    flush: "0",
    discardEnable: 1,
    discard: [],
    rest: [],
    name: "",
    value: "",
    done: false,
  }),
  ({ step, call, each, when, repeatUntil }) => [
    step("be->dev", (host, l) => {
      l.nodename = deviceOf(host, l.device).nodename;
      Object.assign(l, diskData(host, l.blkif));
    }),
    repeatUntil("again", (l) => l.done, [
      call(
        "xenbus_transaction_start",
        xenbusTransactionStart,
        (l) => ({ domid: l.domid }),
        (l, tx) => {
          l.tx = tx;
        },
      ),
      call("xen_blkbk_flush_diskcache", xenbusPrintf, (l) => ({
        domid: l.domid,
        tx: l.tx,
        dir: l.nodename,
        name: "feature-flush-cache",
        value: l.flush,
      })),
      call(
        "discard-enable",
        xenbusReadUnsigned,
        (l) => ({ domid: l.domid, dir: l.nodename, name: "discard-enable", otherwise: 1 }),
        (l, value) => {
          l.discardEnable = value;
        },
      ),
      when("discard", (l) => l.discardEnable !== 0, [
        printEach({ each, call }, ["xen_blkbk_discard", "discard node"], nodename, (l) => l.discard),
      ]),
      printEach({ each, call }, ["disk data", "xenbus_printf"], nodename, (l) => l.rest),
      call(
        "xenbus_transaction_end",
        xenbusTransactionEnd,
        (l) => ({ domid: l.domid, tx: l.tx, abort: false }),
        (l, again) => {
          l.done = !again;
        },
      ),
    ]),
    call("xenbus_switch_state", xenbusSwitchState, (l) => ({
      ...sameDevice(l),
      state: XenbusState.Connected,
    })),
  ],
);

/** Whether both the rings and the block device are there, and the disk is not connected yet. */
function mayConnect(host: Host, device: string, blkif: string): boolean {
  const { rings, open } = must(host, blkbackCell, blkif);
  return rings > 0 && open && deviceOf(host, device).state !== XenbusState.Connected;
}

function startThreads(host: Host, domid: number, blkif: string): void {
  const { name, rings } = must(host, blkbackCell, blkif);
  for (let at = 0; at < rings; at++) {
    const ring = `${blkif}/${at}`;
    const thread = `dom${domid}/${name}-${at}`;
    host.edit(blkbackRingCell, ring).xenblkd = thread;
    kthreadRun(host, domid, `${name}-${at}`, xenBlkifSchedule, { domid, blkif, ring, thread });
  }
}

/** Connects the disk once its rings and its block device are both there, whichever came last. */
export const updateBlkifStatus = routine(
  "xen_update_blkif_status",
  (a: DeviceArgs & { blkif: string }) => ({ ...a, nodename: "", ready: false, dev: "" }),
  ({ step, when, call }) => [
    step("ready to connect?", (host, l) => {
      l.ready = mayConnect(host, l.device, l.blkif);
      l.nodename = deviceOf(host, l.device).nodename;
    }),
    when("ready", (l) => l.ready, [
      call("connect", connect, (l) => ({ ...sameDevice(l), blkif: l.blkif })),
      call(
        "blkback_name",
        xenbusRead,
        (l) => ({ domid: l.domid, dir: l.nodename, name: "dev" }),
        (l, dev) => {
          l.dev = dev;
        },
      ),
      step("kthread_run", (host, l) => {
        const blkback = host.edit(blkbackCell, l.blkif);
        const name = `${blkback.frontend}.${l.dev.replace(/^.*?\/dev\//, "")}`;
        blkback.name = name.slice(0, TASK_COMM_LEN - 1);
        startThreads(host, l.domid, l.blkif);
      }),
    ]),
  ],
);
