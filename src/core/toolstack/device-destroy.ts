// SPDX-License-Identifier: Apache-2.0
//
// The end of a device in xenstore (tools/libs/light/libxl_device.c,
// libxl__device_destroy).

import { routine } from "../engine/routine.ts";
import {
  backendPath,
  frontendPath,
  libxlDevicePath,
  ownDomid,
  pathCleanup,
  TOOLSTACK_DOMID,
} from "./device.ts";
import type { Device } from "./device.ts";
import { transaction } from "./transaction.ts";
import { sameProcess } from "./same.ts";

/**
 * Removes those of a device's three directories that are this domain's to remove, and what they leave empty, in
 * one transaction.
 */
export const deviceDestroy = routine(
  "libxl__device_destroy",
  (a: { process: string; device: Device }) => ({
    process: a.process,
    device: a.device,
    back: "",
    front: "",
    own: 0,
    t: 0,
  }),
  (words) => {
    const { call, when } = words;
    return [
      call(
        "backend path",
        backendPath,
        ({ process, device }) => ({ process, device }),
        (l, path) => void (l.back = path),
      ),
      call(
        "frontend path",
        frontendPath,
        ({ process, device }) => ({ process, device }),
        (l, path) => void (l.front = path),
      ),
      call("own domid", ownDomid, sameProcess, (l, domid) => void (l.own = domid)),
      transaction(words, [
        when("the toolstack's domain", (l) => l.own === TOOLSTACK_DOMID, [
          call("clean frontend", pathCleanup, ({ process, t, front }) => ({ process, t, path: front })),
          call("clean libxl", pathCleanup, ({ process, t, device }) => ({
            process,
            t,
            path: libxlDevicePath(device),
          })),
        ]),
        // A driver domain removes what it may; directories above that are the toolstack's to remove.
        when("may clean it", (l) => l.own === TOOLSTACK_DOMID || l.device.backendDomid === l.own, [
          call("clean backend", pathCleanup, ({ process, t, back }) => ({ process, t, path: back })),
        ]),
      ]),
    ];
  },
);
