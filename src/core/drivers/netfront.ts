// SPDX-License-Identifier: Apache-2.0
//
// netfront: a guest's network interface, from its device to its connection and
// back (Linux drivers/net/xen-netfront.c).

import { must } from "../engine/cells.ts";
import type { Errno } from "../engine/errno.ts";
import { routine } from "../engine/routine.ts";
import type { Host } from "../engine/host.ts";
import { deviceOf, sameDevice, xenbusDriver } from "../xenbus/device.ts";
import type { DeviceArgs } from "../xenbus/device.ts";
import { xenbusFrontendClosed } from "../xenbus/otherend.ts";
import { devPrint } from "../xenbus/printk.ts";
import { XenbusState } from "../xenbus/state.ts";
import { failFatally, xenbusSwitchState } from "../xenbus/switch-state.ts";
import { xenbusWriteEntries } from "../xenbus/write-entries.ts";
import type { Entry } from "../xenbus/write-entries.ts";
import {
  xenbusPrintf,
  xenbusRead,
  xenbusReadDriverState,
  xenbusReadOptional,
  xenbusReadUnsigned,
} from "../xenbus/xs.ts";
import { onlineCpus } from "./cpus.ts";
import { netfrontCell, netfrontQueueCell } from "./netfront-cells.ts";
import { disconnectBackend, setupNetfront } from "./netfront-queue.ts";

/** How long a step of closing waits before it looks again, in µs (XENNET_TIMEOUT). */
const XENNET_TIMEOUT_US = 5_000_000;
const MAX_QUEUES = 8;
/** What xenbus_setup_ring says where a queue cannot have what it is made of. */
const SETUP_RING = "granting access to 1 ring pages";

/** What a frontend can do, in the order in which it says so. */
const features: readonly Entry[] = [
  ["request-rx-copy", "1"],
  ["feature-rx-notify", "1"],
  ["feature-sg", "1"],
  ["feature-gso-tcpv4", "1"],
  ["feature-gso-tcpv6", "1"],
  ["feature-ipv6-csum-offload", "1"],
];

/** Features of the backend the interface's own follow, each time they are worked out. */
const fixFeatures = ["feature-sg", "feature-ipv6-csum-offload", "feature-gso-tcpv4", "feature-gso-tcpv6"];

interface TalkLocals extends DeviceArgs {
  nodename: string;
  otherend: string;
  maxQueues: string | null;
  mac: string;
  xdp: boolean;
  entries: Entry[];
  errno: Errno | null;
}

/** Nodes of one queue: beside the device's own where there is one queue, else in a directory each. */
function queueEntries(host: Host, device: string, queues: number, multi: boolean): Entry[] {
  const entries: Entry[] = multi ? [["multi-queue-num-queues", String(queues)]] : [];
  for (let at = 0; at < queues; at++) {
    const { txRing, rxRing, txPort, rxPort } = must(host, netfrontQueueCell, `${device}/${at}`);
    const dir = queues === 1 ? "" : `queue-${at}/`;
    entries.push(
      [`${dir}tx-ring-ref`, String(txRing.ref)],
      [`${dir}rx-ring-ref`, String(rxRing.ref)],
      [`${dir}event-channel-tx`, String(txPort)],
      [`${dir}event-channel-rx`, String(rxPort)],
    );
  }
  return [...entries, ...features];
}

