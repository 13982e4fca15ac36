// SPDX-License-Identifier: Apache-2.0
//
// netback: dom0's side of a guest's network interface, as a state machine on
// xenstore (Linux drivers/net/xen-netback/xenbus.c).

import { must } from "../engine/cells.ts";
import { errnoNumber, fail, present } from "../engine/errno.ts";
import type { Errno, Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { deviceUnregister } from "../xenbus/bus.ts";
import { deviceOf, sameDevice, xenbusDriver } from "../xenbus/device.ts";
import type { DeviceArgs } from "../xenbus/device.ts";
import { printk } from "../xenbus/printk.ts";
import { XenbusState } from "../xenbus/state.ts";
import { xenbusDevFatal, xenbusDevIsOnline, xenbusSwitchState } from "../xenbus/switch-state.ts";
import { xenbusWriteEntries } from "../xenbus/write-entries.ts";
import type { Entry } from "../xenbus/write-entries.ts";
import { xenbusPrintf, xenbusRead, xenbusRm } from "../xenbus/xs.ts";
import { netDeviceCell, ofDomain } from "./backend-devices.ts";
import { netbackCell } from "./netback-cells.ts";
import { netbackConnect, unregisterWatchers } from "./netback-connect.ts";
import { unregisterHotplugStatusWatch } from "./netback-hotplug.ts";
import { xenvifDisconnectData } from "./netback-queue.ts";

/** Most queues an interface is offered (xenvif_max_queues): one a processor of dom0. */
const MAX_QUEUES = "2";

/** What a backend can do, in the order in which it says so. */
const features: readonly Entry[] = [
  ["feature-sg", "1"],
  ["feature-gso-tcpv4", "1"],
  ["feature-gso-tcpv6", "1"],
  ["feature-ipv6-csum-offload", "1"],
  ["feature-rx-copy", "1"],
  ["feature-xdp-headroom", "1"],
  ["feature-rx-flip", "0"],
  ["feature-multicast-control", "1"],
  ["feature-dynamic-multicast-control", "1"],
];
const optional: readonly Entry[] = [
  ["feature-split-event-channels", "1"],
  ["multi-queue-max-queues", MAX_QUEUES],
  ["feature-ctrl-ring", "1"],
];

/** Moves to a state; what is shown of it may have to wait for the hotplug script. */
const backendSwitchState = routine(
  "backend_switch_state",
  (a: DeviceArgs & { state: number }) => ({ ...a, deferred: false }),
  ({ step, when, call }) => [
    step("be->state", (host, l) => {
      const be = host.edit(netbackCell, l.device);
      be.state = l.state;
      l.deferred = be.haveHotplugStatusWatch;
    }),
    when("not waiting for hotplug", (l) => !l.deferred, [
      call("xenbus_switch_state", xenbusSwitchState, (l) => ({ ...sameDevice(l), state: l.state })),
    ]),
  ],
);

/** The next state on the shortest way, and what has to be done on it. */
function nextMove(from: number, to: number): { state: number; does: "connect" | "disconnect" | "nothing" } {
  const { InitWait, Connected, Closing, Closed } = XenbusState;
  switch (from) {
    case Connected:
      return { state: Closing, does: "disconnect" };
    case InitWait:
      return to === Connected ? { state: Connected, does: "connect" } : { state: Closing, does: "nothing" };
    case Closing:
      return { state: Closed, does: "nothing" };
    case Closed:
      return { state: to === Closing ? Closing : InitWait, does: "nothing" };
    default:
      return { state: to === Closed ? Closed : InitWait, does: "nothing" };
  }
}

interface SetLocals extends DeviceArgs {
  state: number;
  arrived: boolean;
  next: number;
  does: "connect" | "disconnect" | "nothing";
}

/** Goes to a state by legal moves only, whatever the frontend has shown in between. */
const setBackendState = routine(
  "set_backend_state",
  (a: DeviceArgs & { state: number }): SetLocals => ({ ...a, arrived: false, next: 0, does: "nothing" }),
  ({ repeatUntil, step, when, call }) => [
    repeatUntil("be->state == state", (l) => l.arrived, [
      step("next move", (host, l) => {
        const { state } = must(host, netbackCell, l.device);
        l.arrived = state === l.state;
        if (!l.arrived) ({ state: l.next, does: l.does } = nextMove(state, l.state));
      }),
      when("on the way", (l) => !l.arrived, [
        when("connect", (l) => l.does === "connect", [call("backend_connect", netbackConnect, sameDevice)]),
        when("disconnect", (l) => l.does === "disconnect", [
          call("xen_unregister_watchers", unregisterWatchers, sameDevice),
          call("xenvif_disconnect_data", xenvifDisconnectData, sameDevice),
        ]),
        call("backend_switch_state", backendSwitchState, (l) => ({ ...sameDevice(l), state: l.next })),
      ]),
    ]),
  ],
);

/** The frontend shows another state. */
const frontendChanged = routine(
  "frontend_changed [xen_netback]",
  (a: DeviceArgs & { state: number }) => ({
    ...a,
    target: null as number | null,
    nodename: "",
    unregister: false,
  }),
  ({ step, when, call }) => [
    step("switch", (host, l) => {
      const { Initialising, InitWait, Connected, Closing, Closed, Unknown } = XenbusState;
      const targets: { [state: number]: number } = {
        [Initialising]: InitWait,
        [Connected]: Connected,
        [Closing]: Closing,
        [Closed]: Closed,
        [Unknown]: Closed,
      };
      l.target = targets[l.state] ?? null;
      l.unregister = l.state === Unknown;
      l.nodename = deviceOf(host, l.device).nodename;
    }),
    when("moves", (l) => l.target !== null, [
      call("set_backend_state", setBackendState, (l) => ({ ...sameDevice(l), state: present(l.target) })),
      when("closed", (l) => l.state === XenbusState.Closed, [
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
    ]),
    when("impossible", (l) => l.target === null && l.state !== XenbusState.Initialised, [
      call("xenbus_dev_fatal", xenbusDevFatal, (l) => ({
        ...sameDevice(l),
        err: errnoNumber("EINVAL"),
        message: `saw state ${l.state} at frontend`,
      })),
    ]),
  ],
);

const netbackRemove = routine(
  "netback_remove [xen_netback]",
  (a: DeviceArgs) => ({ ...a, nodename: "" }),
  ({ step, call, attempt }) => [
    step("be = dev_get_drvdata", (host, l) => {
      l.nodename = deviceOf(host, l.device).nodename;
    }),
    call("unregister_hotplug_status_watch", unregisterHotplugStatusWatch, sameDevice),
    attempt([
      call("xenbus_rm", xenbusRm, (l) => ({ domid: l.domid, dir: l.nodename, name: "hotplug-status" })),
    ]).onError(() => {}, []),
    call("xen_unregister_watchers", unregisterWatchers, sameDevice),
    call("backend_disconnect", xenvifDisconnectData, sameDevice),
    step("xenvif_free", (host, l) => forget(host, l.device)),
  ],
);

interface ProbeLocals extends DeviceArgs {
  nodename: string;
  name: string;
  value: string;
  script: string;
  handle: string;
  doing: "features" | "reading script" | "reading handle" | "creating interface";
  errno: Errno | null;
}

/** Makes the interface; EINVAL where its handle is no number, EEXIST (xenvif_alloc). */
function createXenvif(host: Host, l: ProbeLocals): void | Failure {
  const handle = Number.parseInt(l.handle, 10);
  if (Number.isNaN(handle)) return fail("ERANGE");
  l.doing = "creating interface";
  const be = host.edit(netbackCell, l.device);
  const name = `vif${be.frontend}.${handle}`;
  const own = ofDomain(l.domid, name);
  if (host.get(netDeviceCell, own) !== undefined) {
    printk(host, l.domid, `${name}: Could not register device: err=${-errnoNumber("EEXIST")}`);
    return fail("EEXIST");
  }
  be.script = l.script;
  be.name = name;
  host.add(netDeviceCell, own, { mtu: 1500, up: false, bridge: null });
}

/** Says what the backend can do, waits for the frontend (InitWait), makes the interface. */
const netbackProbe = routine(
  "netback_probe [xen_netback]",
  (a: DeviceArgs): ProbeLocals => ({
    ...a,
    nodename: "",
    name: "",
    value: "",
    script: "",
    handle: "",
    doing: "features",
    errno: null,
  }),
  ({ step, call, each, attempt, when, failWith }) => [
    step("backend_info", (host, l) => {
      const { nodename, otherendId } = deviceOf(host, l.device);
      l.nodename = nodename;
      host.add(netbackCell, l.device, {
        name: "",
        frontend: otherendId,
        script: "",
        state: XenbusState.Initialising,
        haveHotplugStatusWatch: false,
        creditWatch: false,
        mcastWatch: false,
        queues: 0,
        carrier: false,
      });
    }),
    attempt([
      call("features", xenbusWriteEntries, (l) => ({
        ...sameDevice(l),
        dir: l.nodename,
        entries: features,
      })),
      each(
        "optional features",
        () => optional,
        (l, [name, value]) => {
          l.name = name;
          l.value = value;
        },
        [
          attempt([
            call("xenbus_printf optional", xenbusPrintf, (l) => ({
              domid: l.domid,
              dir: l.nodename,
              name: l.name,
              value: l.value,
            })),
          ]).onError(() => {}, []),
        ],
      ),
      call(
        "backend_switch_state",
        backendSwitchState,
        (l) => ({ ...sameDevice(l), state: XenbusState.InitWait }),
        (l) => {
          l.doing = "reading script";
        },
      ),
      call(
        "script",
        xenbusRead,
        (l) => ({ domid: l.domid, dir: l.nodename, name: "script" }),
        (l, script) => {
          l.script = script;
          l.doing = "reading handle";
        },
      ),
      call(
        "handle",
        xenbusRead,
        (l) => ({ domid: l.domid, dir: l.nodename, name: "handle" }),
        (l, handle) => {
          l.handle = handle;
        },
      ),
      step("xenvif_alloc", createXenvif),
    ]).onError(
      (l, errno) => void (l.errno = errno),
      [
        when("not told yet", (l) => l.doing !== "features", [
          call("xenbus_dev_fatal probe", xenbusDevFatal, (l) => ({
            ...sameDevice(l),
            err: errnoNumber(present(l.errno)),
            message: l.doing,
          })),
        ]),
        call("netback_remove", netbackRemove, sameDevice),
        failWith("failed", (l) => present(l.errno)),
      ],
    ),
  ],
);

function forget(host: Host, device: string): void {
  const netback = host.get(netbackCell, device);
  if (netback === undefined) return;
  const own = ofDomain(deviceOf(host, device).domid, netback.name);
  if (host.get(netDeviceCell, own) !== undefined) host.drop(netDeviceCell, own);
  host.drop(netbackCell, device);
}

/** The driver, as dom0's kernel loads it. */
export const netback = xenbusDriver({
  module: "xen_netback",
  bus: "backend",
  type: "vif",
  probe: netbackProbe,
  remove: netbackRemove,
  allowRebind: true,
  otherendChanged: frontendChanged,
  forget,
});
