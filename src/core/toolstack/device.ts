// SPDX-License-Identifier: Apache-2.0
//
// A device as libxl handles it: which domain has it, of what kind, who serves
// it, and the three directories it has in xenstore (tools/libs/light/libxl_device.c).

import type { Errno } from "../engine/errno.ts";
import { routine } from "../engine/routine.ts";
import { libxlDebug } from "./log.ts";
import { strerror } from "./strerror.ts";
import { xsDirectory, xsGetDomainPath, xsRead, xsRm } from "./xs.ts";

/** Kinds of devices that have directories in xenstore (libxl_types_internal.idl, device_kind). */
const KINDS = [
  "console",
  "vbd",
  "qdisk",
  "vif",
  "pci",
  "vfb",
  "vkbd",
  "vtpm",
  "vusb",
  "9pfs",
  "vdispl",
  "vsnd",
] as const;
export type DeviceKind = (typeof KINDS)[number];

/** libxl__device. Of one that a backend's path tells of, nothing tells the frontend's kind. */
export type Device = {
  domid: number;
  devid: number;
  kind: DeviceKind | "NONE";
  backendDomid: number;
  backendKind: DeviceKind;
};

/** States of a device as the two ends tell each other (xen/io/xenbus.h). */
export const XenbusStateInitWait = "2";
export const XenbusStateClosing = "5";
export const XenbusStateClosed = "6";

/** The domain whose toolstack looks after all the others (LIBXL_TOOLSTACK_DOMID). */
export const TOOLSTACK_DOMID = 0;

/** A kind of that name, or null for what libxl does not know. */
export function deviceKind(name: string): DeviceKind | null {
  return KINDS.find((kind) => kind === name) ?? null;
}

/** The toolstack's own directory of a device. */
export function libxlDevicePath({ domid, kind, devid }: Device): string {
  return `/libxl/${domid}/device/${kind}/${devid}`;
}

/** Where in its home a backend keeps a device: also what hotplug scripts get as XENBUS_PATH. */
export function backendDir({ backendKind, domid, devid }: Device): string {
  return `backend/${backendKind}/${domid}/${devid}`;
}

/** `vbd-51712`: a device in the names of threads and processes; of several domains' devices `vbd-2-51712`. */
export function deviceName({ domid, kind, backendKind, devid }: Device): string {
  return kind === "NONE" ? `${backendKind}-${domid}-${devid}` : `${kind}-${devid}`;
}

/**
 * The device of a backend directory `/local/domain/B/backend/KIND/D/DEVID`
 * (libxl__parse_backend_path), or null where the path says nothing of the kind.
 */
export function parseBackendPath(
  path: string,
  domid: number,
  kind: DeviceKind,
  devid: number,
): Device | null {
  const [, backendDomid, backendKind] =
    /^\/local\/domain\/(\d+)\/backend\/([^/]{1,15})\/\d+\/\d+/.exec(path) ?? [];
  const known = backendKind === undefined ? null : deviceKind(backendKind);
  return known === null
    ? null
    : { domid, kind, devid, backendDomid: Number(backendDomid), backendKind: known };
}

/** The backend's directory of a device (libxl__device_backend_path). */
export const backendPath = routine(
  "libxl__device_backend_path",
  (a: { process: string; device: Device }) => ({ ...a, home: "" }),
  ({ call }) => [
    call(
      "libxl__xs_get_dompath",
      xsGetDomainPath,
      (l) => ({ process: l.process, domid: l.device.backendDomid }),
      (l, home) => void (l.home = home),
    ),
  ],
  (l) => `${l.home}/${backendDir(l.device)}`,
);

/** The frontend's directory of a device (libxl__device_frontend_path). The first console has a place of its own. */
export const frontendPath = routine(
  "libxl__device_frontend_path",
  (a: { process: string; device: Device }) => ({ ...a, home: "" }),
  ({ call }) => [
    call(
      "libxl__xs_get_dompath",
      xsGetDomainPath,
      (l) => ({ process: l.process, domid: l.device.domid }),
      (l, home) => void (l.home = home),
    ),
  ],
  ({ home, device: { kind, devid } }) =>
    kind === "console" && devid === 0 ? `${home}/console` : `${home}/device/${kind}/${devid}`,
);

/** The domain this toolstack runs in (libxl__get_domid): xenstore answers for the one who asks. */
export const ownDomid = routine(
  "libxl__get_domid",
  (a: { process: string }) => ({ ...a, domid: 0 }),
  ({ call }) => [
    call(
      "read domid",
      xsRead,
      (l) => ({ process: l.process, path: "domid" }),
      (l, domid) => void (l.domid = Number(domid)),
    ),
  ],
  (l) => l.domid,
);

const parentOf = (path: string): string => path.slice(0, path.lastIndexOf("/"));

/**
 * Removes a path, and the directories above it that this leaves empty
 * (libxl__xs_path_cleanup). What cannot be removed stays; nobody asks.
 */
export const pathCleanup = routine(
  "libxl__xs_path_cleanup",
  (a: { process: string; t: number; path: string }) => ({
    ...a,
    /** Where it stands in libxl's file. */
    line: 300,
    empty: true,
    errno: "ENOENT" as Errno,
  }),
  ({ attempt, call, when, repeatUntil, step }) => [
    attempt([
      call(
        "xs_rm",
        xsRm,
        ({ process, t, path }) => ({ process, t, path }),
        (l) => {
          l.path = parentOf(l.path);
          l.line = 317;
        },
      ),
      repeatUntil("something left", (l) => !l.empty || l.path === "", [
        call(
          "read parent",
          xsRead,
          ({ process, t, path }) => ({ process, t, path }),
          (l, value) => void (l.empty = value === ""),
        ),
        when("empty value", (l) => l.empty, [
          call(
            "list parent",
            xsDirectory,
            ({ process, t, path }) => ({ process, t, path }),
            (l, children) => {
              l.empty = children !== null && children.length === 0;
            },
          ),
        ]),
        when("empty directory", (l) => l.empty, [
          call(
            "remove parent",
            xsRm,
            ({ process, t, path }) => ({ process, t, path }),
            (l) => void (l.path = parentOf(l.path)),
          ),
        ]),
      ]),
    ]).onError(
      (l, errno) => void (l.errno = errno),
      [
        when("not for want of it", (l) => l.errno !== "ENOENT", [
          step(
            "say so",
            (host, { process, line, path, errno }) => {
              const text = `unable to remove path ${path}: ${strerror(errno)}`;
              libxlDebug(host, process, `libxl_xshelp.c:${line}:libxl__xs_path_cleanup`, text);
            },
            { unseen: true },
          ),
        ]),
      ],
    ),
  ],
);
