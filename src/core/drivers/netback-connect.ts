// SPDX-License-Identifier: Apache-2.0
//
// netback connecting to its frontend: what it reads, what it watches from then
// on, and the queues it sets up (Linux drivers/net/xen-netback/xenbus.c, connect).

import { fail } from "../engine/errno.ts";
import { routine } from "../engine/routine.ts";
import { deviceOf, sameDevice } from "../xenbus/device.ts";
import type { DeviceArgs } from "../xenbus/device.ts";
import { xenbusDevFatal } from "../xenbus/switch-state.ts";
import { registerXenbusWatch, unregisterXenbusWatch } from "../xenbus/watch.ts";
import type { WatchEvent } from "../xenbus/xenbus.ts";
import { xenbusRead, xenbusReadOptional, xenbusReadUnsigned } from "../xenbus/xs.ts";
import { netbackCell } from "./netback-cells.ts";
import { registerHotplugStatusWatch, unregisterHotplugStatusWatch } from "./netback-hotplug.ts";
import { xenvifConnectData, xenvifDisconnectData } from "./netback-queue.ts";

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

const registerWatchers = routine(
  "xen_register_watchers",
  (a: DeviceArgs & { nodename: string; otherend: string }) => ({ ...a }),
  ({ call, step }) => [
    call("xen_register_credit_watch", registerXenbusWatch, (l) => ({
      domid: l.domid,
      node: `${l.nodename}/rate`,
      token: tokens.credit(l.device),
      callback: netRateChanged.name,
      owner: l.device,
    })),
    call("xen_register_mcast_ctrl_watch", registerXenbusWatch, (l) => ({
      domid: l.domid,
      node: `${l.otherend}/request-multicast-control`,
      token: tokens.mcast(l.device),
      callback: mcastCtrlChanged.name,
      owner: l.device,
    })),
    step("registered", (host, l) => {
      Object.assign(host.edit(netbackCell, l.device), { creditWatch: true, mcastWatch: true });
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
  (a: { domid: number; otherend: string }) => ({ ...a, flag: "" }),
  ({ call, each }) => [
    call("request-rx-copy", xenbusReadOptional, (l) => ({
      domid: l.domid,
      dir: l.otherend,
      name: "request-rx-copy",
    })),
    each(
      "flags",
      () => vifFlags,
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

interface RingLocals extends DeviceArgs {
  at: number;
  xspath: string;
  txRef: string;
  rxRef: string;
  txPort: string;
  rxPort: string;
  split: boolean;
}

/** Reads what the frontend offers for one queue, and connects to it. */
const connectDataRings = routine(
  "connect_data_rings",
  (a: DeviceArgs & { at: number; xspath: string }): RingLocals => ({
    ...a,
    txRef: "",
    rxRef: "",
    txPort: "",
    rxPort: "",
    split: true,
  }),
  ({ call, attempt, when, step }) => [
    call(
      "tx-ring-ref",
      xenbusRead,
      (l) => ({ domid: l.domid, dir: l.xspath, name: "tx-ring-ref" }),
      (l, value) => {
        l.txRef = value;
      },
    ),
    call(
      "rx-ring-ref",
      xenbusRead,
      (l) => ({ domid: l.domid, dir: l.xspath, name: "rx-ring-ref" }),
      (l, value) => {
        l.rxRef = value;
      },
    ),
    attempt([
      call(
        "event-channel-tx",
        xenbusRead,
        (l) => ({ domid: l.domid, dir: l.xspath, name: "event-channel-tx" }),
        (l, value) => {
          l.txPort = value;
        },
      ),
      call(
        "event-channel-rx",
        xenbusRead,
        (l) => ({ domid: l.domid, dir: l.xspath, name: "event-channel-rx" }),
        (l, value) => {
          l.rxPort = value;
        },
      ),
    ]).onError((l) => {
      l.split = false;
    }, []),
    when("one event channel", (l) => !l.split, [
      call(
        "event-channel",
        xenbusRead,
        (l) => ({ domid: l.domid, dir: l.xspath, name: "event-channel" }),
        (l, value) => {
          l.txPort = value;
          l.rxPort = value;
        },
      ),
    ]),
    step("xenvif_connect_data", (host, l) => {
      const offer = {
        txRef: Number(l.txRef),
        rxRef: Number(l.rxRef),
        txPort: Number(l.txPort),
        rxPort: Number(l.rxPort),
      };
      if (Object.values(offer).some((value) => !Number.isSafeInteger(value))) return fail("EINVAL");
      const failed = xenvifConnectData(host, l.domid, l.device, l.at, offer);
      if (failed === undefined) host.edit(netbackCell, l.device).queues = l.at + 1;
      return failed;
    }),
  ],
);

interface ConnectLocals extends DeviceArgs {
  nodename: string;
  otherend: string;
  queues: number;
  numbers: number[];
  at: number;
  errno: string;
}

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
    errno: "",
  }),
  ({ step, call, attempt, each, when, failWith }) => [
    step("be->dev", (host, l) => {
      const { nodename, otherend } = deviceOf(host, l.device);
      l.nodename = nodename;
      l.otherend = otherend ?? "";
    }),
    attempt([
      call(
        "multi-queue-num-queues",
        xenbusReadUnsigned,
        (l) => ({ domid: l.domid, dir: l.otherend, name: "multi-queue-num-queues", otherwise: 1 }),
        (l, value) => {
          l.queues = value;
          l.numbers = Array.from({ length: Math.min(value, MAX_QUEUES) }, (_, at) => at);
        },
      ),
      when("more than offered", (l) => l.queues > MAX_QUEUES, [failWith("too many queues", "EINVAL")]),
      call("xen_net_read_mac", xenbusRead, (l) => ({ domid: l.domid, dir: l.nodename, name: "mac" })),
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
    ]).onError(
      (l, errno) => {
        l.errno = errno;
      },
      [
        call("xenbus_dev_fatal", xenbusDevFatal, (l) => ({
          ...sameDevice(l),
          errno: l.errno,
          message: "connecting",
        })),
        // Queues before the one that failed are set up already.
        call("xenvif_disconnect_data", xenvifDisconnectData, sameDevice),
      ],
    ),
  ],
);
