// SPDX-License-Identifier: Apache-2.0
//
// What a built domain is given before it is created: disks, a console, network
// interfaces (tools/libs/light/libxl_create.c, domcreate_launch_dm).

import { isFailure } from "../engine/errno.ts";
import type { Errno } from "../engine/errno.ts";
import { routine } from "../engine/routine.ts";
import type { Rings } from "./build-post.ts";
import { consoleTtyWait } from "./console-wait.ts";
import { deviceConsoleAdd } from "./console.ts";
import { settledConfig } from "./create-state.ts";
import { addDevices } from "./device-add.ts";
import type { NewDevice } from "./device-add.ts";
import { ownDomid } from "./device.ts";
import { newDisks } from "./disk.ts";
import { complaining } from "./log.ts";
import { newNic } from "./nic.ts";
import { sameDomain, sameProcess } from "./same.ts";

/** Gives a built domain its disks, its console, its interfaces, and waits for the console's terminal. */
export const attachDevices = routine(
  "domcreate_launch_dm",
  (a: { process: string; domid: number; rings: Rings; tty: string }) => ({
    ...a,
    errno: "EIO" as Errno,
    disks: [] as NewDevice[],
    nics: [] as NewDevice[],
  }),
  (words) => {
    const { step, call, when } = words;
    const complain = complaining(words);
    return [
      step("which devices", (host, l) => {
        const { c_info, disks, nics } = settledConfig(host, l.process);
        const newOnes = newDisks(host, l.process, l.domid, disks, c_info.type === "pv");
        if (isFailure(newOnes)) return newOnes;
        l.disks = newOnes;
        l.nics = nics.map((nic) => newNic(l.domid, nic));
        return;
      }),
      complain({ where: "libxl_create.c:1672:domcreate_launch_dm", text: "unable to add disk devices" }, [
        when("has disks", (l) => l.disks.length > 0, [
          call("libxl__add_disks", addDevices, ({ process, disks }) => ({ process, devices: disks })),
        ]),
      ]),
      call("libxl__device_console_add", deviceConsoleAdd, ({ process, domid, rings, tty }) => ({
        process,
        domid,
        tty,
        ring: { port: rings.consolePort, mfn: rings.consoleMfn },
      })),
      call("libxl__need_xenpv_qemu", ownDomid, sameProcess),
      complain({ where: "libxl_create.c:1921:domcreate_attach_devices", text: "unable to add vif devices" }, [
        when("has interfaces", (l) => l.nics.length > 0, [
          call("libxl__add_nics", addDevices, ({ process, nics }) => ({ process, devices: nics })),
        ]),
      ]),
      call("console tty", consoleTtyWait, sameDomain),
    ];
  },
);
