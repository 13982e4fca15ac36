// SPDX-License-Identifier: Apache-2.0
//
// `xl devd` in a driver domain: the process that runs the hotplug scripts of what
// the domain serves, and removes its nodes when it is gone
// (tools/libs/light/libxl_device.c, libxl_device_events_handler). Here it knows
// interfaces: the domain's kernel has no other backend.

import { cellType, must } from "../engine/cells.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { netDeviceCell } from "../drivers/dom0-devices.ts";
import { SCRIPT_US } from "../drivers/hotplug.ts";
import { taskRun } from "../xenbus/kthread.ts";
import { XenbusState } from "../xenbus/state.ts";
import { registerXenbusWatch } from "../xenbus/watch.ts";
import type { WatchEvent } from "../xenbus/xenbus.ts";
import { xenbusDirectory, xenbusPrintf, xenbusReadOptional, xenbusRm } from "../xenbus/xs.ts";

/** A device it looks after. */
interface ServedDevice {
  /** The backend's directory. */
  dir: string;
  /** Whether its script has run. */
  connected: boolean;
}

/** What it looks after, and events it has not looked at, by domid. */
export const devdCell = cellType<{ devices: ServedDevice[]; events: string[] }>("devd");

/** Events of the watch are handed to the process, which has a connection of its own to read them from. */
const watchFired = routine(
  "watch_fired [xenbus_dev_frontend]",
  (a: WatchEvent) => ({ ...a }),
  ({ step }) => [
    step("queue_reply", (host, { domid, path }) => {
      if (host.get(devdCell, domid) !== undefined) host.edit(devdCell, domid).events.push(path);
    }),
  ],
);

/** Names below a directory; none where it is not there. */
const names = routine(
  "libxl__xs_directory (devd)",
  (a: { domid: number; dir: string }) => ({ ...a, names: [] as string[] }),
  ({ call, attempt }) => [
    attempt([
      call(
        "xs_directory",
        xenbusDirectory,
        ({ domid, dir }) => ({ domid, dir, name: "" }),
        (l, found) => void (l.names = found),
      ),
    ]).onError(() => {}, []),
  ],
  (l) => l.names,
);

/** Finds the devices that were there before it: each is as if its state had changed. */
const findDevices = routine(
  "libxl_device_events_handler",
  (a: { domid: number }) => ({
    ...a,
    dirs: [`/local/domain/${a.domid}/backend`],
    next: [] as string[],
    dir: "",
    level: 0,
  }),
  ({ repeatUntil, each, call, step }) => [
    repeatUntil("kinds, domains, devices", (l) => l.level === 3, [
      step("next level", (_host, l) => void (l.next = [])),
      each(
        "directory",
        (l) => l.dirs,
        (l, dir) => void (l.dir = dir),
        [
          call(
            "directory",
            names,
            ({ domid, dir }) => ({ domid, dir }),
            (l, found) => void l.next.push(...found.map((name) => `${l.dir}/${name}`)),
          ),
        ],
      ),
      step("level", (_host, l) => {
        l.dirs = l.next;
        l.level++;
      }),
    ]),
    step("found", (host, l) => {
      host.edit(devdCell, l.domid).events.push(...l.dirs.map((dir) => `${dir}/state`));
    }),
  ],
);

/** A hotplug script: the interface goes up, and the backend learns that it may connect; or it goes down. */
const script = routine(
  "vif-bridge (devd)",
  (a: { domid: number; dir: string; up: boolean }) => ({ ...a }),
  ({ step, when, call, attempt, sleep }) => [
    // libxl in dom0 reads the closed backend's state meanwhile: it takes a directory that is gone for a failure.
    sleep("bash", () => SCRIPT_US),
    step("ip link set", (host, { dir, up }) => {
      const [frontend = "", handle = ""] = dir.split("/").slice(-2);
      const vif = `vif${frontend}.${handle}`;
      if (host.get(netDeviceCell, vif) !== undefined) host.edit(netDeviceCell, vif).up = up;
    }),
    when("online", (l) => l.up, [
      attempt([
        call("xenstore_write hotplug-status", xenbusPrintf, ({ domid, dir }) => ({
          domid,
          dir,
          name: "hotplug-status",
          value: "connected",
        })),
      ]).onError(() => {}, []),
    ]),
  ],
);

