// SPDX-License-Identifier: Apache-2.0
//
// What `xl devd` does, in dom0 or in a driver domain: runs the hotplug scripts of
// the devices its own domain serves, and removes their nodes when they have gone
// (tools/libs/light/libxl_device.c, libxl_device_events_handler).

import { must } from "../engine/cells.ts";
import { isFailure, present } from "../engine/errno.ts";
import type { Errno } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { enlist } from "../engine/runqueue.ts";
import { spawnThread } from "../engine/thread.ts";
import { currentDomid } from "../daemons/process.ts";
import { xsEventPending, xsTakeEvent } from "../daemons/xs-client.ts";
import { devdCell } from "../guest/devd-cell.ts";
import { finishDeviceAdd, servedByQemu } from "./device-add.ts";
import { deviceDestroy } from "./device-destroy.ts";
import { finishDeviceRemove, initiateDeviceRemove } from "./device-remove.ts";
import {
  backendDir,
  deviceKind,
  deviceName,
  ownDomid,
  XenbusStateClosed,
  XenbusStateInitWait,
} from "./device.ts";
import type { Device } from "./device.ts";
import { contextLock } from "./libxl-ctx.ts";
import { libxlDebug } from "./log.ts";
import { sameProcess } from "./same.ts";
import { xsDirectory, xsRead, xsRm, xsWatch } from "./xs.ts";
import type { Watch } from "./xs.ts";

/** The device of a backend's directory (libxl__parse_backend_path); null for any other path. */
function parsePath(path: string): Device | null {
  const [, backendDomid, kind = "", domid, devid] =
    /^\/local\/domain\/(\d+)\/backend\/([^/]{1,15})\/(\d+)\/(\d+)/.exec(path) ?? [];
  const backendKind = deviceKind(kind);
  if (backendKind === null) return null;
  return {
    domid: Number(domid),
    devid: Number(devid),
    kind: "NONE",
    backendDomid: Number(backendDomid),
    backendKind,
  };
}

/** A line that -vvv shows. */
function say(host: Host, process: string, line: number, where: string, text: string, domid?: number): void {
  libxlDebug(host, process, `libxl_device.c:${line}:${where}`, text, domid ?? null);
}

const pathOf = (device: Device): string => `/local/domain/${device.backendDomid}/${backendDir(device)}`;

/** A device has come up, or has not (device_complete). */
function sayComplete(host: Host, process: string, device: Device, action: string, errno: Errno | null): void {
  const text = `device ${pathOf(device)} ${action} ${errno === null ? "succeed" : "failed"}`;
  say(host, process, 1523, "device_complete", text);
}

interface WorkLocals {
  process: string;
  device: Device;
  watch: Watch | null;
}

/** What follows the addition of a device, beside the loop. */
const addWork = routine(
  "add_device ao",
  (a: WorkLocals) => ({ ...a, errno: null as Errno | null }),
  ({ attempt, call, step }) => [
    attempt([
      call("connect", finishDeviceAdd, ({ process, device, watch }) => ({ process, device, watch })),
    ]).onError((l, errno) => void (l.errno = errno), []),
    step("device_complete", (host, l) => sayComplete(host, l.process, l.device, "add", l.errno)),
  ],
);

/** What follows the removal of a device, beside the loop. */
const removeWork = routine(
  "remove_device ao",
  (a: WorkLocals) => ({ ...a, errno: null as Errno | null }),
  ({ attempt, call, step }) => [
    attempt([
      call("disconnect", finishDeviceRemove, ({ process, device, watch }) => ({
        process,
        device,
        force: "auto" as const,
        watch,
      })),
    ]).onError((l, errno) => void (l.errno = errno), []),
    step("device_complete", (host, l) => sayComplete(host, l.process, l.device, "remove", l.errno)),
  ],
);

/** Goes on with a device beside the loop: a thread of the process. */
function beside(host: Host, work: typeof addWork, args: WorkLocals): void {
  const { process, device } = args;
  const domid = currentDomid(host);
  const number = host.edit(devdCell, process).count++;
  const name = `${process}/${deviceName(device)}.${number}`;
  spawnThread(host, name, work, args, { domid });
  enlist(host, domid, name);
}

