// SPDX-License-Identifier: Apache-2.0
//
// Taking a device away: tell the backend to close, wait until it has, run the
// hotplug script, clean xenstore (tools/libs/light/libxl_device.c). The watch is
// set by who starts the removal; what follows may run beside other removals.

import { isFailure, present } from "../engine/errno.ts";
import type { Errno } from "../engine/errno.ts";
import { routine } from "../engine/routine.ts";
import { deviceDestroy } from "./device-destroy.ts";
import { waitForNode } from "./device-wait.ts";
import {
  backendPath,
  frontendPath,
  ownDomid,
  pathCleanup,
  TOOLSTACK_DOMID,
  XenbusStateClosed,
  XenbusStateClosing,
} from "./device.ts";
import type { Device } from "./device.ts";
import { domainInfo } from "./dominfo.ts";
import { deviceHotplug } from "./hotplug.ts";
import { contextLock } from "./libxl-ctx.ts";
import { complaining, libxlInfo, sayCleanup } from "./log.ts";
import { ERROR_TIMEDOUT } from "./rc.ts";
import { transaction } from "./transaction.ts";
import { xsRead, xsTransactionAbort, xsWatch, xsWrite } from "./xs.ts";
import type { Watch } from "./xs.ts";
import { sameProcess } from "./same.ts";

/** Microseconds the other end has to close (LIBXL_DESTROY_TIMEOUT). */
const DESTROY_TIMEOUT = 10_000_000;

/**
 * Whether to take the frontend's directory away from under the guest: `on` from
 * the start, as for a domain that is being destroyed; `auto` once the backend
 * did not close in time; `off` never.
 */
export type Force = "on" | "auto" | "off";

/**
 * Tells a device's backend to close (libxl__initiate_device_generic_remove).
 * Returns the watch on its state, or null where the backend is gone already.
 */
