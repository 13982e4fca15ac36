// SPDX-License-Identifier: Apache-2.0
//
// Giving a running domain one more device (tools/libs/light/libxl_disk.c,
// device_disk_add; libxl_device.c, libxl__device_add_async): libxl's own copy of
// its configuration gets it, too.

import { fail, isFailure, present } from "../engine/errno.ts";
import type { Errno, Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { finishDeviceAdd, initiateDeviceAdd } from "./device-add.ts";
import type { NewDevice } from "./device-add.ts";
import { diskDevid, diskSetDefault, newDisk } from "./disk.ts";
import { domainType } from "./dominfo.ts";
import type { GuestType } from "./dominfo.ts";
import { dmCheckStart } from "./dm-check.ts";
import { contextLock } from "./libxl-ctx.ts";
import { libxlError } from "./log.ts";
import { qualifierToDomid } from "./name.ts";
import { newNic, nicSetDefault, nicSetDevids } from "./nic.ts";
import { ERROR_FAIL } from "./rc.ts";
import { randomMac } from "./urandom.ts";
import { retrieveConfig, storeConfig } from "./userdata.ts";
import type { DeviceDisk, DeviceNic, DomainConfig } from "./xlcfg/domain-config.ts";
import { xsDirectory } from "./xs.ts";
import type { Watch } from "./xs.ts";
import { sameDomain } from "./same.ts";

/** A device as the user described it. */
export type DeviceSpec = { disk: DeviceDisk } | { nic: DeviceNic };

/** In a list of devices, one in place of another that is the same, or at the end. */
function put<T>(devices: T[], device: T, same: (other: T) => boolean): void {
  const at = devices.findIndex(same);
  if (at < 0) devices.push(device);
  else devices[at] = device;
}

/** libxl's copy of the configuration with the device (device_add_domain_config). */
function storeWith(
  host: Host,
  process: string,
  domid: number,
  change: (config: DomainConfig) => void,
): void | Failure {
  const config = retrieveConfig(host, process, domid);
  if (config === null) return fail(ERROR_FAIL);
  if (isFailure(config)) return config;
  change(config);
  return storeConfig(host, process, domid, config);
}

/** Settles an interface, with the lowest number after those that are taken; keeps it, and what is to be written. */
function prepareNic(
  host: Host,
  process: string,
  domid: number,
  given: DeviceNic,
  backend: number,
  type: GuestType,
  taken: readonly number[],
): NewDevice | Failure {
  const named = { ...given, backend_domid: backend };
  const settled = nicSetDefault(named, false, given.mac ?? randomMac(host));
  const [nic] = nicSetDevids([settled], taken) as [DeviceNic];
  if (type !== "hvm" && given.nictype === "vif_ioemu") {
    const text = "trying to create PV or PVH guest with an emulated interface";
    libxlError(host, process, "libxl_nic.c:107:libxl__device_nic_setdefault", text, domid);
    return fail("EINVAL");
  }
  const kept = { ...given, devid: nic.devid, mac: nic.mac, nictype: nic.nictype };
  const stored = storeWith(host, process, domid, ({ nics }) =>
    put(nics, kept, ({ devid }) => devid === kept.devid),
  );
  return isFailure(stored) ? stored : newNic(domid, nic);
}

/** Settles a disk; keeps it as it was given, and what is to be written. */
function prepareDisk(
  host: Host,
  process: string,
  domid: number,
  given: DeviceDisk,
  backend: number,
  type: GuestType,
): NewDevice | Failure {
  const disk = diskSetDefault(host, process, { ...given, backend_domid: backend });
  const device = isFailure(disk) ? disk : newDisk(host, process, domid, disk, type === "pv");
  if (isFailure(device)) return device;
  const devid = diskDevid(given.vdev ?? "");
  const stored = storeWith(host, process, domid, ({ disks }) =>
    put(disks, given, ({ vdev }) => diskDevid(vdev ?? "") === devid),
  );
  return isFailure(stored) ? stored : device;
}

/** What a disk and an interface have in common: who serves them. */
function specOf(spec: DeviceSpec): Pick<DeviceDisk, "backend_domid" | "backend_domname"> {
  return "disk" in spec ? spec.disk : spec.nic;
}

/** Writes the device's nodes and keeps it; the device and the watch to wait on. */
const addNodes = routine(
  "libxl__device_add_async",
  (a: { process: string; domid: number; spec: DeviceSpec }) => ({
    ...a,
    type: "pv" as GuestType,
    taken: [] as number[],
    backend: specOf(a.spec).backend_domid,
    device: null as NewDevice | null,
    watch: null as Watch | null,
  }),
  ({ call, when, step }) => [
    call("libxl__domain_type", domainType, sameDomain, (l, type) => void (l.type = type)),
    when("an interface without a number", (l) => "nic" in l.spec && l.spec.nic.devid < 0, [
      call(
        "libxl__device_nextid",
        xsDirectory,
        ({ process, domid }) => ({ process, path: `/libxl/${domid}/device/vif` }),
        (l, devids) => {
          l.taken = (devids ?? []).map(Number);
        },
      ),
    ]),
    call("libxl__dm_check_start", dmCheckStart, sameDomain),
    when("backend by name", (l) => specOf(l.spec).backend_domname !== null, [
      call(
        "libxl__resolve_domid",
        qualifierToDomid,
        ({ process, spec }) => ({ process, domain: specOf(spec).backend_domname as string }),
        (l, backend) => void (l.backend = backend),
      ),
    ]),
    step("settle", (host, l) => {
      const { process, domid, spec, type, taken, backend } = l;
      const device =
        "disk" in spec
          ? prepareDisk(host, process, domid, spec.disk, backend, type)
          : prepareNic(host, process, domid, spec.nic, backend, type, taken);
      if (isFailure(device)) return device;
      l.device = device;
      return;
    }),
    call(
      "write nodes",
      initiateDeviceAdd,
      ({ process, device }) => ({ process, added: present(device) }),
      (l, watch) => {
        l.watch = watch;
      },
    ),
  ],
  ({ device, watch }) => ({ device: present(device), watch }),
);

/** Adds a device to a running domain and waits until it is there. Fails, and says so. */
export const deviceAttach = routine(
  "libxl_device_add",
  (a: { process: string; domid: number; spec: DeviceSpec }) => ({
    ...a,
    device: null as NewDevice | null,
    watch: null as Watch | null,
    errno: "EIO" as Errno,
  }),
  ({ attempt, locked, call, step, failWith }) => [
    attempt([
      locked("device_disk_add", (l) => contextLock(l.process), [
        call(
          "add nodes",
          addNodes,
          ({ process, domid, spec }) => ({ process, domid, spec }),
          (l, { device, watch }) => {
            l.device = device;
            l.watch = watch;
          },
        ),
      ]),
      call("connect", finishDeviceAdd, ({ process, device, watch }) => ({
        process,
        device: present(device).device,
        watch,
      })),
    ]).onError(
      (l, errno) => void (l.errno = errno),
      [
        step("complain", (host, l) => {
          if (l.device === null) {
            return libxlError(
              host,
              l.process,
              "libxl_device.c:1486:device_addrm_aocomplete",
              "unable to add device",
            );
          }
          const { kind, devid } = l.device.device;
          const text = `Unable to add ${kind} with id ${devid}`;
          return libxlError(host, l.process, "libxl_device.c:1481:device_addrm_aocomplete", text, l.domid);
        }),
        failWith("not added", (l) => l.errno),
      ],
    ),
  ],
);