/** Sets the queues up and tells the backend of them. */
const talkToNetback = routine(
  "talk_to_netback",
  (a: DeviceArgs): TalkLocals => ({
    ...a,
    nodename: "",
    otherend: "",
    maxQueues: null,
    mac: "",
    xdp: false,
    entries: [],
    errno: null,
  }),
  ({ step, call, when, attempt, failWith }) => [
    step("info", (host, l) => {
      const { nodename, otherend } = deviceOf(host, l.device);
      l.nodename = nodename;
      l.otherend = otherend ?? "";
    }),
    call("trusted", xenbusReadUnsigned, (l) => ({
      domid: l.domid,
      dir: l.nodename,
      name: "trusted",
      otherwise: 1,
    })),
    call(
      "max queues",
      xenbusReadOptional,
      (l) => ({ domid: l.domid, dir: l.otherend, name: "multi-queue-max-queues" }),
      (l, value) => {
        l.maxQueues = value;
      },
    ),
    call("split event channels", xenbusReadUnsigned, (l) => ({
      domid: l.domid,
      dir: l.otherend,
      name: "feature-split-event-channels",
      otherwise: 0,
    })),
    attempt([
      call(
        "xen_net_read_mac",
        xenbusRead,
        (l) => ({ domid: l.domid, dir: l.nodename, name: "mac" }),
        (l, mac) => {
          l.mac = mac;
        },
      ),
    ]).onError(
      (l, errno) => void (l.errno = errno),
      failFatally({ call, failWith }, ["xenbus_dev_fatal mac", "mac"], (l) => `parsing ${l.nodename}/mac`),
    ),
    call(
      "xdp headroom",
      xenbusReadUnsigned,
      (l) => ({ domid: l.domid, dir: l.otherend, name: "feature-xdp-headroom", otherwise: 0 }),
      (l, value) => {
        l.xdp = value !== 0;
      },
    ),
    when("xdp", (l) => l.xdp, [
      call("talk_to_netback_xdp", xenbusPrintf, (l) => ({
        domid: l.domid,
        dir: l.nodename,
        name: "xdp-headroom",
        value: "0",
      })),
    ]),
    attempt([
      step("xennet_create_queues", (host, l) => {
        disconnectBackend(host, l.domid, l.device);
        const offered = Number.parseInt(l.maxQueues ?? "1", 10);
        const queues = Math.max(1, Math.min(offered, MAX_QUEUES, onlineCpus(host, l.domid)));
        const to = deviceOf(host, l.device).otherendId;
        for (let at = 0; at < queues; at++) {
          const failed = setupNetfront(host, l.domid, `${l.device}/${at}`, to);
          if (failed !== undefined) return failed;
          Object.assign(host.edit(netfrontCell, l.device), { queues: at + 1, mac: l.mac });
        }
        l.entries = queueEntries(host, l.device, queues, l.maxQueues !== null);
        return undefined;
      }),
    ]).onError(
      (l, errno) => void (l.errno = errno),
      failFatally({ call, failWith }, ["xenbus_dev_fatal ring", "ring"], () => SETUP_RING),
    ),
    call("write_queue_xenstore_keys", xenbusWriteEntries, (l) => ({
      ...sameDevice(l),
      dir: l.nodename,
      entries: l.entries,
      lookAt: `${l.otherend}/multi-queue-max-queues`,
    })),
  ],
);

/** What the interface can do follows from what its backend can. */
const netdevUpdateFeatures = routine(
  "netdev_update_features",
  (a: DeviceArgs & { otherend: string }) => ({ ...a, feature: "" }),
  ({ each, call }) => [
    each(
      "xennet_fix_features",
      () => fixFeatures,
      (l, feature) => {
        l.feature = feature;
      },
      [
        call("xenbus_read_unsigned", xenbusReadUnsigned, (l) => ({
          domid: l.domid,
          dir: l.otherend,
          name: l.feature,
          otherwise: 0,
        })),
      ],
    ),
  ],
);

const xennetConnect = routine(
  "xennet_connect",
  (a: DeviceArgs & { otherend: string }) => ({ ...a, rxCopy: 0, first: false }),
  ({ call, when, step, failWith }) => [
    call(
      "feature-rx-copy",
      xenbusReadUnsigned,
      (l) => ({ domid: l.domid, dir: l.otherend, name: "feature-rx-copy", otherwise: 0 }),
      (l, value) => {
        l.rxCopy = value;
      },
    ),
    when("no copying backend", (l) => l.rxCopy === 0, [
      step("dev_info", (host, l) =>
        devPrint(host, l.device, "backend does not support copying receive path"),
      ),
      failWith("ENODEV", "ENODEV"),
    ]),
    call("talk_to_netback", talkToNetback, sameDevice),
    call("netdev_update_features", netdevUpdateFeatures, (l) => ({ ...sameDevice(l), otherend: l.otherend })),
    step("reg_state", (host, l) => {
      const netfront = host.edit(netfrontCell, l.device);
      l.first = !netfront.registered;
      netfront.registered = true;
      netfront.carrier = true;
    }),
    when("not registered", (l) => l.first, [
      call("register_netdev", netdevUpdateFeatures, (l) => ({ ...sameDevice(l), otherend: l.otherend })),
    ]),
  ],
);

interface ChangedLocals extends DeviceArgs {
  state: number;
  ours: number;
  otherend: string;
}

/** The backend shows another state. */
const netbackChanged = routine(
  "netback_changed [xen_netfront]",
  (a: DeviceArgs & { state: number }): ChangedLocals => ({ ...a, ours: 0, otherend: "" }),
  ({ step, when, call, attempt }) => [
    step("dev->state", (host, l) => {
      const { state, otherend } = deviceOf(host, l.device);
      l.ours = state;
      l.otherend = otherend ?? "";
    }),
    when("InitWait", (l) => l.state === XenbusState.InitWait && l.ours === XenbusState.Initialising, [
      attempt([
        call("xennet_connect", xennetConnect, (l) => ({ ...sameDevice(l), otherend: l.otherend })),
        call("xenbus_switch_state", xenbusSwitchState, (l) => ({
          ...sameDevice(l),
          state: XenbusState.Connected,
        })),
        // What is wrong is told already.
      ]).onError(() => {}, []),
    ]),
    when(
      "Closing or Closed",
      (l) =>
        l.state === XenbusState.Closing || (l.state === XenbusState.Closed && l.ours !== XenbusState.Closed),
      [call("xenbus_frontend_closed", xenbusFrontendClosed, sameDevice)],
    ),
  ],
);

