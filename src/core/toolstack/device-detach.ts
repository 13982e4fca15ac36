// SPDX-License-Identifier: Apache-2.0
//
// Taking a device from a running domain (tools/libs/light/libxl_internal.h,
// LIBXL_DEFINE_DEVICE_REMOVE): with the guest's consent, or without.

import type { Errno } from "../engine/errno.ts";
import { routine } from "../engine/routine.ts";
import { finishDeviceRemove, initiateDeviceRemove } from "./device-remove.ts";
import type { Force } from "./device-remove.ts";
import type { Device } from "./device.ts";
import { contextLock } from "./libxl-ctx.ts";
import { libxlError } from "./log.ts";
import type { Watch } from "./xs.ts";

/** Removes a device and waits until it is gone. Fails, and says so. */
export const deviceDetach = routine(
  "libxl_device_remove",
  (a: { process: string; device: Device; force: Force }) => ({
    ...a,
    watch: null as Watch | null,
    errno: "EIO" as Errno,
  }),
  ({ attempt, locked, call, step, failWith }) => [
    attempt([
      locked("initiate", (l) => contextLock(l.process), [
        call(
          "close",
          initiateDeviceRemove,
          ({ process, device, force }) => ({ process, device, force }),
          (l, watch) => {
            l.watch = watch;
          },
        ),
      ]),
      call("disconnect", finishDeviceRemove, ({ process, device, force, watch }) => ({
        process,
        device,
        force,
        watch,
      })),
    ]).onError(
      (l, errno) => void (l.errno = errno),
      [
        step("complain", (host, l) => {
          const { kind, devid, domid } = l.device;
          const text = `Unable to remove ${kind} with id ${devid}`;
          libxlError(host, l.process, "libxl_device.c:1481:device_addrm_aocomplete", text, domid);
        }),
        failWith("not removed", (l) => l.errno),
      ],
    ),
  ],
);