export const initiateDeviceRemove = routine(
  "libxl__initiate_device_generic_remove",
  (a: { process: string; device: Device; force: Force }) => ({
    ...a,
    back: "",
    front: "",
    own: TOOLSTACK_DOMID,
    state: null as string | null,
    watch: null as Watch | null,
    t: 0,
  }),
  (words) => {
    const { call, step, when } = words;
    return [
      call(
        "backend path",
        backendPath,
        ({ process, device }) => ({ process, device }),
        (l, path) => void (l.back = path),
      ),
      call("own domid", ownDomid, sameProcess, (l, domid) => void (l.own = domid)),
      when("the toolstack's domain", (l) => l.own === TOOLSTACK_DOMID, [
        step("domain info", (host, l) => {
          const info = domainInfo(host, l.process, l.device.domid);
          return isFailure(info) ? info : undefined;
        }),
      ]),
      transaction(words, [
        when("forced", (l) => l.force === "on", [
          call(
            "frontend path",
            frontendPath,
            ({ process, device }) => ({ process, device }),
            (l, path) => void (l.front = path),
          ),
          call("clean frontend", pathCleanup, ({ process, t, front }) => ({ process, t, path: front })),
        ]),
        call(
          "read state",
          xsRead,
          ({ process, t, back }) => ({ process, t, path: `${back}/state` }),
          (l, state) => {
            l.state = state;
          },
        ),
        when("backend is gone", (l) => l.state === null, [
          step("say so", (host, { process, back }) => {
            const where = "libxl_device.c:1067:libxl__initiate_device_generic_remove";
            libxlInfo(host, process, where, `backend ${back} already removed, cleanup frontend only`);
          }),
          call(
            "give up",
            xsTransactionAbort,
            ({ process, t }) => ({ process, t }),
            (l) => void (l.t = 0),
          ),
        ]),
        when("backend is there", (l) => l.state !== null, [
          call("write online", xsWrite, ({ process, t, back }) => ({
            process,
            t,
            path: `${back}/online`,
            value: "0",
          })),
          when("not closed", (l) => l.state !== XenbusStateClosed, [
            call("write state", xsWrite, ({ process, t, back }) => ({
              process,
              t,
              path: `${back}/state`,
              value: XenbusStateClosing,
            })),
          ]),
        ]),
      ]),
      when("wait for it", (l) => l.state !== null, [
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

/** Whether a failed wait for Closed is tried again by force. */
const canForce = (l: { errno: Errno; force: Force }): boolean =>
  l.errno === ERROR_TIMEDOUT && l.force === "auto";

/** Waits for a backend to close, the second time with its frontend gone where that is allowed. */
const waitForClosed = routine(
  "device_backend_callback",
  (a: { process: string; domid: number; device: Device; force: Force; watch: Watch | null }) => ({
    ...a,
    errno: "EIO" as Errno,
  }),
  ({ attempt, call, step, when, locked, failWith }) => [
    attempt([
      call("wait for Closed", waitForNode, ({ process, watch }) => closedHope(process, watch)),
      step("cleanup", (host, { process, domid }) => sayCleanup(host, process, domid), { unseen: true }),
    ]).onError(
      (l, errno) => void (l.errno = errno),
      [
        step("cleanup, not closed", (host, { process, domid }) => sayCleanup(host, process, domid), {
          unseen: true,
        }),
        when(
          "may force",
          canForce,
          [
            locked("force", (l) => contextLock(l.process), [
              call(
                "initiate",
                initiateDeviceRemove,
                ({ process, device }) => ({ process, device, force: "on" as const }),
                (l, watch) => {
                  l.watch = watch;
                  l.force = "on";
                },
              ),
            ]),
            when("backend is still there", (l) => l.watch !== null, [
              call("wait again", waitForNode, ({ process, watch }) => closedHope(process, watch)),
            ]),
          ],
          [failWith("not closed", (l) => l.errno)],
        ),
      ],
    ),
  ],
  (l) => l.force,
);

function closedHope(process: string, watch: Watch | null): Parameters<typeof waitForNode.locals>[0] {
  return { process, watch: present(watch), hope: { state: XenbusStateClosed }, timeout: DESTROY_TIMEOUT };
}

/**
 * What follows once the backend was told to close: wait for it, run the script
 * that takes the device down, clean xenstore. Fails where the backend does not
 * close and nothing forces it; where force takes it away a failure comes at the
 * end, with xenstore clean.
 *
 * @param watch what initiateDeviceRemove returned
 */
export const finishDeviceRemove = routine(
  "device_hotplug_done",
  (a: { process: string; device: Device; force: Force; watch: Watch | null }) => ({
    ...a,
    domid: a.device.domid,
    errno: "EIO" as Errno,
    failed: false,
  }),
  (words) => {
    const { attempt, call, when, locked, failWith } = words;
    const complain = complaining(words);
    const path = (l: { watch: Watch | null }): string => (l.watch?.path ?? "").replace(/\/state$/, "");
    return [
      attempt([
        when("backend is there", (l) => l.watch !== null, [
          complain(
            {
              where: "libxl_device.c:1181:device_backend_callback",
              text: (l) => `unable to remove device with path ${path(l)}`,
            },
            [
              call(
                "wait",
                waitForClosed,
                ({ process, domid, device, force, watch }) => ({ process, domid, device, force, watch }),
                (l, force) => {
                  l.force = force;
                },
              ),
            ],
          ),
          call("hotplug", deviceHotplug, ({ process, device }) => ({
            process,
            device,
            action: "remove" as const,
          })),
        ]),
      ]).onError(
        (l, errno) => {
          l.errno = errno;
          l.failed = true;
        },
        [when("still in use", (l) => l.force !== "on", [failWith("device stays", (l) => l.errno)])],
      ),
      locked("destroy", (l) => contextLock(l.process), [
        call("destroy device", deviceDestroy, ({ process, device }) => ({ process, device })),
      ]),
      when("failed", (l) => l.failed, [failWith("aodev->rc", (l) => l.errno)]),
    ];
  },
);
