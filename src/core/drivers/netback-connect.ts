// SPDX-License-Identifier: Apache-2.0
//
// netback connecting to its frontend: what it reads, what it watches from then
// on, and the queues it sets up (Linux drivers/net/xen-netback/xenbus.c, connect).

import { must } from "../engine/cells.ts";
import { errnoNumber, fail, isFailure, present } from "../engine/errno.ts";
import type { Errno, Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { deviceOf, sameDevice } from "../xenbus/device.ts";
import type { DeviceArgs } from "../xenbus/device.ts";
import { printk } from "../xenbus/printk.ts";
import { failFatally, xenbusDevFatal } from "../xenbus/switch-state.ts";
import { registerXenbusWatch, unregisterXenbusWatch } from "../xenbus/watch.ts";
import type { WatchEvent } from "../xenbus/xenbus.ts";
import { xenbusRead, xenbusReadOptional, xenbusReadUnsigned } from "../xenbus/xs.ts";
import { netbackCell } from "./netback-cells.ts";
import { registerHotplugStatusWatch, unregisterHotplugStatusWatch } from "./netback-hotplug.ts";
import { xenvifConnectData, xenvifDisconnectData } from "./netback-queue.ts";
import type { NotGranted } from "./netback-queue.ts";

/** Most queues a frontend may ask for. */
const MAX_QUEUES = 2;

/** Tokens of a connected interface's watches. */
const tokens = {
  credit: (device: string) => `credit:${device}`,
  mcast: (device: string) => `mcast_ctrl:${device}`,
};

/** The toolstack changed how much the interface may send. */
const netRateChanged = routine(
  "xen_net_rate_changed [xen_netback]",
  (a: WatchEvent) => ({ ...a, nodename: "" }),
  ({ step, call }) => [
    step("dev", (host, l) => {
      l.nodename = deviceOf(host, l.owner).nodename;
    }),
    call("xen_net_read_rate", xenbusReadOptional, (l) => ({ domid: l.domid, dir: l.nodename, name: "rate" })),
  ],
);

/** The frontend says whether it filters multicast itself. */
const mcastCtrlChanged = routine(
  "xen_mcast_ctrl_changed [xen_netback]",
  (a: WatchEvent) => ({ ...a, otherend: "" }),
  ({ step, call }) => [
    step("dev", (host, l) => {
      l.otherend = deviceOf(host, l.owner).otherend ?? "";
    }),
    call("xenbus_read_unsigned", xenbusReadUnsigned, (l) => ({
      domid: l.domid,
      dir: l.otherend,
      name: "request-multicast-control",
      otherwise: 0,
    })),
  ],
);

/** Takes back the watches that a connected interface has. */
export const unregisterWatchers = routine(
  "xen_unregister_watchers",
  (a: DeviceArgs) => ({ ...a, mcast: false, credit: false }),
  ({ step, when, call }) => [
    step("vif", (host, l) => {
      const vif = host.edit(netbackCell, l.device);
      l.mcast = vif.mcastWatch;
      l.credit = vif.creditWatch;
      vif.mcastWatch = false;
      vif.creditWatch = false;
    }),
    when("mcast_ctrl_watch", (l) => l.mcast, [
      call("xen_unregister_mcast_ctrl_watch", unregisterXenbusWatch, (l) => ({
        domid: l.domid,
        token: tokens.mcast(l.device),
      })),
    ]),
    when("credit_watch", (l) => l.credit, [
      call("xen_unregister_credit_watch", unregisterXenbusWatch, (l) => ({
        domid: l.domid,
        token: tokens.credit(l.device),
      })),
    ]),
  ],
);

/** Where one cannot be set, that is noted and nothing more. */
const registerWatchers = routine(
  "xen_register_watchers",
  (a: DeviceArgs & { nodename: string; otherend: string }) => ({ ...a, credit: true, mcast: true }),
  ({ call, step, attempt }) => [
    attempt([
      call("xen_register_credit_watch", registerXenbusWatch, (l) => ({
        domid: l.domid,
        node: `${l.nodename}/rate`,
        token: tokens.credit(l.device),
        callback: netRateChanged.name,
        owner: l.device,
      })),
    ]).onError((l) => void (l.credit = false), []),
    attempt([
      call("xen_register_mcast_ctrl_watch", registerXenbusWatch, (l) => ({
        domid: l.domid,
        node: `${l.otherend}/request-multicast-control`,
        token: tokens.mcast(l.device),
        callback: mcastCtrlChanged.name,
        owner: l.device,
      })),
    ]).onError((l) => void (l.mcast = false), []),
    step("registered", (host, l) => {
      const failed = (node: string): void =>
        printk(host, l.domid, `xen_netback: Failed to set watcher ${node}`);
      if (!l.credit) failed(`${l.nodename}/rate`);
      if (!l.mcast) failed(`${l.otherend}/request-multicast-control`);
      Object.assign(host.edit(netbackCell, l.device), { creditWatch: l.credit, mcastWatch: l.mcast });
    }),
  ],
);

/** What a frontend can do, in the order in which the backend looks. */
const vifFlags = [
  "feature-rx-notify",
  "feature-sg",
  "feature-gso-tcpv4",
  "feature-gso-tcpv6",
  "feature-no-csum-offload",
  "feature-ipv6-csum-offload",
  "xdp-headroom",
];

const readVifFlags = routine(
  "read_xenbus_vif_flags",
  (a: { domid: number; otherend: string }) => ({ ...a, flag: "", rxCopy: 0 }),
  ({ call, each }) => [
    call(
      "request-rx-copy",
      xenbusReadUnsigned,
      (l) => ({ domid: l.domid, dir: l.otherend, name: "request-rx-copy", otherwise: 0 }),
      (l, value) => {
        l.rxCopy = value;
      },
    ),
    // A frontend that is not copied to is of no interest further.
    each(
      "flags",
      (l) => (l.rxCopy === 0 ? [] : vifFlags),
      (l, flag) => {
        l.flag = flag;
      },
      [
        call("xenbus_read_unsigned", xenbusReadUnsigned, (l) => ({
          domid: l.domid,
          dir: l.otherend,
          name: l.flag,
          otherwise: 0,
        })),
      ],
    ),
  ],
);

/** What of a queue is under way: what an error is told with. */
type Doing = "ring-ref" | "event-channel(-tx/rx)" | "mapping";

interface RingLocals extends DeviceArgs {
  at: number;
  xspath: string;
  doing: Doing;
  txRef: number;
  rxRef: number;
  txPort: number;
  rxPort: number;
  split: boolean;
  frontend: number;
  refused: NotGranted | null;
  errno: Errno;
}

/** The leading number of a node; NaN where there is none (%u, %lu). */
function unsigned(value: string): number {
  return Number.parseInt(value, 10);
}

function connectQueue(host: Host, l: RingLocals): void | Failure {
  const { txRef, rxRef, txPort, rxPort } = l;
  l.doing = "mapping";
  l.frontend = must(host, netbackCell, l.device).frontend;
  const connected = xenvifConnectData(host, l.domid, l.device, l.at, { txRef, rxRef, txPort, rxPort });
  if (isFailure(connected)) return connected;
  if (connected === undefined) {
    host.edit(netbackCell, l.device).queues = l.at + 1;
    return undefined;
  }
  l.refused = { ...connected };
  return fail("ENOENT");
}

function problem(l: RingLocals): string {
  if (l.doing !== "mapping") return `reading ${l.xspath}/${l.doing}`;
  return `mapping shared-frames ${l.txRef}/${l.rxRef} port tx ${l.txPort} rx ${l.rxPort}`;
}

/** Reads what the frontend offers for one queue, and connects to it. An error is told and is this routine's. */
const connectDataRings = routine(
  "connect_data_rings",
  (a: DeviceArgs & { at: number; xspath: string }): RingLocals => ({
    ...a,
    doing: "ring-ref",
    txRef: 0,
    rxRef: 0,
    txPort: 0,
    rxPort: 0,
    split: true,
    frontend: 0,
    refused: null,
    errno: "EINVAL",
  }),
  ({ call, attempt, when, step, failWith }) => [
    attempt([
      call(
        "tx-ring-ref",
        xenbusRead,
        (l) => ({ domid: l.domid, dir: l.xspath, name: "tx-ring-ref" }),
        (l, value) => {
          l.txRef = unsigned(value);
        },
      ),
      when("no tx-ring-ref", (l) => Number.isNaN(l.txRef), [failWith("EINVAL tx", "EINVAL")]),
      call(
        "rx-ring-ref",
        xenbusRead,
        (l) => ({ domid: l.domid, dir: l.xspath, name: "rx-ring-ref" }),
        (l, value) => {
          l.rxRef = unsigned(value);
          if (!Number.isNaN(l.rxRef)) l.doing = "event-channel(-tx/rx)";
        },
      ),
      when("no rx-ring-ref", (l) => Number.isNaN(l.rxRef), [failWith("EINVAL rx", "EINVAL")]),
      attempt([
        call(
          "event-channel-tx",
          xenbusRead,
          (l) => ({ domid: l.domid, dir: l.xspath, name: "event-channel-tx" }),
          (l, value) => {
            l.txPort = unsigned(value);
          },
        ),
        when("no event-channel-tx", (l) => Number.isNaN(l.txPort), [failWith("EINVAL port tx", "EINVAL")]),
        call(
          "event-channel-rx",
          xenbusRead,
          (l) => ({ domid: l.domid, dir: l.xspath, name: "event-channel-rx" }),
          (l, value) => {
            l.rxPort = unsigned(value);
          },
        ),
        when("no event-channel-rx", (l) => Number.isNaN(l.rxPort), [failWith("EINVAL port rx", "EINVAL")]),
      ]).onError((l) => {
        l.split = false;
      }, []),
      when("one event channel", (l) => !l.split, [
        call(
          "event-channel",
          xenbusRead,
          (l) => ({ domid: l.domid, dir: l.xspath, name: "event-channel" }),
          (l, value) => {
            l.txPort = unsigned(value);
            l.rxPort = l.txPort;
          },
        ),
        when("no event-channel", (l) => Number.isNaN(l.txPort), [failWith("ERANGE", "ERANGE")]),
      ]),
      step("xenvif_connect_data", connectQueue),
    ]).onError(
      (l, errno) => void (l.errno = errno),
      [
        when("not granted", (l) => l.refused !== null, [
          call("xenbus_map_ring", xenbusDevFatal, (l) => ({
            ...sameDevice(l),
            err: -(l.refused?.status ?? 0),
            message: `mapping in shared page ${l.refused?.ref} from domain ${l.frontend}`,
          })),
        ]),
        ...failFatally({ call, failWith }, ["xenbus_dev_fatal", "told"], problem),
      ],
    ),
  ],
);

interface ConnectLocals extends DeviceArgs {
  nodename: string;
  otherend: string;
  queues: number;
  numbers: number[];
  at: number;
  mac: string;
  errno: Errno | null;
}

/** Whether it is six numbers in hexadecimal, with colons between them (xen_net_read_mac). */
function isMac(mac: string): boolean {
  return /^([\da-f]+:){5}[\da-f]+$/i.test(mac);
}

/** What follows once the number of queues is known to be good. */
const connectQueues = routine(
  "connect queues [xen_netback]",
  (a: ConnectLocals): ConnectLocals => ({ ...a }),
  ({ step, call, attempt, each }) => [
    call("xen_net_read_rate", xenbusReadOptional, (l) => ({
      domid: l.domid,
      dir: l.nodename,
      name: "rate",
    })),
    call("xen_unregister_watchers", unregisterWatchers, sameDevice),
    call("xen_register_watchers", registerWatchers, (l) => ({
      ...sameDevice(l),
      nodename: l.nodename,
      otherend: l.otherend,
    })),
    call("read_xenbus_vif_flags", readVifFlags, (l) => ({ domid: l.domid, otherend: l.otherend })),
    call("connect_ctrl_ring", xenbusReadOptional, (l) => ({
      domid: l.domid,
      dir: l.otherend,
      name: "ctrl-ring-ref",
    })),
    attempt([
      each(
        "queues",
        (l) => l.numbers,
        (l, at) => {
          l.at = at;
        },
        [
          call("connect_data_rings", connectDataRings, (l) => ({
            ...sameDevice(l),
            at: l.at,
            xspath: l.queues === 1 ? l.otherend : `${l.otherend}/queue-${l.at}`,
          })),
        ],
      ),
      step("xenvif_carrier_on", (host, l) => {
        host.edit(netbackCell, l.device).carrier = true;
      }),
      call("unregister_hotplug_status_watch", unregisterHotplugStatusWatch, sameDevice),
      call("hotplug_status_watch", registerHotplugStatusWatch, (l) => ({
        ...sameDevice(l),
        nodename: l.nodename,
      })),
    ]).onError(() => {}, [
      // Queues before the one that failed are set up already.
      call("xenvif_disconnect_data", xenvifDisconnectData, sameDevice),
    ]),
  ],
);

/** Connects to the frontend. An error is left in the store; the state machine goes on regardless. */
export const netbackConnect = routine(
  "connect [xen_netback]",
  (a: DeviceArgs): ConnectLocals => ({
    ...a,
    nodename: "",
    otherend: "",
    queues: 1,
    numbers: [],
    at: 0,
    mac: "",
    errno: null,
  }),
  ({ step, call, attempt, when }) => [
    step("be->dev", (host, l) => {
      const { nodename, otherend } = deviceOf(host, l.device);
      l.nodename = nodename;
      l.otherend = otherend ?? "";
    }),
    call(
      "multi-queue-num-queues",
      xenbusReadUnsigned,
      (l) => ({ domid: l.domid, dir: l.otherend, name: "multi-queue-num-queues", otherwise: 1 }),
      (l, value) => {
        l.queues = value;
        l.numbers = Array.from({ length: Math.min(value, MAX_QUEUES) }, (_, at) => at);
      },
    ),
    when(
      "more than offered",
      (l) => l.queues > MAX_QUEUES,
      [
        call("xenbus_dev_fatal queues", xenbusDevFatal, (l) => ({
          ...sameDevice(l),
          err: errnoNumber("EINVAL"),
          message: `guest requested ${l.queues} queues, exceeding the maximum of ${MAX_QUEUES}.`,
        })),
      ],
      [
        attempt([
          call(
            "xen_net_read_mac",
            xenbusRead,
            (l) => ({ domid: l.domid, dir: l.nodename, name: "mac" }),
            (l, mac) => {
              l.mac = mac;
              if (!isMac(mac)) l.errno = "ENOENT";
            },
          ),
        ]).onError((l, errno) => void (l.errno = errno), []),
        when(
          "no address",
          (l) => l.errno !== null,
          [
            call("xenbus_dev_fatal mac", xenbusDevFatal, (l) => ({
              ...sameDevice(l),
              err: errnoNumber(present(l.errno)),
              message: `parsing ${l.nodename}/mac`,
            })),
          ],
          [call("connect queues", connectQueues, (l) => l)],
        ),
      ],
    ),
  ],
);
