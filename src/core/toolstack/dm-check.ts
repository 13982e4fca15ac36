// SPDX-License-Identifier: Apache-2.0
//
// Whether a domain has a device model, and whether it would need one
// (tools/libs/light/libxl_dm.c).

import { routine } from "../engine/routine.ts";
import { ownDomid } from "./device.ts";
import { xsRead } from "./xs.ts";
import { sameDomain, sameProcess } from "./same.ts";

/** Whether a device model serves a domain: as a process, or as a domain (libxl__dm_active). */
export const dmActive = routine(
  "libxl__dm_active",
  (a: { process: string; domid: number }) => ({ ...a, active: false }),
  ({ call, when }) => [
    call(
      "pid",
      xsRead,
      ({ process, domid }) => ({ process, path: `/local/domain/${domid}/image/device-model-pid` }),
      (l, pid) => {
        l.active = pid !== null;
      },
    ),
    when("no pid", (l) => !l.active, [
      call(
        "domid",
        xsRead,
        ({ process, domid }) => ({ process, path: `/local/domain/${domid}/image/device-model-domid` }),
        (l, domid) => {
          l.active = domid !== null;
        },
      ),
    ]),
  ],
  (l) => l.active,
);

/** Makes sure that a domain that needs a device model has one; no device here needs one (libxl__dm_check_start). */
export const dmCheckStart = routine(
  "libxl__dm_check_start",
  (a: { process: string; domid: number }) => ({ ...a, active: false }),
  ({ call, when }) => [
    call("libxl__dm_active", dmActive, sameDomain, (l, active) => void (l.active = active)),
    when("none runs", (l) => !l.active, [call("libxl__need_xenpv_qemu", ownDomid, sameProcess)]),
  ],
);
