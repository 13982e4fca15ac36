// SPDX-License-Identifier: Apache-2.0
//
// Adding devices: their nodes in one transaction, then a wait for the backend to
// be ready for its hotplug script, then the script (tools/libs/light/libxl_device.c,
// libxl_disk.c, libxl_internal.h "device addition"). Several start together and
// are finished each in its own time.

import { present } from "../engine/errno.ts";
import type { Errno } from "../engine/errno.ts";
import { routine } from "../engine/routine.ts";
import { hasEnded, joinThread, spawnThread } from "../engine/thread.ts";
import { deviceAddRequests } from "./device-entries.ts";
import type { DeviceEntries } from "./device-entries.ts";
import { waitForNode } from "./device-wait.ts";
import { backendPath, deviceName, frontendPath, libxlDevicePath, XenbusStateInitWait } from "./device.ts";
import type { Device } from "./device.ts";
import { deviceHotplug } from "./hotplug.ts";
import { contextLock } from "./libxl-ctx.ts";
import { complaining, libxlError, sayCleanup } from "./log.ts";
import { ERROR_DEVICE_EXISTS } from "./rc.ts";
import { transaction } from "./transaction.ts";
import { xsRead, xsScript, xsWatch } from "./xs.ts";
import type { Watch } from "./xs.ts";

/** Microseconds a backend has to come up (LIBXL_INIT_TIMEOUT). */
const INIT_TIMEOUT = 10_000_000;

/** A device to be added: itself and what its directories will hold. */
export type NewDevice = { device: Device; entries: DeviceEntries };

/** A backend that QEMU serves: nobody waits for it, it needs no script. */
export const servedByQemu = ({ backendKind }: Device): boolean => backendKind === "qdisk";

/** Where libxl says that a device is there already. */
const EXISTS = {
  vbd: "libxl_disk.c:343:device_disk_add",
  vif: "libxl_device.c:1998:libxl__device_add_async",
} as const;

/** Writes a device's nodes; the watch on its backend's state, or null where nobody waits. */
export const initiateDeviceAdd = routine(
  "libxl__device_generic_add",
  (a: { process: string; added: NewDevice }) => ({
    process: a.process,
    domid: a.added.device.domid,
    device: a.added.device,
    entries: a.added.entries,
    existing: null as string | null,
    front: "",
    back: "",
    watch: null as Watch | null,
    t: 0,
  }),
  (words) => {
    const { call, when, step, failWith } = words;
    return [
      transaction(words, [
        call(
          "exists",
          xsRead,
          ({ process, t, device }) => ({ process, t, path: libxlDevicePath(device) }),
          (l, existing) => {
            l.existing = existing;
          },
        ),
        when("exists already", (l) => l.existing !== null, [
          step("complain", (host, l) => {
            const where = l.device.kind === "vbd" ? EXISTS.vbd : EXISTS.vif;
            libxlError(host, l.process, where, "device already exists in xenstore", l.domid);
          }),
          failWith("ERROR_DEVICE_EXISTS", ERROR_DEVICE_EXISTS),
        ]),
        call(
          "frontend path",
          frontendPath,
          ({ process, device }) => ({ process, device }),
          (l, path) => void (l.front = path),
        ),
        call(
          "backend path",
          backendPath,
          ({ process, device }) => ({ process, device }),
          (l, path) => void (l.back = path),
        ),
        call("entries", xsScript, ({ process, t, device, front, back, entries }) => ({
          process,
          t,
          requests: deviceAddRequests(device, front, back, entries),
        })),
      ]),
      call("libxl__wait_device_connection", backendPath, ({ process, device }) => ({ process, device })),
      when("somebody else's process", (l) => !servedByQemu(l.device), [
        call(
          "watch state",
          xsWatch,
          ({ process, back }) => ({ process, path: `${back}/state` }),
          (l, watch) => {
            l.watch = watch;
          },
        ),
      ]),
    ];
  },
  (l) => l.watch,
);

/** Waits until a backend is ready for its script, and runs it. */
export const finishDeviceAdd = routine(
  "device_backend_callback(add)",
  (a: { process: string; device: Device; watch: Watch | null }) => ({
    ...a,
    domid: a.device.domid,
    errno: "EIO" as Errno,
  }),
  (words) => {
    const { when, call, step } = words;
    const complain = complaining(words);
    const backend = (watch: Watch | null): string => (watch?.path ?? "").replace(/\/state$/, "");
    return [
      when("has a backend to wait for", (l) => l.watch !== null, [
        complain(
          {
            where: "libxl_device.c:1181:device_backend_callback",
            text: (l) => `unable to add device with path ${backend(l.watch)}`,
          },
          [
            call("wait for InitWait", waitForNode, ({ process, watch }) => ({
              process,
              watch: present(watch),
              hope: { state: XenbusStateInitWait },
              timeout: INIT_TIMEOUT,
            })),
          ],
        ),
        step("cleanup", (host, { process, domid }) => sayCleanup(host, process, domid), { unseen: true }),
      ]),
      call("hotplug", deviceHotplug, ({ process, device }) => ({ process, device, action: "add" as const })),
    ];
  },
);

/** Adds devices and waits until each is there or has failed; fails where one did. */
export const addDevices = routine(
  "libxl__multidev add",
  (a: { process: string; devices: readonly NewDevice[] }) => ({
    process: a.process,
    devices: a.devices,
    added: null as NewDevice | null,
    watch: null as Watch | null,
    threads: [] as string[],
    thread: "",
    errno: null as Errno | null,
  }),
  ({ locked, each, attempt, call, step, waitFor, when, failWith }) => [
    locked("prepare", (l) => contextLock(l.process), [
      each(
        "device",
        (l) => l.devices,
        (l, added) => void (l.added = added),
        [
          attempt([
            call(
              "initiate",
              initiateDeviceAdd,
              ({ process, added }) => ({ process, added: present(added) }),
              (l, watch) => {
                l.watch = watch;
              },
            ),
            step("go on with the next", (host, l) => {
              const { device } = present(l.added);
              const name = `${l.process}/${deviceName(device)}-add`;
              const args = { process: l.process, device, watch: l.watch };
              l.threads.push(spawnThread(host, name, finishDeviceAdd, args, { joinable: true }));
            }),
          ]).onError((l, errno) => void (l.errno = errno), []),
        ],
      ),
    ]),
    each(
      "addition",
      (l) => l.threads,
      (l, thread) => void (l.thread = thread),
      [
        waitFor("finished", (host, l) => hasEnded(host, l.thread)),
        step("join", (host, l) => {
          const { errno } = joinThread(host, l.thread);
          if (errno !== null) l.errno = errno;
        }),
      ],
    ),
    when("one failed", (l) => l.errno !== null, [failWith("multidev->rc", (l) => present(l.errno))]),
  ],
);
