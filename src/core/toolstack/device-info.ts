// SPDX-License-Identifier: Apache-2.0
//
// What xl's device lists show of a device beside its configuration
// (tools/libs/light/libxl_disk.c, libxl_device_disk_getinfo; libxl_nic.c).

import { routine } from "../engine/routine.ts";
import { xsGetDomainPath, xsRead } from "./xs.ts";
import { sameDomain } from "./same.ts";

/** A device's frontend as it shows itself; numbers are -1 where a node is missing. */
export type DeviceInfo = { backendPath: string; backendDomid: number; values: { [node: string]: number } };

/** Reads where a device's backend is and what its frontend says of itself. Null without a backend. */
export const deviceInfo = routine(
  "libxl_device_getinfo",
  (a: { process: string; domid: number; kind: string; devid: number; nodes: readonly string[] }) => ({
    ...a,
    home: "",
    backend: null as string | null,
    node: "",
    values: {} as { [node: string]: number },
  }),
  ({ call, when, each }) => [
    call("libxl__xs_get_dompath", xsGetDomainPath, sameDomain, (l, home) => {
      l.home = home;
    }),
    call(
      "backend",
      xsRead,
      ({ process, domid, kind, devid }) => ({
        process,
        path: `/libxl/${domid}/device/${kind}/${devid}/backend`,
      }),
      (l, path) => void (l.backend = path),
    ),
    when("has a backend", (l) => l.backend !== null, [
      each(
        "node",
        (l) => l.nodes,
        (l, node) => void (l.node = node),
        [
          call(
            "frontend",
            xsRead,
            ({ process, home, kind, devid, node }) => ({
              process,
              path: `${home}/device/${kind}/${devid}/${node}`,
            }),
            (l, value) => void (l.values[l.node] = value === null ? -1 : Number.parseInt(value, 10) || 0),
          ),
        ],
      ),
      when("disk", (l) => l.kind === "vbd", [
        call("frontend path", xsRead, ({ process, domid, devid }) => ({
          process,
          path: `/libxl/${domid}/device/vbd/${devid}/frontend`,
        })),
      ]),
    ]),
  ],
  ({ backend, values }): DeviceInfo | null =>
    backend === null
      ? null
      : {
          backendPath: backend,
          backendDomid: Number(/^\/local\/domain\/(\d+)\//.exec(backend)?.[1] ?? 0),
          values,
        },
);
