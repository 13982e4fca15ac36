// SPDX-License-Identifier: Apache-2.0
//
// Reading a domain's devices back out of xenstore: of the toolstack's own copy,
// which the guest cannot have changed (tools/libs/light/libxl_disk.c
// libxl__disk_from_xenstore, libxl_nic.c libxl__nic_from_xenstore).

import { routine } from "../engine/routine.ts";
import { libxlError } from "./log.ts";
import { ERROR_FAIL } from "./rc.ts";
import { deviceDisk } from "./xlcfg/domain-config.ts";
import type { DeviceDisk } from "./xlcfg/domain-config.ts";
import { coloNicKeys, deviceNic } from "./xlcfg/device-nic.ts";
import type { DeviceNic } from "./xlcfg/device-nic.ts";
import { xsDirectory, xsRead } from "./xs.ts";
import { sameDomain } from "./same.ts";

/** The values of nodes under one directory, by name; null for what is not there. */
type Values = { [name: string]: string | null };

/** Reads nodes of a directory one after another. */
const readNodes = routine(
  "libxl__xs_read each",
  (a: { process: string; dir: string; names: readonly string[] }) => ({
    ...a,
    name: "",
    values: {} as Values,
  }),
  ({ each, call }) => [
    each(
      "name",
      (l) => l.names,
      (l, name) => void (l.name = name),
      [
        call(
          "read",
          xsRead,
          ({ process, dir, name }) => ({ process, path: `${dir}/${name}` }),
          (l, value) => {
            l.values[l.name] = value;
          },
        ),
      ],
    ),
  ],
  (l) => l.values,
);

