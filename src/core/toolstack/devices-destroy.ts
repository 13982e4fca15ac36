// SPDX-License-Identifier: Apache-2.0
//
// Taking all of a domain's devices away at once (tools/libs/light/libxl_device.c,
// libxl__devices_destroy): every backend is told to close before libxl waits for
// the first of them, then each is finished in its own time.

import { present } from "../engine/errno.ts";
import type { Errno } from "../engine/errno.ts";
import { routine } from "../engine/routine.ts";
import { hasEnded, joinThread, spawnThread } from "../engine/thread.ts";
import { deviceDestroy } from "./device-destroy.ts";
import { finishDeviceRemove, initiateDeviceRemove } from "./device-remove.ts";
import { deviceKind, deviceName, parseBackendPath } from "./device.ts";
import type { Device } from "./device.ts";
import { contextLock } from "./libxl-ctx.ts";
import { xsDirectory, xsRead } from "./xs.ts";
import type { Watch } from "./xs.ts";

/** A console has nobody to wait for: it goes at once. */
const goesAtOnce = (device: Device): boolean => device.backendKind === "console";

/** Starts the removal of one device that the toolstack's directory lists. */
const startRemoval = routine(
  "libxl__devices_destroy one",
  (a: { process: string; domid: number; kind: string; devid: string }) => ({
    ...a,
    device: null as Device | null,
    watch: null as Watch | null,
    thread: null as string | null,
  }),
  ({ call, when, step }) => [
    call(
      "read backend",
      xsRead,
      ({ process, domid, kind, devid }) => ({
        process,
        path: `/libxl/${domid}/device/${kind}/${devid}/backend`,
      }),
      (l, path) => {
        const kind = deviceKind(l.kind);
        if (path !== null && kind !== null) l.device = parseBackendPath(path, l.domid, kind, Number(l.devid));
      },
    ),
    when("a device", (l) => l.device !== null, [
      when(
        "console",
        (l) => goesAtOnce(present(l.device)),
        [call("destroy", deviceDestroy, ({ process, device }) => ({ process, device: present(device) }))],
        [
          call(
            "initiate",
            initiateDeviceRemove,
            ({ process, device }) => ({ process, device: present(device), force: "on" as const }),
            (l, watch) => void (l.watch = watch),
          ),
          step("go on with the next", (host, l) => {
            const device = present(l.device);
            l.thread = spawnThread(
              host,
              `${l.process}/${deviceName(device)}-remove`,
              finishDeviceRemove,
              { process: l.process, device, force: "on" as const, watch: l.watch },
              { joinable: true },
            );
          }),
        ],
      ),
    ]),
  ],
  (l) => l.thread,
);

/** Removes every device of a domain. Fails, in the end, where one did. */
export const devicesDestroy = routine(
  "libxl__devices_destroy",
  (a: { process: string; domid: number }) => ({
    ...a,
    kinds: [] as string[],
    kind: "",
    devids: [] as string[],
    devid: "",
    threads: [] as string[],
    thread: "",
    errno: null as Errno | null,
  }),
  ({ locked, call, each, step, waitFor, when, failWith }) => [
    locked("prepare", (l) => contextLock(l.process), [
      call(
        "list kinds",
        xsDirectory,
        ({ process, domid }) => ({ process, path: `/libxl/${domid}/device` }),
        (l, kinds) => {
          l.kinds = (kinds ?? []).filter((kind) => deviceKind(kind) !== null);
        },
      ),
      each(
        "kind",
        (l) => l.kinds,
        (l, kind) => void (l.kind = kind),
        [
          call(
            "list devices",
            xsDirectory,
            ({ process, domid, kind }) => ({ process, path: `/libxl/${domid}/device/${kind}` }),
            (l, devids) => void (l.devids = devids ?? []),
          ),
          each(
            "device",
            (l) => l.devids,
            (l, devid) => void (l.devid = devid),
            [
              call(
                "start",
                startRemoval,
                ({ process, domid, kind, devid }) => ({ process, domid, kind, devid }),
                (l, thread) => {
                  if (thread !== null) l.threads.push(thread);
                },
              ),
            ],
          ),
        ],
      ),
    ]),
    each(
      "removal",
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
