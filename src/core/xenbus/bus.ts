// SPDX-License-Identifier: Apache-2.0
//
// Devices coming to a kernel's buses and going: what the watches on `backend`
// and `device` lead to, and binding drivers to devices (Linux
// drivers/xen/xenbus/xenbus_probe.c and the driver core around it).

import { errnoNumber, present } from "../engine/errno.ts";
import type { Errno } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import {
  busLevels,
  deviceOf,
  devicesBelow,
  driverOf,
  findDevice,
  putOnBus,
  sameDevice,
  takeOffBus,
  xenbusDeviceCell,
  xenbusMatch,
} from "./device.ts";
import type { Bus, DeviceArgs } from "./device.ts";
import { freeOtherendWatch, talkToOtherend, watchOtherend } from "./otherend.ts";
import { isNumber, XenbusState } from "./state.ts";
import { devPrint } from "./printk.ts";
import { xenbusDevError, xenbusSwitchState } from "./switch-state.ts";
import type { WatchEvent } from "./xenbus.ts";
import { countDomainDevice } from "./xenwatch.ts";
import { xenbusExists, xenbusRead, xenbusReadDriverState } from "./xs.ts";

/** The node of the device a path on a bus belongs to, or null where the path is too short to belong to one. */
export function deviceNode(bus: Bus, path: string): string | null {
  const parts = path.split("/");
  return parts.length > busLevels[bus] ? parts.slice(0, busLevels[bus] + 1).join("/") : null;
}

function addDevice(host: Host, domid: number, bus: Bus, nodename: string): string {
  const device = `${domid}/${nodename}`;
  host.add(xenbusDeviceCell, device, {
    domid,
    bus,
    nodename,
    devicetype: nodename.split("/")[1] ?? "",
    state: XenbusState.Initialising,
    driver: null,
    otherend: null,
    otherendId: 0,
    otherendWatch: null,
    down: false,
  });
  putOnBus(host, device);
  if (bus === "backend") countDomainDevice(host, domid, nodename, 1);
  return device;
}

function dropDevice(host: Host, device: string): void {
  const { domid, bus, nodename } = deviceOf(host, device);
  if (bus === "backend") countDomainDevice(host, domid, nodename, -1);
  takeOffBus(host, device);
  host.drop(xenbusDeviceCell, device);
}

/**
 * Binds the driver of a module to a device: finds the other end, lets the driver
 * set up, watches the other end's state. A device whose driver fails stays
 * without one.
 */
export const xenbusDevProbe = routine(
  "xenbus_dev_probe",
  (a: DeviceArgs & { module: string }) => ({
    ...a,
    stage: "otherend" as "otherend" | "probe" | "watch" | "gone",
    errno: null as Errno | null,
    nodename: "",
    remove: null as string | null,
  }),
  ({ step, call, callNamed, attempt, when, locked }) => [
    locked("device_lock", (l) => `device ${l.device}`, [
      step("dev->driver = drv", (host, l) => {
        const device = host.get(xenbusDeviceCell, l.device);
        if (device === undefined || device.driver !== null) l.stage = "gone";
        else host.edit(xenbusDeviceCell, l.device).driver = l.module;
        l.nodename = device?.nodename ?? "";
        l.remove = driverOf(l.module).remove?.name ?? null;
      }),
      when("there and free", (l) => l.stage !== "gone", [
        attempt([
          call("talk_to_otherend", talkToOtherend, sameDevice, (l) => {
            l.stage = "probe";
          }),
          callNamed(
            "drv->probe",
            (l) => driverOf(l.module).probe.name,
            sameDevice,
            (l) => {
              l.stage = "watch";
            },
          ),
          call("watch_otherend", watchOtherend, sameDevice),
        ]).onError(
          (l, errno) => {
            l.errno = errno;
          },
          [
            step("dev_warn", (host, l) => {
              if (l.stage === "probe") return;
              const what = l.stage === "watch" ? "watch_otherend" : "talk_to_otherend";
              devPrint(host, l.device, `${what} on ${l.nodename} failed.`);
            }),
            when("cannot be watched", (l) => l.stage === "watch" && l.remove !== null, [
              callNamed("drv->remove", (l) => present(l.remove), sameDevice),
            ]),
            when("has an other end", (l) => l.stage !== "otherend", [
              call("xenbus_dev_error", xenbusDevError, (l) => ({
                ...sameDevice(l),
                err: errnoNumber(present(l.errno)),
                message: `xenbus_dev_probe on ${l.nodename}`,
              })),
            ]),
            step("dev->driver = NULL", (host, l) => {
              driverOf(l.module).forget(host, l.device);
              host.edit(xenbusDeviceCell, l.device).driver = null;
            }),
          ],
        ),
      ]),
    ]),
  ],
);