/** Removes a directory, and those above it that are empty then (libxl__xs_path_cleanup). */
const pathCleanup = routine(
  "libxl__xs_path_cleanup (devd)",
  (a: { domid: number; dir: string }) => ({ ...a, left: [] as string[] }),
  ({ repeatUntil, attempt, call, step }) => [
    attempt([
      repeatUntil("not empty", (l) => l.left.length > 0, [
        call("xs_rm", xenbusRm, ({ domid, dir }) => ({ domid, dir, name: "" })),
        step("dirname", (_host, l) => void (l.dir = l.dir.slice(0, l.dir.lastIndexOf("/")))),
        call(
          "xs_directory",
          xenbusDirectory,
          ({ domid, dir }) => ({ domid, dir, name: "" }),
          (l, found) => void (l.left = found),
        ),
      ]),
    ]).onError(() => {}, []),
  ],
);

interface EventLocals {
  domid: number;
  dir: string;
  state: string | null;
  online: string | null;
  todo: "connect" | "remove" | "nothing";
}

/** Notes a device that has come, or gone, and says what is to be done about it. */
function note(host: Host, { domid, dir, state, online }: EventLocals): EventLocals["todo"] {
  const { devices } = host.edit(devdCell, domid);
  const at = devices.findIndex((device) => device.dir === dir);
  const known = devices[at];
  const closed = Number(state) === XenbusState.Closed;
  if (known !== undefined && closed && online === "0") {
    devices.splice(at, 1);
    return "remove";
  }
  if (closed) return "nothing";
  const device = known ?? { dir, connected: false };
  if (known === undefined) devices.push(device);
  if (device.connected || Number(state) !== XenbusState.InitWait || !/\/vif\/\d+\/\d+$/.test(dir))
    return "nothing";
  device.connected = true;
  return "connect";
}

/** A device's state has changed, or whether it is to be there (backend_watch_callback). */
const deviceEvent = routine(
  "backend_watch_callback",
  (a: { domid: number; dir: string }): EventLocals => ({ ...a, state: null, online: null, todo: "nothing" }),
  ({ call, when, step }) => [
    call(
      "state",
      xenbusReadOptional,
      ({ domid, dir }) => ({ domid, dir, name: "state" }),
      (l, state) => void (l.state = state),
    ),
    call(
      "online",
      xenbusReadOptional,
      ({ domid, dir }) => ({ domid, dir, name: "online" }),
      (l, online) => void (l.online = online),
    ),
    when("a device", (l) => l.state !== null && l.online !== null, [
      step("search_for_device", (host, l) => void (l.todo = note(host, l))),
    ]),
    when("add_device", (l) => l.todo === "connect", [
      call("device_hotplug", script, ({ domid, dir }) => ({ domid, dir, up: true })),
    ]),
    when("remove_device", (l) => l.todo === "remove", [
      call("device_hotplug remove", script, ({ domid, dir }) => ({ domid, dir, up: false })),
      call("libxl__device_destroy", pathCleanup, ({ domid, dir }) => ({ domid, dir })),
    ]),
  ],
);

/** The process. */
const devd = routine(
  "xl devd",
  (a: { domid: number }) => ({ ...a, path: "" }),
  ({ call, forever, waitFor, step, when }) => [
    call("xs_watch", registerXenbusWatch, ({ domid }) => ({
      domid,
      node: `/local/domain/${domid}/backend`,
      token: "devd",
      callback: watchFired.name,
    })),
    call("devices", findDevices, ({ domid }) => ({ domid })),
    forever("for (;;)", [
      waitFor("poll", (host, l) => must(host, devdCell, l.domid).events.length > 0),
      step(
        "xs_read_watch",
        (host, l) => void (l.path = host.edit(devdCell, l.domid).events.shift() as string),
      ),
      when("a state", (l) => /\/(state|online)$/.test(l.path), [
        call("event", deviceEvent, ({ domid, path }) => ({
          domid,
          dir: path.slice(0, path.lastIndexOf("/")),
        })),
      ]),
    ]),
  ],
);

/** Starts it in a domain that serves others. */
export function startDevd(host: Host, domid: number): void {
  host.add(devdCell, domid, { devices: [], events: [] });
  taskRun(host, domid, "devd", devd, { domid });
}
