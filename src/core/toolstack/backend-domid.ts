// SPDX-License-Identifier: Apache-2.0
//
// Which domain serves a device whose backend is said by name: `backend=NAME` of a
// disk or an interface (tools/libs/light/libxl_domain.c, libxl__resolve_domid).

import { fail, present } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { createState, createStateCell } from "./create-state.ts";
import { libxlError } from "./log.ts";
import { qualifierToDomid } from "./name.ts";
import { ERROR_FAIL } from "./rc.ts";

/** A device of a configuration that names its backend's domain. */
type Named = {
  list: "disks" | "nics";
  at: number;
  backend: string;
};

function named(host: Host, process: string): Named[] {
  const { disks, nics } = createState(host, process).settled;
  return (["disks", "nics"] as const).flatMap((list) =>
    (list === "disks" ? disks : nics).flatMap(({ backend_domname }, at) =>
      backend_domname === null ? [] : [{ list, at, backend: backend_domname }],
    ),
  );
}

/** What libxl says of the first device whose backend's domain is nobody's name. */
function complain(host: Host, process: string, domid: number, { list, at }: Named): void {
  const [where, text] =
    list === "disks"
      ? ["libxl_create.c:1318:initiate_domain_create", `Unable to set disk defaults for disk ${at}`]
      : ["libxl_nic.c:520:libxl__device_nic_set_devids", `Unable to set nic defaults for nic ${at}`];
  libxlError(host, process, where, text, domid);
}

/** Finds the domains that a configuration names as backends of its disks and interfaces. Fails, and says so. */
export const resolveBackends = routine(
  "libxl__resolve_domid",
  (a: { process: string; domid: number }) => ({
    ...a,
    devices: [] as Named[],
    device: null as Named | null,
    backend: -1,
  }),
  ({ step, each, attempt, call }) => [
    step("which are named", (host, l) => void (l.devices = named(host, l.process)), { unseen: true }),
    each(
      "device",
      (l) => l.devices,
      (l, device) => void (l.device = device),
      [
        attempt([
          call(
            "libxl_domain_qualifier_to_domid",
            qualifierToDomid,
            ({ process, device }) => ({ process, domain: present(device).backend }),
            (l, domid) => void (l.backend = domid),
          ),
        ]).onError((l) => void (l.backend = -1), []),
        step("found", (host, l) => {
          const device = present(l.device);
          if (l.backend < 0) {
            complain(host, l.process, l.domid, device);
            return fail(ERROR_FAIL);
          }
          const spec = host.edit(createStateCell, l.process).settled[device.list][device.at];
          if (spec !== undefined) spec.backend_domid = l.backend;
          return undefined;
        }),
      ],
    ),
  ],
);