/** What a bus needs to know of a new backend before it is a device: whose it is, and that its frontend exists. */
const backendBusId = routine(
  "backend_bus_id",
  (a: { domid: number; nodename: string }) => ({ ...a, id: "", frontend: "", exists: false }),
  ({ call, when, failWith }) => [
    call(
      "xenbus_gather frontend-id",
      xenbusRead,
      (l) => ({ domid: l.domid, dir: l.nodename, name: "frontend-id" }),
      (l, value) => {
        l.id = value;
      },
    ),
    when("no number", (l) => !isNumber(l.id), [failWith("EINVAL", "EINVAL")]),
    call(
      "xenbus_gather frontend",
      xenbusRead,
      (l) => ({ domid: l.domid, dir: l.nodename, name: "frontend" }),
      (l, value) => {
        l.frontend = value;
      },
    ),
    when("nobody", (l) => l.frontend === "", [failWith("ERANGE", "ERANGE")]),
    call(
      "xenbus_exists",
      xenbusExists,
      (l) => ({ domid: l.domid, dir: l.frontend, name: "" }),
      (l, exists) => {
        l.exists = exists;
      },
    ),
    when("no frontend", (l) => !l.exists, [failWith("ENOENT", "ENOENT")]),
  ],
);

/**
 * Makes a device of a node whose state says that it is new, and binds a driver where there is one. Fails
 * where it can be no device; that its driver fails does not matter.
 */
export const xenbusProbeNode = routine(
  "xenbus_probe_node",
  (a: { domid: number; bus: Bus; nodename: string }) => ({
    ...a,
    state: 0,
    device: "",
    module: null as string | null,
  }),
  ({ step, call, when }) => [
    call(
      "xenbus_read_driver_state",
      xenbusReadDriverState,
      (l) => ({ domid: l.domid, path: l.nodename }),
      (l, state) => {
        l.state = state;
      },
    ),
    when("new", (l) => l.state === XenbusState.Initialising, [
      when("backend", (l) => l.bus === "backend", [
        call("get_bus_id", backendBusId, (l) => ({ domid: l.domid, nodename: l.nodename })),
      ]),
      step("device_register", (host, l) => {
        l.device = addDevice(host, l.domid, l.bus, l.nodename);
        l.module = xenbusMatch(host, l.domid, l.bus, deviceOf(host, l.device).devicetype);
      }),
      when("driver", (l) => l.module !== null, [
        call("xenbus_dev_probe", xenbusDevProbe, (l) => ({ ...sameDevice(l), module: present(l.module) })),
      ]),
    ]),
  ],
);

const xenbusDevRemove = routine(
  "xenbus_dev_remove",
  (a: DeviceArgs) => ({
    ...a,
    nodename: "",
    remove: null as string | null,
    rebind: false,
    state: XenbusState.Closing as number,
  }),
  ({ step, call, callNamed, when }) => [
    call("free_otherend_watch", freeOtherendWatch, sameDevice),
    step("drv->remove", (host, l) => {
      const { driver, nodename } = deviceOf(host, l.device);
      const bound = driver === null ? null : driverOf(driver);
      l.nodename = nodename;
      l.remove = bound?.remove?.name ?? null;
      l.rebind = bound?.allowRebind ?? false;
    }),
    when("driver removes", (l) => l.remove !== null, [
      callNamed("remove", (l) => present(l.remove), sameDevice),
    ]),
    step("free_otherend_details", (host, l) => {
      host.edit(xenbusDeviceCell, l.device).otherend = null;
    }),
    // A toolstack that forced the state to Closing waits for Closed.
    when("may be bound anew", (l) => l.rebind, [
      call(
        "xenbus_read_driver_state",
        xenbusReadDriverState,
        (l) => ({ domid: l.domid, path: l.nodename }),
        (l, state) => {
          l.state = state;
        },
      ),
    ]),
    when("has to close", (l) => l.state === XenbusState.Closing, [
      call("xenbus_switch_state", xenbusSwitchState, (l) => ({
        ...sameDevice(l),
        state: XenbusState.Closed,
      })),
    ]),
  ],
);

