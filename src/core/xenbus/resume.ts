// SPDX-License-Identifier: Apache-2.0
//
// A frontend after its kernel was restored in another domain: the backend is a
// new one (Linux drivers/xen/xenbus/xenbus_probe.c, xenbus_dev_resume).

import { routine } from "../engine/routine.ts";
import { deviceOf, driverOf, sameDevice, xenbusDeviceCell } from "./device.ts";
import type { DeviceArgs } from "./device.ts";
import { talkToOtherend, watchOtherend } from "./otherend.ts";
import { printk } from "./printk.ts";
import { XenbusState } from "./state.ts";

/** Finds the device's backend anew, lets the driver connect to it, watches it. An error leaves the device as it is. */
export const xenbusDevResume = routine(
  "xenbus_dev_resume",
  (a: DeviceArgs) => ({ ...a, module: null as string | null, errno: "" }),
  ({ step, call, callNamed, when, attempt }) => [
    step("dev->driver", (host, l) => {
      l.module = deviceOf(host, l.device).driver;
    }),
    when("has a driver", (l) => l.module !== null, [
      attempt([
        call("talk_to_otherend", talkToOtherend, sameDevice),
        step("state = XenbusStateInitialising", (host, l) => {
          const device = host.edit(xenbusDeviceCell, l.device);
          device.state = XenbusState.Initialising;
          device.down = false;
        }),
        when("driver resumes", (l) => driverOf(l.module as string).resume !== null, [
          callNamed("drv->resume", (l) => driverOf(l.module as string).resume?.name ?? "", sameDevice),
        ]),
        call("watch_otherend", watchOtherend, sameDevice),
      ]).onError(
        (l, errno) => {
          l.errno = errno;
        },
        [step("resume failed", (host, l) => printk(host, l.domid, `xenbus: resume ${l.device} failed: ${l.errno}`))],
      ),
    ]),
  ],
);
