// SPDX-License-Identifier: Apache-2.0
//
// A kernel's first look at its buses, and the drivers it loads later (Linux
// xenbus_probe_devices, xenbus_register_driver_common).

import { must } from "../engine/cells.ts";
import { routine } from "../engine/routine.ts";
import { backendBusChanged, frontendBusChanged, xenbusDevProbe, xenbusProbeNode } from "./bus.ts";
import {
  busRoot,
  deviceOf,
  devicesOn,
  driverOf,
  sameDevice,
  xenbusBusCell,
  xenbusDeviceCell,
} from "./device.ts";
import type { Bus } from "./device.ts";
import { XenbusState } from "./state.ts";
import { registerXenbusWatch } from "./watch.ts";
import { xenbusCell } from "./xenbus.ts";
import { xenbusDirectory } from "./xs.ts";

const xenbusProbeDeviceType = routine(
  "xenbus_probe_device_type",
  (a: { domid: number; bus: Bus; type: string }) => ({
    ...a,
    names: [] as string[],
    name: "",
    units: [] as string[],
    unit: "",
  }),
  ({ call, each, when }) => [
    call(
      "xenbus_directory",
      xenbusDirectory,
      (l) => ({ domid: l.domid, dir: busRoot[l.bus], name: l.type }),
      (l, names) => {
        l.names = names;
      },
    ),
    each(
      "names",
      (l) => l.names,
      (l, name) => {
        l.name = name;
      },
      [
        when(
          "frontend",
          (l) => l.bus === "frontend",
          [
            call("xenbus_probe_frontend", xenbusProbeNode, (l) => ({
              domid: l.domid,
              bus: l.bus,
              nodename: `device/${l.type}/${l.name}`,
            })),
          ],
          [
            call(
              "xenbus_probe_backend",
              xenbusDirectory,
              (l) => ({ domid: l.domid, dir: `backend/${l.type}`, name: l.name }),
              (l, units) => {
                l.units = units;
              },
            ),
            each(
              "units",
              (l) => l.units,
              (l, unit) => {
                l.unit = unit;
              },
              [
                call("xenbus_probe_backend_unit", xenbusProbeNode, (l) => ({
                  domid: l.domid,
                  bus: l.bus,
                  nodename: `backend/${l.type}/${l.name}/${l.unit}`,
                })),
              ],
            ),
          ],
        ),
      ],
    ),
  ],
);

const xenbusProbeDevices = routine(
  "xenbus_probe_devices",
  (a: { domid: number; bus: Bus }) => ({ ...a, types: [] as string[], type: "" }),
  ({ call, each, attempt }) => [
    attempt([
      call(
        "xenbus_directory",
        xenbusDirectory,
        (l) => ({ domid: l.domid, dir: busRoot[l.bus], name: "" }),
        (l, types) => {
          l.types = types;
        },
      ),
      each(
        "types",
        (l) => l.types,
        (l, type) => {
          l.type = type;
        },
        [
          call("xenbus_probe_device_type", xenbusProbeDeviceType, (l) => ({
            domid: l.domid,
            bus: l.bus,
            type: l.type,
          })),
        ],
      ),
    ]).onError(() => {}, []),
  ],
);

const busWatch = {
  backend: { token: "be_watch", callback: backendBusChanged.name, getDomid: "path" },
  frontend: { token: "fe_watch", callback: frontendBusChanged.name },
} as const;

/** Looks for the devices a bus has already and watches for more: `backend_probe_and_watch` and its frontend twin. */
export const probeAndWatch = routine(
  "probe_and_watch",
  (a: { domid: number; bus: Bus }) => ({ ...a }),
  ({ step, call }) => [
    step("bus_register", (host, l) => {
      host.add(xenbusBusCell, `${l.domid}/${l.bus}`, { devices: [] });
    }),
    call("xenbus_probe_devices", xenbusProbeDevices, (l) => l),
    call("register_xenbus_watch", registerXenbusWatch, (l) => ({
      domid: l.domid,
      node: busRoot[l.bus],
      ...busWatch[l.bus],
    })),
  ],
);

/**
 * How long loading a frontend's module waits for the devices it found, in µs: the two loops of
 * wait_for_devices count their seconds together.
 */
const CONNECT_TIMEOUT_US = 270_000_000;

/** Loads a driver's module: its driver is bound to every device that waits for one. */
export const xenbusRegisterDriver = routine(
  "xenbus_register_driver_common",
  (a: { domid: number; module: string }) => ({ ...a, devices: [] as string[], device: "" }),
  ({ step, each, call }) => [
    step("driver_register", (host, l) => {
      host.edit(xenbusCell, l.domid).modules.push(l.module);
      const { bus, type } = driverOf(l.module);
      l.devices = devicesOn(host, l.domid, bus).filter((device) => {
        const { devicetype, driver } = deviceOf(host, device);
        return devicetype === type && driver === null;
      });
    }),
    each(
      "driver_attach",
      (l) => l.devices,
      (l, device) => {
        l.device = device;
      },
      [call("xenbus_dev_probe", xenbusDevProbe, (l) => ({ ...sameDevice(l), module: l.module }))],
    ),
  ],
);

/** Loads a frontend's module and waits until its devices are connected: what insmod takes in a guest. */
export const xenbusRegisterFrontend = routine(
  "__xenbus_register_frontend",
  (a: { domid: number; module: string }) => ({ ...a }),
  ({ call, waitFor }) => [
    call("xenbus_register_driver_common", xenbusRegisterDriver, (l) => l),
    waitFor(
      "wait_for_devices",
      (host, l) => {
        const { devices } = must(host, xenbusBusCell, `${l.domid}/frontend`);
        return devices.every((device) => {
          const found = host.get(xenbusDeviceCell, device);
          return found === undefined || found.driver !== l.module || found.state >= XenbusState.Connected;
        });
      },
      { timeout: () => CONNECT_TIMEOUT_US, timedOut: () => {} },
    ),
  ],
);
