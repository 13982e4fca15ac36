// SPDX-License-Identifier: Apache-2.0
//
// Virtual disks: where they are looked for, what serves them, how they look in
// xenstore (tools/libs/light/libxl_disk.c; docs/man/xen-vbd-interface.7).

import { fail, isFailure } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import type { NewDevice } from "./device-add.ts";
import { fileCell } from "../daemons/files.ts";
import type { DomainFile } from "../daemons/files.ts";
import { TOOLSTACK_DOMID } from "./device.ts";
import { libxlDebug, libxlError } from "./log.ts";
import { ERROR_FAIL, ERROR_INVAL } from "./rc.ts";
import { strerror } from "./strerror.ts";
import type { DeviceDisk } from "./xlcfg/domain-config.ts";

const SCRIPTS = "/etc/xen/scripts";

/** `a` … `z`, `aa` …: a disk's number from its letters, from 0. */
function diskNumber(letters: string): number {
  return letters.split("").reduce((number, letter) => number * 26 + letter.charCodeAt(0) - 96, 0) - 1;
}

/**
 * A virtual disk's device number from its name (libxl__device_disk_dev_number):
 * `xvda` 51712, `hda` 768, `sda` 2048, `d1p2`, or a plain number. Null for any
 * other name.
 */
export function diskDevid(vdev: string): number | null {
  if (/^\d+$/.test(vdev)) return Number(vdev);
  const [, bus, letters, part = ""] = /^(xvd|hd|sd)([a-z]{1,3})(\d*)$/.exec(vdev) ?? [];
  const [, plainDisk, plainPart = ""] = /^d(\d+)(?:p(\d+))?$/.exec(vdev) ?? [];
  const disk = plainDisk !== undefined ? Number(plainDisk) : letters === undefined ? -1 : diskNumber(letters);
  const partition = Number(plainDisk !== undefined ? plainPart : part);
  if (disk < 0) return null;
  switch (bus ?? "xvd") {
    case "hd":
      return disk > 3 || partition > 63
        ? null
        : (disk < 2 ? 3 << 8 : 22 << 8) | ((disk & 1) << 6) | partition;
    case "sd":
      return disk > 15 || partition > 15 ? null : (8 << 8) | (disk << 4) | partition;
    default:
      if (disk <= 15 && partition <= 15) return (202 << 8) | (disk << 4) | partition;
      return disk < 1 << 20 && partition <= 255 ? (1 << 28) | (disk << 8) | partition : null;
  }
}

/**
 * Settles what a disk's specification leaves open (libxl__device_disk_setdefault):
 * which backend serves it. Fails, and says so, where the target is not there.
 */
export function diskSetDefault(host: Host, process: string, disk: DeviceDisk): DeviceDisk | Failure {
  const settled: DeviceDisk = {
    ...disk,
    discard_enable: disk.discard_enable ?? disk.readwrite === 1,
    trusted: disk.trusted ?? true,
    specification: disk.specification === "unknown" ? "xen" : disk.specification,
  };
  const backend = setBackend(host, process, settled);
  return isFailure(backend) ? backend : { ...settled, backend };
}

const SET_BACKEND = "libxl__device_disk_set_backend";

function saySetBackend(host: Host, process: string, { vdev, backend, specification }: DeviceDisk): void {
  const text = `Disk vdev=${vdev} spec.backend=${backend} specification=${specification}`;
  libxlDebug(host, process, `libxl_device.c:433:${SET_BACKEND}`, text);
}

/** Which backend serves a disk: a complaint and ERROR_INVAL where none can (libxl__device_disk_set_backend). */
function setBackend(host: Host, process: string, disk: DeviceDisk): DeviceDisk["backend"] | Failure {
  const { vdev, backend, backend_domid, format, script } = disk;
  saySetBackend(host, process, disk);
  const complain = (line: number, text: string): Failure => {
    libxlError(host, process, `libxl_device.c:${line}:${SET_BACKEND}`, text);
    return fail(ERROR_INVAL);
  };
  const path = disk.pdev_path ?? "";
  if (format === "empty" && !disk.is_cdrom) return complain(439, `Disk vdev=${vdev} is empty but not cdrom`);
  if (format === "empty" && path !== "")
    return complain(443, `Disk vdev=${vdev} is empty but an image has been provided: ${path}`);
  // What a driver domain has nobody here can look at.
  const looks =
    backend_domid === TOOLSTACK_DOMID && script === null && backend !== "qdisk" && backend !== "tap";
  const file = looks && format !== "empty" ? host.get(fileCell, path) : undefined;
  if (looks && format !== "empty" && file === undefined)
    return complain(455, `Disk vdev=${vdev} failed to stat: ${path}: ${strerror("ENOENT")}`);
  const suits = (candidate: DeviceDisk["backend"]): boolean =>
    tryBackend(host, process, disk, candidate, file?.kind ?? null);
  const chosen = backend === "unknown" ? BACKENDS.find(suits) : suits(backend) ? backend : undefined;
  if (chosen === undefined) return complain(475, `no suitable backend for disk ${vdev}`);
  if (backend === "unknown")
    libxlDebug(
      host,
      process,
      `libxl_device.c:470:${SET_BACKEND}`,
      `Disk vdev=${vdev}, using backend ${chosen}`,
    );
  return chosen;
}