/** Waits until the backend shows one of the states, looking once for each as the real condition does. */
const awaitBackend = routine(
  "wait_event_timeout",
  (a: { domid: number; path: string; states: readonly number[]; wanted: boolean }) => ({
    ...a,
    checked: 0,
    state: 0,
    met: false,
  }),
  ({ each, call, when, repeatUntil, sleep }) => [
    repeatUntil("ret", (l) => l.met, [
      each(
        "condition",
        (l) => l.states,
        (l, state) => {
          l.checked = state;
        },
        [
          when("undecided", (l) => (l.wanted ? !l.met : l.checked === l.states[0] || l.met), [
            call(
              "xenbus_read_driver_state",
              xenbusReadDriverState,
              (l) => ({ domid: l.domid, path: l.path }),
              (l, state) => {
                l.met = l.wanted === (state === l.checked);
              },
            ),
          ]),
        ],
      ),
      when("time-out", (l) => !l.met, [sleep("schedule_timeout", () => XENNET_TIMEOUT_US)]),
    ]),
  ],
);

/** Makes the interface. It connects when its backend waits for it. */
const netfrontProbe = routine(
  "netfront_probe [xen_netfront]",
  (a: DeviceArgs) => ({ ...a, otherend: "" }),
  ({ step, call }) => [
    step("xennet_create_dev", (host, l) => {
      host.add(netfrontCell, l.device, { mac: "", queues: 0, carrier: false, registered: false });
      l.otherend = deviceOf(host, l.device).otherend ?? "";
    }),
    call("wait for a backend", awaitBackend, (l) => ({
      domid: l.domid,
      path: l.otherend,
      states: [XenbusState.Closed, XenbusState.Unknown],
      wanted: false,
    })),
  ],
);

/** Asks the backend to close, and waits until it has or is gone. */
const xennetBusClose = routine(
  "xennet_bus_close",
  (a: DeviceArgs) => ({ ...a, otherend: "", state: 0 }),
  ({ step, call, when }) => [
    step("dev->otherend", (host, l) => {
      l.otherend = deviceOf(host, l.device).otherend ?? "";
    }),
    call(
      "closed?",
      xenbusReadDriverState,
      (l) => ({ domid: l.domid, path: l.otherend }),
      (l, state) => {
        l.state = state;
      },
    ),
    when("not closed", (l) => l.state !== XenbusState.Closed, [
      call("Closing", xenbusSwitchState, (l) => ({ ...sameDevice(l), state: XenbusState.Closing })),
      call("wait for Closing", awaitBackend, (l) => ({
        domid: l.domid,
        path: l.otherend,
        states: [XenbusState.Closing, XenbusState.Closed, XenbusState.Unknown],
        wanted: true,
      })),
      call(
        "closed now?",
        xenbusReadDriverState,
        (l) => ({ domid: l.domid, path: l.otherend }),
        (l, state) => {
          l.state = state;
        },
      ),
      when("still not closed", (l) => l.state !== XenbusState.Closed, [
        call("Closed", xenbusSwitchState, (l) => ({ ...sameDevice(l), state: XenbusState.Closed })),
        call("wait for Closed", awaitBackend, (l) => ({
          domid: l.domid,
          path: l.otherend,
          states: [XenbusState.Closed, XenbusState.Unknown],
          wanted: true,
        })),
      ]),
    ]),
  ],
);

const netfrontRemove = routine(
  "xennet_remove [xen_netfront]",
  (a: DeviceArgs) => ({ ...a }),
  ({ call, step }) => [
    call("xennet_bus_close", xennetBusClose, sameDevice),
    step("xennet_disconnect_backend", (host, l) => {
      disconnectBackend(host, l.domid, l.device);
      host.drop(netfrontCell, l.device);
    }),
  ],
);

function forget(host: Host, device: string): void {
  const netfront = host.get(netfrontCell, device);
  if (netfront === undefined) return;
  for (let at = 0; at < netfront.queues; at++) host.drop(netfrontQueueCell, `${device}/${at}`);
  host.drop(netfrontCell, device);
}

/** The driver, as a guest's kernel loads it. */
export const netfront = xenbusDriver({
  module: "xen_netfront",
  bus: "frontend",
  type: "vif",
  probe: netfrontProbe,
  remove: netfrontRemove,
  allowRebind: false,
  otherendChanged: netbackChanged,
  forget,
});