const backendDomid = (path: string | null): number =>
  Number(/^\/local\/domain\/(\d+)\//.exec(path ?? "")?.[1] ?? 0);

const DISK_NODES = [
  "params",
  "colo-host",
  "type",
  "specification",
  "dev",
  "removable",
  "mode",
  "device-type",
];

function diskOf(backend: string | null, values: Values): DeviceDisk {
  const { params } = values;
  const type = values["type"] ?? "unknown";
  return {
    ...deviceDisk.init(),
    backend_domid: backendDomid(backend),
    pdev_path: type === "qdisk" ? (params ?? "").replace(/^[^:]*:/, "") : (params ?? null),
    vdev: values["dev"] ?? null,
    backend: type as DeviceDisk["backend"],
    specification: (values["specification"] ?? "xen") as DeviceDisk["specification"],
    removable: Number(values["removable"] ?? 0),
    readwrite: values["mode"] === "w" ? 1 : 0,
    is_cdrom: values["device-type"] === "cdrom" ? 1 : 0,
  };
}

/** One disk. Fails, and says so, where the toolstack has none of that number. */
export const diskFromXenstore = routine(
  "libxl__disk_from_xenstore",
  (a: { process: string; domid: number; devid: number }) => ({
    ...a,
    backend: null as string | null,
    values: {} as Values,
  }),
  ({ call, when, step, failWith }) => [
    call(
      "backend",
      xsRead,
      ({ process, domid, devid }) => ({ process, path: `/libxl/${domid}/device/vbd/${devid}/backend` }),
      (l, path) => {
        l.backend = path;
      },
    ),
    when("no backend", (l) => l.backend === null, [
      step("complain", (host, l) => {
        const text = `disk /libxl/${l.domid}/device/vbd/${l.devid} does not exist (no backend path`;
        libxlError(host, l.process, "libxl_disk.c:516:libxl__disk_from_xenstore", text);
      }),
      failWith("no such disk", ERROR_FAIL),
    ]),
    call(
      "nodes",
      readNodes,
      ({ process, domid, devid }) => ({
        process,
        dir: `/libxl/${domid}/device/vbd/${devid}`,
        names: DISK_NODES,
      }),
      (l, values) => void (l.values = values),
    ),
  ],
  (l) => diskOf(l.backend, l.values),
);

/** Whether a domain has PV disks, or virtio ones (libxl__device_disk_get_path): it is asked before they are listed. */
export const diskPath = routine(
  "libxl__device_disk_get_path",
  (a: { process: string; domid: number }) => ({ ...a }),
  ({ call }) => [
    call("vbd", xsRead, ({ process, domid }) => ({ process, path: `/libxl/${domid}/device/vbd` })),
    call("virtio_disk", xsRead, ({ process, domid }) => ({
      process,
      path: `/libxl/${domid}/device/virtio_disk`,
    })),
  ],
);

/** All disks of a domain, with their numbers. */
export const diskList = routine(
  "libxl_device_disk_list",
  (a: { process: string; domid: number }) => ({
    ...a,
    devids: [] as string[],
    devid: "",
    disks: [] as { devid: number; disk: DeviceDisk }[],
  }),
  ({ call, each }) => [
    call("path", diskPath, sameDomain),
    call(
      "list",
      xsDirectory,
      ({ process, domid }) => ({ process, path: `/libxl/${domid}/device/vbd` }),
      (l, devids) => {
        l.devids = devids ?? [];
      },
    ),
    each(
      "disk",
      (l) => l.devids,
      (l, devid) => void (l.devid = devid),
      [
        call(
          "read",
          diskFromXenstore,
          ({ process, domid, devid }) => ({ process, domid, devid: Number(devid) }),
          (l, disk) => {
            l.disks.push({ devid: Number(l.devid), disk });
          },
        ),
      ],
    ),
  ],
  (l) => l.disks,
);

const NIC_NODES = [
  "handle",
  "backend",
  "mtu",
  "mac",
  "ip",
  "bridge",
  "script",
  "forwarddev",
  ...coloNicKeys,
  "type",
];

function nicOf(values: Values): DeviceNic {
  const nic = deviceNic.init();
  for (const key of coloNicKeys) nic[key] = values[key] ?? null;
  return {
    ...nic,
    devid: Number(values["handle"] ?? 0),
    backend_domid: backendDomid(values["backend"] ?? null),
    mtu: Number(values["mtu"] ?? 1500),
    mac: values["mac"] ?? null,
    ip: values["ip"] ?? null,
    bridge: values["bridge"] ?? null,
    script: values["script"] ?? null,
    coloft_forwarddev: values["forwarddev"] ?? null,
    nictype: (values["type"] ?? "unknown") as DeviceNic["nictype"],
  };
}

/** One network interface of the toolstack's list. */
export const nicFromXenstore = routine(
  "libxl__nic_from_xenstore",
  (a: { process: string; domid: number; devid: number }) => ({ ...a, values: {} as Values }),
  ({ call }) => [
    call(
      "nodes",
      readNodes,
      ({ process, domid, devid }) => ({
        process,
        dir: `/libxl/${domid}/device/vif/${devid}`,
        names: NIC_NODES,
      }),
      (l, values) => void (l.values = values),
    ),
  ],
  (l) => nicOf(l.values),
);

/** All network interfaces of a domain. */
export const nicList = routine(
  "libxl_device_nic_list",
  (a: { process: string; domid: number }) => ({
    ...a,
    devids: [] as string[],
    devid: "",
    nics: [] as DeviceNic[],
  }),
  ({ call, each }) => [
    call(
      "list",
      xsDirectory,
      ({ process, domid }) => ({ process, path: `/libxl/${domid}/device/vif` }),
      (l, devids) => {
        l.devids = devids ?? [];
      },
    ),
    each(
      "nic",
      (l) => l.devids,
      (l, devid) => void (l.devid = devid),
      [
        call(
          "read",
          nicFromXenstore,
          ({ process, domid, devid }) => ({ process, domid, devid: Number(devid) }),
          (l, nic) => {
            l.nics.push(nic);
          },
        ),
      ],
    ),
  ],
  (l) => l.nics,
);
