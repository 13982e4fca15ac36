// SPDX-License-Identifier: Apache-2.0
//
// A device and its other end: finding it, watching its state, and telling the
// driver when that changes (Linux drivers/xen/xenbus/xenbus_probe.c).

import { errnoNumber, fail, present } from "../engine/errno.ts";
import type { Errno } from "../engine/errno.ts";
import { routine } from "../engine/routine.ts";
import { deviceOf, driverOf, sameDevice, xenbusDeviceCell } from "./device.ts";
import type { Bus, DeviceArgs } from "./device.ts";
import { failFatally, xenbusDevFatal, xenbusSwitchState } from "./switch-state.ts";
import { registerXenbusWatch, unregisterXenbusWatch } from "./watch.ts";
import { systemRunning } from "./xenbus.ts";
import type { WatchEvent } from "./xenbus.ts";
import { isNumber, parseState, XenbusState } from "./state.ts";
import { xenbusExists, xenbusRead, xenbusReadDriverState } from "./xs.ts";

/** The nodes that name the other end, by bus. */
const otherendNodes: Record<Bus, { id: string; path: string }> = {
  backend: { id: "frontend-id", path: "frontend" },
  frontend: { id: "backend-id", path: "backend" },
};

/** Stops watching the other end's state. */
export const freeOtherendWatch = routine(
  "free_otherend_watch",
  (a: DeviceArgs) => ({ ...a, token: null as string | null }),
  ({ step, when, call }) => [
    step("has a watch", (host, l) => {
      l.token = deviceOf(host, l.device).otherendWatch;
    }),
    when("watching", (l) => l.token !== null, [
      call("unregister_xenbus_watch", unregisterXenbusWatch, (l) => ({
        domid: l.domid,
        token: present(l.token),
      })),
      step("watch.node = NULL", (host, l) => {
        host.edit(xenbusDeviceCell, l.device).otherendWatch = null;
      }),
    ]),
  ],
);

const readOtherendDetails = routine(
  "xenbus_read_otherend_details",
  (a: DeviceArgs) => ({
    ...a,
    nodename: "",
    idNode: "",
    pathNode: "",
    id: "",
    otherend: "",
    exists: false,
    errno: null as Errno | null,
  }),
  ({ step, call, attempt, when, failWith }) => [
    step("which nodes", (host, l) => {
      const { nodename, bus } = deviceOf(host, l.device);
      l.nodename = nodename;
      l.idNode = otherendNodes[bus].id;
      l.pathNode = otherendNodes[bus].path;
    }),
    attempt([
      call(
        "xenbus_gather id",
        xenbusRead,
        (l) => ({ domid: l.domid, dir: l.nodename, name: l.idNode }),
        (l, value) => {
          l.id = value;
        },
      ),
      when("no number", (l) => !isNumber(l.id), [failWith("EINVAL", "EINVAL")]),
      call(
        "xenbus_gather path",
        xenbusRead,
        (l) => ({ domid: l.domid, dir: l.nodename, name: l.pathNode }),
        (l, value) => {
          l.otherend = value;
        },
      ),
    ]).onError((l, errno) => void (l.errno = errno), []),
    when("unreadable", (l) => l.errno !== null, [
      ...failFatally(
        { call, failWith },
        ["xenbus_dev_fatal details", "errno"],
        (l) => `reading other end details from ${l.nodename}`,
      ),
    ]),
    when("named", (l) => l.otherend !== "", [
      call(
        "xenbus_exists",
        xenbusExists,
        (l) => ({ domid: l.domid, dir: l.otherend, name: "" }),
        (l, exists) => {
          l.exists = exists;
        },
      ),
    ]),
    when("missing or inaccessible", (l) => !l.exists, [
      call("xenbus_dev_fatal", xenbusDevFatal, (l) => ({
        ...sameDevice(l),
        err: errnoNumber("ENOENT"),
        message: `unable to read other end from ${l.nodename}.  missing or inaccessible.`,
      })),
      failWith("ENOENT", "ENOENT"),
    ]),
    step("otherend known", (host, l) => {
      const device = host.edit(xenbusDeviceCell, l.device);
      device.otherend = l.otherend;
      device.otherendId = parseState(l.id);
    }),
  ],
);

/** Finds the device's other end, anew where it was known. Fails where it is missing. */
export const talkToOtherend = routine(
  "talk_to_otherend",
  (a: DeviceArgs) => ({ ...a }),
  ({ call }) => [
    call("free_otherend_watch", freeOtherendWatch, sameDevice),
    call("read_otherend_details", readOtherendDetails, sameDevice),
  ],
);

