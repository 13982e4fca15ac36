// SPDX-License-Identifier: Apache-2.0
//
// netback shows that it is connected only when its hotplug script has run
// (Linux drivers/net/xen-netback/xenbus.c, hotplug_status_changed).

import { must } from "../engine/cells.ts";
import { routine } from "../engine/routine.ts";
import { deviceOf, sameDevice } from "../xenbus/device.ts";
import type { DeviceArgs } from "../xenbus/device.ts";
import { xenbusSwitchState } from "../xenbus/switch-state.ts";
import { registerXenbusWatch, unregisterXenbusWatch } from "../xenbus/watch.ts";
import type { WatchEvent } from "../xenbus/xenbus.ts";
import { xenbusReadOptional } from "../xenbus/xs.ts";
import { netbackCell } from "./netback-cells.ts";

const token = (device: string): string => `hotplug_status:${device}`;

/** Takes the watch back, where there is one. */
export const unregisterHotplugStatusWatch = routine(
  "unregister_hotplug_status_watch",
  (a: DeviceArgs) => ({ ...a, has: false }),
  ({ step, when, call }) => [
    step("have_hotplug_status_watch", (host, l) => {
      l.has = must(host, netbackCell, l.device).haveHotplugStatusWatch;
    }),
    when("has one", (l) => l.has, [
      call("unregister_xenbus_watch", unregisterXenbusWatch, (l) => ({
        domid: l.domid,
        token: token(l.device),
      })),
      step("have_hotplug_status_watch = 0", (host, l) => {
        host.edit(netbackCell, l.device).haveHotplugStatusWatch = false;
      }),
    ]),
  ],
);

/** The script has run, or something else happened to its node: what waited for it is shown now. */
const hotplugStatusChanged = routine(
  "hotplug_status_changed [xen_netback]",
  (a: WatchEvent) => ({
    device: a.owner,
    domid: a.domid,
    nodename: "",
    status: null as string | null,
    state: 0,
  }),
  ({ step, call, when }) => [
    step("be->dev", (host, l) => {
      l.nodename = deviceOf(host, l.device).nodename;
      l.state = must(host, netbackCell, l.device).state;
    }),
    call(
      "xenbus_read",
      xenbusReadOptional,
      (l) => ({ domid: l.domid, dir: l.nodename, name: "hotplug-status" }),
      (l, status) => {
        l.status = status;
      },
    ),
    when("connected", (l) => l.status === "connected", [
      call("xenbus_switch_state", xenbusSwitchState, (l) => ({ ...sameDevice(l), state: l.state })),
      call("unregister_hotplug_status_watch", unregisterHotplugStatusWatch, sameDevice),
    ]),
  ],
);

/** Watches for the script's end: what the backend shows waits for it. */
export const registerHotplugStatusWatch = routine(
  "register_hotplug_status_watch",
  (a: DeviceArgs & { nodename: string }) => ({ ...a }),
  ({ call, step }) => [
    call("xenbus_watch_pathfmt", registerXenbusWatch, (l) => ({
      domid: l.domid,
      node: `${l.nodename}/hotplug-status`,
      token: token(l.device),
      callback: hotplugStatusChanged.name,
      owner: l.device,
    })),
    step("have_hotplug_status_watch = 1", (host, l) => {
      host.edit(netbackCell, l.device).haveHotplugStatusWatch = true;
    }),
  ],
);