interface EventLocals {
  process: string;
  path: string;
  state: string | null;
  online: string | null;
  device: Device | null;
  todo: "add" | "remove" | "nothing";
  watch: Watch | null;
  errno: Errno | null;
  /** A domain of which nothing is left to look after; -1 for none. */
  gone: number;
}

/** Notes a device that has come, or gone, and says what is to be done about it. */
function note(host: Host, { process, device, state, online }: EventLocals): EventLocals["todo"] {
  const { domid } = present(device);
  const dir = pathOf(present(device));
  const { devices } = host.edit(devdCell, process);
  const at = devices.findIndex((other) => other.dir === dir);
  const closed = Number(state) === Number(XenbusStateClosed);
  if (at < 0 && closed) return "nothing";
  if (at < 0) {
    if (!devices.some((other) => other.domid === domid))
      say(host, process, 1792, "backend_watch_callback", "Added domain to the list of active guests", domid);
    devices.unshift({ dir, domid });
    say(host, process, 1648, "add_device", `Added device ${dir} to the list of active devices`, domid);
    return "add";
  }
  if (!closed || Number(online) !== 0) return "nothing";
  devices.splice(at, 1);
  return "remove";
}

/** A device is off the list: its domain, if that was the last one of it (check_and_maybe_remove_guest). */
function removed(host: Host, { process, device }: EventLocals): number {
  const { domid } = present(device);
  const text = `Removed device ${pathOf(present(device))} from the list of active devices`;
  say(host, process, 1725, "remove_device", text, domid);
  if (must(host, devdCell, process).devices.some((other) => other.domid === domid)) return -1;
  say(
    host,
    process,
    1615,
    "check_and_maybe_remove_guest",
    "Removed domain from the list of active guests",
    domid,
  );
  return domid;
}

/** A device's state has changed, or whether it is to be there. */
const backendWatchCallback = routine(
  "backend_watch_callback",
  (a: { process: string; path: string }): EventLocals => ({
    process: a.process,
    path: a.path.slice(0, a.path.lastIndexOf("/")),
    state: null,
    online: null,
    device: parsePath(a.path.slice(0, a.path.lastIndexOf("/"))),
    todo: "nothing",
    watch: null,
    errno: null,
    gone: -1,
  }),
  ({ call, when, step, attempt }) => [
    call(
      "state",
      xsRead,
      ({ process, path }) => ({ process, path: `${path}/state` }),
      (l, state) => void (l.state = state),
    ),
    when("has a state", (l) => l.state !== null, [
      call(
        "online",
        xsRead,
        ({ process, path }) => ({ process, path: `${path}/online` }),
        (l, online) => void (l.online = online),
      ),
    ]),
    when("a device", (l) => l.state !== null && l.online !== null && l.device !== null, [
      step("search_for_device", (host, l) => void (l.todo = note(host, l)), { unseen: true }),
    ]),
    // No QEMU answers in the model of a driver domain: a device it would serve waits.
    when("add_device", (l) => l.todo === "add" && !servedByQemu(present(l.device)), [
      call(
        "libxl__wait_device_connection",
        xsWatch,
        ({ process, path }) => ({ process, path: `${path}/state` }),
        (l, watch) => void (l.watch = watch),
      ),
      step("beside", (host, { process, device, watch }) =>
        beside(host, addWork, { process, device: present(device), watch }),
      ),
    ]),
    when("remove_device", (l) => l.todo === "remove", [
      when(
        "by QEMU",
        (l) => servedByQemu(present(l.device)),
        [
          attempt([
            call("libxl__device_destroy", deviceDestroy, ({ process, device }) => ({
              process,
              device: present(device),
            })),
          ]).onError(() => {}, []),
        ],
        [
          attempt([
            call(
              "libxl__initiate_device_generic_remove",
              initiateDeviceRemove,
              ({ process, device }) => ({ process, device: present(device), force: "auto" as const }),
              (l, watch) => void (l.watch = watch),
            ),
            step("beside removal", (host, { process, device, watch }) =>
              beside(host, removeWork, { process, device: present(device), watch }),
            ),
          ]).onError(
            (l, errno) => void (l.errno = errno),
            [
              step("not initiated", (host, { process, device, errno }) =>
                sayComplete(host, process, present(device), "remove", errno),
              ),
            ],
          ),
        ],
      ),
      step("list of active guests", (host, l) => void (l.gone = removed(host, l)), { unseen: true }),
      when("last of its guest", (l) => l.gone >= 0, [
        attempt([
          call("leftovers", xsRm, ({ process, gone }) => ({ process, path: `libxl/${gone}` })),
        ]).onError(() => {}, []),
      ]),
    ]),
  ],
);