/** Backends in the order in which they are tried. */
const BACKENDS = ["phy", "qdisk", "tap", "standalone"] as const;

/** Whether a backend can serve a disk; says why not (disk_try_backend). */
function tryBackend(
  host: Host,
  process: string,
  disk: DeviceDisk,
  backend: DeviceDisk["backend"],
  kind: DomainFile["kind"] | null,
): boolean {
  const { vdev, format, script, specification } = disk;
  const debug = (line: number, text: string): void =>
    libxlDebug(host, process, `libxl_device.c:${line}:disk_try_backend`, `Disk vdev=${vdev}, ${text}`);
  const no = (line: number, text: string): false => {
    debug(line, text);
    return false;
  };
  if ((specification === "virtio") !== (backend === "standalone"))
    return no(405, `backend ${backend} not compatible with specification ${specification}`);
  switch (backend) {
    case "phy":
    case "standalone":
      if (format !== "raw") return no(388, `backend ${backend} unsuitable due to format ${format}`);
      if (script !== null && backend === "standalone")
        return no(395, `backend ${backend} not compatible with script=...`);
      if (disk.backend_domid !== TOOLSTACK_DOMID) {
        debug(
          backend === "phy" ? 330 : 368,
          "is using a storage driver domain, skipping physical device check",
        );
        return true;
      }
      if (script !== null) {
        debug(336, "uses script=... assuming phy backend");
        return true;
      }
      if (kind === "block" || kind === "regular") return true;
      return no(
        backend === "phy" ? 344 : 376,
        `backend ${backend} unsuitable as phys path not a block device`,
      );
    case "qdisk":
      return script === null || no(395, "backend qdisk not compatible with script=...");
    case "tap":
      return no(349, "backend tap unsuitable because blktap not available");
    default:
      return no(381, `backend ${backend} unknown`);
  }
}

/**
 * What is written for a disk whose defaults are set. Fails, and says so, for a
 * name that is no disk's.
 *
 * @param pv the guest may be an old one that does not tell its protocol itself
 */
export function newDisk(
  host: Host,
  process: string,
  domid: number,
  disk: DeviceDisk,
  pv: boolean,
): NewDevice | Failure {
  const devid = diskDevid(disk.vdev ?? "");
  if (devid === null) {
    const text = `Invalid or unsupported virtual disk identifier ${disk.vdev}`;
    // Who finds it out, and who called that.
    libxlError(host, process, "libxl_disk.c:214:libxl__device_from_disk", text, domid);
    libxlError(host, process, "libxl_disk.c:335:device_disk_add", text, domid);
    return fail(ERROR_FAIL);
  }
  const backendKind = disk.backend === "qdisk" ? "qdisk" : "vbd";
  const type = disk.is_cdrom ? "cdrom" : "disk";
  const path = disk.pdev_path ?? "";
  return {
    device: { domid, devid, kind: "vbd", backendDomid: disk.backend_domid, backendKind },
    entries: {
      backend: [
        ...(backendKind === "vbd"
          ? ([
              ["params", path],
              ["script", scriptPath(disk.script ?? "block")],
            ] as const)
          : ([["params", `${qemuFormat(disk)}:${path}`]] as const)),
        ["frontend-id", String(domid)],
        ["online", "1"],
        ["removable", disk.removable ? "1" : "0"],
        ["bootable", "1"],
        ["state", "1"],
        ["dev", disk.vdev as string],
        ["type", disk.backend],
        ["mode", disk.readwrite ? "w" : "r"],
        ["device-type", type],
        ...(disk.direct_io_safe ? ([["direct-io-safe", "1"]] as const) : []),
        ["discard-enable", disk.discard_enable === true ? "1" : "0"],
        ["specification", disk.specification],
      ],
      frontend: [
        ["backend-id", String(disk.backend_domid)],
        ["state", "1"],
        ["virtual-device", String(devid)],
        ["device-type", type],
        ["trusted", disk.trusted === true ? "1" : "0"],
        ...(pv ? ([["protocol", "x86_64-abi"]] as const) : []),
      ],
      readOnly: [],
    },
  };
}

/** QEMU's name of an image format: raw images are its `aio`. */
function qemuFormat({ format }: DeviceDisk): string {
  return format === "raw" ? "aio" : format;
}

/** A hotplug script's full path (libxl__abs_path). */
export function scriptPath(script: string): string {
  return script.startsWith("/") ? script : `${SCRIPTS}/${script}`;
}

/** Every disk of a configuration as devices to be added. Fails with the first that cannot be one. */
export function newDisks(
  host: Host,
  process: string,
  domid: number,
  disks: readonly DeviceDisk[],
  pv: boolean,
): NewDevice[] | Failure {
  const devices: NewDevice[] = [];
  for (const disk of disks) {
    saySetBackend(host, process, disk);
    const device = newDisk(host, process, domid, disk, pv);
    if (isFailure(device)) return device;
    devices.push(device);
  }
  return devices;
}