/** The watch on the other end's state: whose bus-level callback it calls. */
function otherendCallback(bus: Bus): string {
  return (bus === "backend" ? frontendStateChanged : backendStateChanged).name;
}

/** Watches the other end's state. A backend takes one event of a frontend at a time (XSA-349). */
export const watchOtherend = routine(
  "watch_otherend",
  (a: DeviceArgs) => ({
    ...a,
    node: "",
    token: "",
    bus: "backend" as Bus,
    errno: null as Errno | null,
  }),
  ({ step, call, attempt, failWith }) => [
    step("xenbus_watch_pathfmt", (host, l) => {
      const { otherend, nodename, bus } = deviceOf(host, l.device);
      if (otherend === null) return fail("ENODEV");
      l.node = `${otherend}/state`;
      l.token = `otherend:${nodename}`;
      l.bus = bus;
      return undefined;
    }),
    attempt([
      call("register_xenbus_watch", registerXenbusWatch, (l) => ({
        domid: l.domid,
        node: l.node,
        token: l.token,
        callback: otherendCallback(l.bus),
        owner: l.device,
        onePending: l.bus === "backend",
      })),
    ]).onError(
      (l, errno) => void (l.errno = errno),
      failFatally({ call, failWith }, ["xenbus_dev_fatal", "errno"], (l) => `adding watch on ${l.node}`),
    ),
    step("otherend_watch", (host, l) => {
      host.edit(xenbusDeviceCell, l.device).otherendWatch = l.token;
    }),
  ],
);

/** A frontend says that it is closed, which is what a shutdown of the device waits for. */
export const xenbusFrontendClosed = routine(
  "xenbus_frontend_closed",
  (a: DeviceArgs) => ({ ...a }),
  ({ call, step }) => [
    call("xenbus_switch_state", xenbusSwitchState, (l) => ({
      device: l.device,
      domid: l.domid,
      state: XenbusState.Closed,
    })),
    step("complete(&dev->down)", (host, l) => {
      host.edit(xenbusDeviceCell, l.device).down = true;
    }),
  ],
);

interface ChangedLocals extends DeviceArgs {
  path: string;
  otherend: string | null;
  state: number;
  /** The driver's routine to call, or null where none is to be called. */
  changed: string | null;
  closing: boolean;
}

/**
 * Reads the other end's state and tells the driver. A kernel that goes down no
 * longer tells its frontends' drivers: a backend that closes is answered at once.
 */
const xenbusOtherendChanged = routine(
  "xenbus_otherend_changed",
  (a: WatchEvent): ChangedLocals => ({
    device: a.owner,
    domid: a.domid,
    path: a.path,
    otherend: null,
    state: XenbusState.Unknown,
    changed: null,
    closing: false,
  }),
  ({ step, when, call, callNamed }) => [
    step("is it our other end", (host, l) => {
      const { otherend } = deviceOf(host, l.device);
      l.otherend = otherend !== null && l.path.startsWith(otherend) ? otherend : null;
    }),
    when("it is", (l) => l.otherend !== null, [
      call(
        "xenbus_read_driver_state",
        xenbusReadDriverState,
        (l) => ({ domid: l.domid, path: l.otherend as string }),
        (l, state) => {
          l.state = state;
        },
      ),
      step("drv->otherend_changed", (host, l) => {
        const { driver, bus } = deviceOf(host, l.device);
        const running = systemRunning(host, l.domid);
        l.changed = driver === null || !running ? null : driverOf(driver).otherendChanged.name;
        l.closing = !running && bus === "frontend" && l.state === XenbusState.Closing;
      }),
      when("closing while the kernel goes down", (l) => l.closing, [
        call("xenbus_frontend_closed", xenbusFrontendClosed, sameDevice),
      ]),
      when("has a driver", (l) => l.changed !== null, [
        callNamed(
          "otherend_changed",
          (l) => l.changed as string,
          (l) => ({ device: l.device, domid: l.domid, state: l.state }),
        ),
      ]),
    ]),
  ],
);

/** The backend bus's callback for a frontend's state. */
const frontendStateChanged = routine(
  "frontend_changed [xenbus_probe_backend]",
  (a: WatchEvent) => ({ ...a }),
  ({ call }) => [call("xenbus_otherend_changed", xenbusOtherendChanged, (l) => l)],
);

/** The frontend bus's callback for a backend's state. */
const backendStateChanged = routine(
  "backend_changed [xenbus_probe_frontend]",
  (a: WatchEvent) => ({ ...a }),
  ({ call }) => [call("xenbus_otherend_changed", xenbusOtherendChanged, (l) => l)],
);