/** Devices that wait for their scripts already, as the directories say: their states' paths. */
const findDevices = routine(
  "libxl_device_events_handler (found)",
  (a: { process: string; path: string }) => ({
    ...a,
    dirs: [a.path],
    next: [] as string[],
    dir: "",
    level: 0,
    waiting: [] as string[],
  }),
  ({ repeatUntil, each, call, step }) => [
    repeatUntil("kinds, domains, devices", (l) => l.level === 3, [
      each(
        "directory",
        (l) => l.dirs,
        (l, dir) => void (l.dir = dir),
        [
          call(
            "xs_directory",
            xsDirectory,
            ({ process, dir }) => ({ process, path: dir }),
            (l, names) => void l.next.push(...(names ?? []).map((name) => `${l.dir}/${name}`)),
          ),
        ],
      ),
      step(
        "next level",
        (_host, l) => {
          l.dirs = l.next;
          l.next = [];
          l.level++;
        },
        { unseen: true },
      ),
    ]),
    each(
      "device",
      (l) => l.dirs,
      (l, dir) => void (l.dir = dir),
      [
        call(
          "state",
          xsRead,
          ({ process, dir }) => ({ process, path: `${dir}/state` }),
          (l, state) => {
            if (state === XenbusStateInitWait) l.waiting.push(`${l.dir}/state`);
          },
        ),
      ],
    ),
  ],
  (l) => l.waiting,
);

/** Looks after its own domain's backends for as long as there is a xenstored. */
export const deviceEventsHandler = routine(
  "libxl_device_events_handler",
  (a: { process: string }) => ({
    ...a,
    domid: 0,
    backends: "",
    watch: null as Watch | null,
    waiting: [] as string[],
    path: "",
  }),
  ({ call, each, step, forever, waitFor, locked, when }) => [
    step("ddomain", (host, l) => void host.add(devdCell, l.process, { devices: [], count: 0 }), {
      unseen: true,
    }),
    locked("AO_CREATE", (l) => contextLock(l.process), [
      call("libxl__get_domid", ownDomid, sameProcess, (l, domid) => {
        l.domid = domid;
        l.backends = `/local/domain/${domid}/backend`;
      }),
      call(
        "watch",
        xsWatch,
        ({ process, backends }) => ({ process, path: backends }),
        (l, watch) => void (l.watch = watch),
      ),
      call(
        "found",
        findDevices,
        ({ process, backends }) => ({ process, path: backends }),
        (l, waiting) => void (l.waiting = waiting),
      ),
      each(
        "waiting",
        (l) => l.waiting,
        (l, path) => void (l.path = path),
        [call("backend_watch_callback", backendWatchCallback, ({ process, path }) => ({ process, path }))],
      ),
    ]),
    forever("AO_INPROGRESS", [
      waitFor("poll", (host, l) => xsEventPending(host, l.process, present(l.watch).token), { unseen: true }),
      locked("watchfd_callback", (l) => contextLock(l.process), [
        step("xs_read_watch", (host, l) => {
          const path = xsTakeEvent(host, l.process, present(l.watch).token);
          if (isFailure(path)) return path;
          l.path = path;
          return undefined;
        }),
        when("a state", (l) => /\/(state|online)$/.test(l.path), [
          call("callback", backendWatchCallback, ({ process, path }) => ({ process, path })),
        ]),
      ]),
    ]),
  ],
);