const deviceReleaseDriverInner = routine(
  "__device_release_driver",
  (a: DeviceArgs) => ({ ...a }),
  ({ call }) => [call("xenbus_dev_remove", xenbusDevRemove, sameDevice)],
);

const deviceReleaseDriver = routine(
  "device_release_driver",
  (a: DeviceArgs) => ({ ...a, bound: false }),
  ({ step, when, call, locked }) => [
    locked("device_lock", (l) => `device ${l.device}`, [
      step("drv = dev->driver", (host, l) => {
        l.bound = deviceOf(host, l.device).driver !== null;
      }),
      when("bound", (l) => l.bound, [call("__device_release_driver", deviceReleaseDriverInner, sameDevice)]),
    ]),
  ],
);

const busRemoveDevice = routine(
  "bus_remove_device",
  (a: DeviceArgs) => ({ ...a }),
  ({ call }) => [call("device_release_driver", deviceReleaseDriver, sameDevice)],
);

const deviceDel = routine(
  "device_del",
  (a: DeviceArgs) => ({ ...a }),
  ({ call }) => [call("bus_remove_device", busRemoveDevice, sameDevice)],
);

/** Takes a device off its bus: its driver lets go of it first, however long that takes. */
export const deviceUnregister = routine(
  "device_unregister",
  (a: DeviceArgs) => ({ ...a }),
  ({ call, step }) => [
    call("device_del", deviceDel, sameDevice),
    step("put_device", (host, l) => dropDevice(host, l.device)),
  ],
);

const xenbusCleanupDevices = routine(
  "xenbus_cleanup_devices",
  (a: { domid: number; bus: Bus; path: string }) => ({ ...a, devices: [] as string[], device: "" }),
  ({ step, each, call }) => [
    step("bus_for_each_dev", (host, l) => {
      l.devices = [...devicesBelow(host, l.domid, l.bus, l.path)];
    }),
    each(
      "devices",
      (l) => l.devices,
      (l, device) => {
        l.device = device;
      },
      [call("device_unregister", deviceUnregister, sameDevice)],
    ),
  ],
);

/** Something changed at a path of a bus: a device that has gone is unregistered, one that is new is probed. */
const xenbusDevChanged = routine(
  "xenbus_dev_changed",
  (a: { domid: number; bus: Bus; path: string }) => ({
    ...a,
    nodename: deviceNode(a.bus, a.path),
    exists: false,
    known: false,
  }),
  ({ step, call, when, attempt }) => [
    when("below a type", (l) => l.path.split("/").length > 2, [
      call(
        "xenbus_exists",
        xenbusExists,
        (l) => ({ domid: l.domid, dir: l.path, name: "" }),
        (l, exists) => {
          l.exists = exists;
        },
      ),
      when("gone", (l) => !l.exists, [
        call("xenbus_cleanup_devices", xenbusCleanupDevices, (l) => ({
          domid: l.domid,
          bus: l.bus,
          path: l.path,
        })),
      ]),
      when("of a device", (l) => l.exists && l.nodename !== null, [
        step("xenbus_device_find", (host, l) => {
          l.known = findDevice(host, l.domid, l.nodename as string) !== undefined;
        }),
        when("unknown", (l) => !l.known, [
          attempt([
            call("xenbus_probe_node", xenbusProbeNode, (l) => ({
              domid: l.domid,
              bus: l.bus,
              nodename: l.nodename as string,
            })),
          ]).onError(() => {}, []),
        ]),
      ]),
    ]),
  ],
);

/** The callback of the watch on `backend`. */
export const backendBusChanged = routine(
  "backend_changed [xenbus_probe_backend]",
  (a: WatchEvent) => ({ domid: a.domid, path: a.path }),
  ({ call }) => [
    call("xenbus_dev_changed", xenbusDevChanged, (l) => ({
      domid: l.domid,
      bus: "backend" as const,
      path: l.path,
    })),
  ],
);

/** The callback of the watch on `device`. */
export const frontendBusChanged = routine(
  "frontend_changed [xenbus_probe_frontend]",
  (a: WatchEvent) => ({ domid: a.domid, path: a.path }),
  ({ call }) => [
    call("xenbus_dev_changed", xenbusDevChanged, (l) => ({
      domid: l.domid,
      bus: "frontend" as const,
      path: l.path,
    })),
  ],
);
